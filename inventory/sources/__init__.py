"""Lists of URNs, read lazily and written. Does not parse URNs."""
