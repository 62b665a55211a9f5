"""Table schema, flattening, Parquet and CSV."""
