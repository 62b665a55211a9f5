"""One run, from list to manifest; the flow is in export.py."""
