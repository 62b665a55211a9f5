"""Outputs of a review: text, Markdown, SARIF, JSON, CSV, Parquet, rule pages."""
