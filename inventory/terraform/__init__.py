"""Terraform blocks of a run's configurations: files only, no call. Reads tables, states and findings."""
