"""Schema, flattening, Parquet and CSV. A pure function of the ledger: same rows, same bytes."""
