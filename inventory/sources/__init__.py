"""Lists of URNs, read and written."""
