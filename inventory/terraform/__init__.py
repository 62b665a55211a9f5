"""Terraform blocks of a run: files only, no call."""
