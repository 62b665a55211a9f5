"""The SQLite file of a run: URNs, outcomes, facts. Imports no HTTP and no table format."""
