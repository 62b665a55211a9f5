"""Whole files, file locks, object stores. Knows no run."""
