"""Compares two finished runs."""
