"""The SQLite file of a run: URNs, outcomes and facts."""
