"""Schema, flattening, Parquet and CSV: the same rows make the same bytes."""
