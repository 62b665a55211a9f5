"""Runs that no cloud was asked for: folders of tables and a manifest, of which the truth is known."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from inventory.errors import ErrorKind, Status
from inventory.outcome import Outcome
from inventory.tables import schema
from inventory.tables.batches import arrow_schema
from inventory.tables.flatten import flatten
from inventory.tables.parts import PartsWriter
from inventory.tables.writer import TableWriter

PROJECT = "0123456789abcdef0123456789abcdef"
SCOPE = f"urn:fss:cn-north-4:{PROJECT}:function:default"
DAY = 24 * 3600
FIRST = datetime(2026, 11, 20, tzinfo=UTC)
NOT_ATTEMPTED = "not_attempted"
FAILED = "failed"
NOT_FOUND = "not_found"


def urn(name):
    """A URN of a function."""
    return f"{SCOPE}:{name}:latest"


def config(**fields):
    """A config as the cloud sends it."""
    return {
        "max_async_event_age_in_seconds": 3600,
        "max_async_retry_attempts": 3,
        "created_time": "2026-01-02T03:04:05Z",
        "last_modified": "2026-01-02T03:04:05Z",
        **fields,
    }


def side(destination, param):
    """Where an event leads."""
    return {"destination": destination, "param": param if isinstance(param, str) else json.dumps(param)}


def leading(**sides):
    """A config with destinations."""
    return config(destination_config=sides)


def write_run(folder, functions, *, day=0, formats=("parquet",), rows_per_file=0, **manifest):
    """Writes a run.

    Args:
        folder: of the run.
        functions: by URN: a config, None for a function without one, or one of the statuses above.
        day: on which it was asked and, an hour later, finished.
        formats: of the tables.
        rows_per_file: 0 for one file.
        manifest: what is different in it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    at = int(FIRST.timestamp()) + day * DAY
    rows = [flatten(name, _outcome(name, functions[name], at)) for name in sorted(functions)]
    of_table = {
        schema.FUNCTIONS: [row.function for row in rows],
        schema.DESTINATIONS: [one for row in rows for one in row.destinations],
        schema.CALLS: [row.call for row in rows if row.call is not None],
    }
    files = []
    for table, cells in of_table.items():
        with (
            PartsWriter(table, folder, formats, rows_per_file=rows_per_file, max_rows=len(cells))
            if rows_per_file
            else TableWriter(table, folder, formats)
        ) as writer:
            for row in cells:
                writer.add(row, 100 + sum(len(cell) for cell in row if isinstance(cell, str)))
            files += writer.publish()
    left = sum(row.function[7] == Status.NOT_ATTEMPTED for row in rows)
    write_manifest(folder, [file._asdict() for file in files], len(rows), at + 3600, left=left, **manifest)
    return folder


def _outcome(name, answer, at):
    if answer == NOT_ATTEMPTED:
        return None
    status, kind, http, code, body = Status.CONFIGURED, None, 200, None, answer
    if answer is None:
        status, http, code, body = Status.NOT_CONFIGURED, 404, "FSS.0404", {"error_code": "FSS.0404", "n": at}
    elif answer == NOT_FOUND:
        status, http, code, body = Status.NOT_FOUND, 404, "FSS.1051", {"error_code": "FSS.1051"}
    elif answer == FAILED:
        status, kind, http, body = Status.FAILED, ErrorKind.THROTTLED, 429, {"error_msg": f"slow down {at}"}
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Outcome(name, status, kind, http, code, None, body, "Show", 1, 0, f"id-{at}", 5.0, at * 1_000_000)


def write_manifest(folder, files, urns, finished, *, left=0, **changed):
    """Writes the manifest of such a run."""
    statuses = {status.value: 0 for status in Status} | {"configured": urns - left, "not_attempted": left}
    requests = ("total", "retries", "throttled", "saved_by_lists")
    content = {
        "tool": "functiongraph-inventory",
        "tool_version": "0.1.0",
        "schema_version": schema.VERSION,
        "started": "2026-11-20T00:00:00Z",
        "finished": datetime.fromtimestamp(finished, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "complete": True,
        "exit_code": 0,
        "input": {"files": [], "entries": urns, "urns": urns, "duplicates": 0, "rejects": 0},
        "counts": {"status": statuses, "error_kind": {}},
        "requests": {**dict.fromkeys(requests, 0), "by_operation": {}, "by_http_status": {}},
        "scopes": [scope_block(urns=urns)],
        "tables": [{"bytes": (folder / file["path"]).stat().st_size, "sha256": "0" * 64, **file} for file in files],
        "settings": {},
        **changed,
    }
    (folder / "manifest.json").write_text(json.dumps(content))


def scope_block(region="cn-north-4", project_id=PROJECT, endpoint="https://one", urns=0):
    """A scope in a manifest."""
    block = {"region": region, "project_id": project_id, "endpoint": endpoint, "urns": urns}
    return {**block, "requests": 0, "refused": 0, "limit_learnt": None, "limit_used": None, "stopped": None}


def write_many(folder, rows, *, day=0, changed=()):
    """Writes a large run from columns; the given numbers have another retry count."""
    folder.mkdir(parents=True)
    at = int(FIRST.timestamp()) + day * DAY
    names = [urn(f"f{number:08d}") for number in range(rows)]
    retries = np.full(rows, 3)
    retries[list(changed)] = 1
    param = '{"topic_urn":"urn:smn:cn-north-4:0123456789abcdef0123456789abcdef:alerts"}'
    given = {
        "functions": {
            "status": ["configured"] * rows,
            "max_async_event_age_in_seconds": np.full(rows, 3600),
            "max_async_retry_attempts": retries,
            "created_time_raw": [f"2026-01-02T03:{number % 60:02d}:05Z" for number in range(rows)],
            "last_modified_raw": ["2026-01-02T03:04:05Z"] * rows,
        },
        "destinations": {"event": ["on_failure"] * rows, "destination": ["SMN"] * rows, "param": [param] * rows},
        "calls": {"finished_at": np.full(rows, at * 1_000_000)},
    }
    files = []
    for table, own in given.items():
        fields = arrow_schema(schema.TABLES[table])
        columns = {"function_urn": names, **own}
        arrays = [
            pa.array(columns[field.name]).cast(field.type) if field.name in columns else pa.nulls(rows, field.type)
            for field in fields
        ]
        with pq.ParquetWriter(folder / f"{table}.parquet", fields, compression="zstd") as writer:
            writer.write_table(pa.Table.from_arrays(arrays, schema=fields), row_group_size=24_576)
        files.append({"name": table, "format": "parquet", "path": f"{table}.parquet", "rows": rows})
    write_manifest(folder, files, rows, at + 3600)
    return folder
