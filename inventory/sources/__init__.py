"""Reads and writes lists of URNs."""
