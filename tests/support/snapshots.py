"""Builds frames of a snapshot, with the columns of the schema, for tests of reviews."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from inventory.tables import schema
from inventory.tables.batches import arrow_schema
from inventory.urn import split_urn

BASE = "urn:fss:cn-north-4:p1:function:default:"


def urn(name):
    """Completes a name to a full URN."""
    return name if name.startswith("urn:") else f"{BASE}{name}"


def functions(rows):
    """Builds the table ``functions`` from URN to status, or to the cells of a configured URN."""
    table = []
    for name, cells in rows.items():
        parts = split_urn(urn(name))._asdict()
        values = {"status": cells} if isinstance(cells, str) else {"status": "configured", **cells}
        table.append({"function_urn": urn(name), **parts, **values})
    return _frame("functions", table)


def destinations(*rows):
    """Builds the table ``destinations`` from URN, event and cells of each row."""
    table = []
    for name, event, cells in rows:
        kind = "FunctionGraph" if "target_function_urn" in cells else "OBS"
        table.append({"function_urn": urn(name), "event": event, "destination": kind, **cells})
    return _frame("destinations", table)


def calls(*links):
    """Builds FunctionGraph destinations from source, event and target."""
    return destinations(
        *((name, event, {"target_function_urn": target and urn(target)}) for name, event, target in links)
    )


def _frame(table, rows):
    columns = arrow_schema(schema.find_table(table))
    return pa.Table.from_pylist(rows, schema=columns).to_pandas(types_mapper=pd.ArrowDtype)
