"""Frames of a snapshot, made by hand: what the tests of the reviews say about a few URNs, in the schema's columns."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa

from inventory import schema
from inventory.tables import arrow_schema
from inventory.urn import of_full

BASE = "urn:fss:cn-north-4:p1:function:default:"


def urn(name):
    """A full URN; a name without colons is completed."""
    return name if name.startswith("urn:") else f"{BASE}{name}"


def functions(rows):
    """The table ``functions``: URN to its status, or to the cells of a configured one."""
    made = []
    for name, cells in rows.items():
        parts = of_full(urn(name))._asdict()
        said = {"status": cells} if isinstance(cells, str) else {"status": "configured", **cells}
        made.append({"function_urn": urn(name), **parts, **said})
    return _frame("functions", made)


def destinations(*rows):
    """The table ``destinations``: URN, event and the cells of each row."""
    made = []
    for name, event, cells in rows:
        kind = "FunctionGraph" if "target_function_urn" in cells else "OBS"
        made.append({"function_urn": urn(name), "event": event, "destination": kind, **cells})
    return _frame("destinations", made)


def calls(*links):
    """Destinations that call functions: source, event, target."""
    return destinations(
        *((name, event, {"target_function_urn": target and urn(target)}) for name, event, target in links)
    )


def _frame(table, rows):
    columns = arrow_schema(schema.table_named(table))
    return pa.Table.from_pylist(rows, schema=columns).to_pandas(types_mapper=pd.ArrowDtype)
