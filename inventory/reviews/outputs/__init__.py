"""Outputs of a review: text, Markdown, SARIF, JSON, CSV, Parquet, and the pages of rules."""
