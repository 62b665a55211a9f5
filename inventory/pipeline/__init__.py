"""One run, from list to manifest; export.py is the flow on one screen."""
