"""A large run of ``export --all`` that no cloud was asked for: the mix of a believable fleet, from its numbers."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from support.written_runs import DAY, FIRST, write_manifest

from inventory.tables import schema
from inventory.tables.batches import arrow_schema

REGION = "cn-north-4"

FLEET = """
CREATE TABLE fleet AS
SELECT
    i, 'p' || lpad((i % 60)::VARCHAR, 31, '0') AS project_id, 'package' || (i % 40) AS package,
    'function-' || lpad(i::VARCHAR, 8, '0') AS function_name,
    'urn:fss:cn-north-4:p' || lpad((i % 60)::VARCHAR, 31, '0') || ':function:package' || (i % 40)
        || ':function-' || lpad(i::VARCHAR, 8, '0') AS function,
    CASE WHEN i % 500 = 7 THEN 'failed' WHEN i % 10 < 8 THEN 'configured' ELSE 'not_configured' END AS status
FROM range($functions) AS numbers(i);
"""

FUNCTIONS = """
SELECT
    function || ':latest' AS function_urn, 'cn-north-4' AS region, project_id, package, function_name,
    'latest' AS qualifier, 'version' AS qualifier_type, status, 'timeout' AS error_kind, true AS function_exists,
    CASE WHEN status = 'configured' THEN [3600, 86400, 60, 300, 7200][1 + i % 5] END AS max_async_event_age_in_seconds,
    CASE WHEN status = 'configured' THEN i % 4 END AS max_async_retry_attempts,
    CASE WHEN status = 'configured' AND i % 7 > 0 THEN i % 2 = 0 END AS enable_async_status_log,
    (SELECT max(type) FROM destinations AS d WHERE d.i = fleet.i AND event = 'on_success') AS on_success_destination,
    (SELECT max(type) FROM destinations AS d WHERE d.i = fleet.i AND event = 'on_failure') AS on_failure_destination,
    '2026-01-02T03:04:05Z' AS last_modified_raw, TIMESTAMPTZ '2026-01-02 03:04:05Z' AS last_modified
FROM fleet ORDER BY function_urn
"""

DESTINATIONS = """
CREATE TABLE destinations AS
SELECT
    i, function || ':latest' AS function_urn, 'cn-north-4' AS region, project_id, function_name, 'latest' AS qualifier,
    event, type, type AS destination, '{}' AS param, i % 1000 > 0 AS param_valid,
    CASE WHEN type = 'OBS' THEN 'bucket-' || (i % 3000) END AS obs_bucket, 'results' AS obs_prefix,
    CASE WHEN type = 'OBS' AND i % 3 > 0 THEN i % 5 * 30 END AS obs_expires_days,
    CASE WHEN type = 'SMN' THEN 'urn:smn:cn-north-4:' || project_id || ':topic-' || (i % 200) END AS smn_topic_urn,
    CASE WHEN type = 'DIS' THEN 'stream-' || (i % 50) END AS dis_stream_name,
    CASE WHEN type = 'FunctionGraph' AND i % 1000 > 0 THEN
        'urn:fss:cn-north-4:p' || lpad((target % 60)::VARCHAR, 31, '0') || ':function:package' || (target % 40)
        || ':function-' || lpad(target::VARCHAR, 8, '0') || ':latest' END AS target_function_urn
FROM (
    SELECT
        *, CASE event WHEN 'on_success' THEN ['OBS', 'DIS', 'FunctionGraph', 'OBS', 'SMN'][1 + i % 5]
            ELSE ['SMN', 'SMN', 'OBS', 'SMN', 'FunctionGraph', 'SMN', 'DIS'][1 + i % 7] END AS type,
        (i * 7919 + 60 * (i % 13)) % ($functions + $functions // 500) AS target
    FROM fleet, (VALUES ('on_failure'), ('on_success')) AS events(event)
    WHERE status = 'configured' AND NOT (event = 'on_failure' AND i % 9 = 0)
);
"""

CALLS = """
UPDATE fleet SET status = 'configured';
CREATE TABLE destinations AS
SELECT
    f.i, f.function || ':latest' AS function_urn, 'cn-north-4' AS region, f.project_id, f.function_name,
    'latest' AS qualifier, event, 'FunctionGraph' AS type, 'FunctionGraph' AS destination, '{}' AS param,
    true AS param_valid, t.function || ':latest' AS target_function_urn
FROM fleet AS f, (VALUES ('on_success'), ('on_failure')) AS events(event), fleet AS t
WHERE t.i = CASE $graph
    WHEN 'ring' THEN (f.i + 1) % $functions
    WHEN 'pairs' THEN xor(f.i, 1)
    ELSE (hash(f.i, event) % $functions)::BIGINT END
    AND (event = 'on_success' OR $graph = 'random');
"""

FACTS = """
SELECT
    function || ':latest' AS function_urn, 'cn-north-4' AS region, project_id, package, function_name,
    'latest' AS qualifier, 'latest' AS version, 'Python3.9' AS runtime, [3, 30, 60, 900][1 + i % 4] AS timeout,
    [128, 256, 512, 2048][1 + i % 4] AS memory_size, CASE WHEN i % 200 = 0 THEN 0 ELSE -1 END AS concurrency,
    CASE WHEN i % 50 = 0 THEN '' ELSE 'agency' END AS xrole, CASE WHEN i % 40 = 0 THEN i % 9 ELSE 0 END AS fail_count,
    'domain' AS domain_id, '' AS func_vpc_id, CASE WHEN i % 3 = 0 THEN 'group' ELSE '' END AS log_group_id
FROM fleet ORDER BY function_urn
"""


def write_fleet(folder, functions, graph="fleet"):
    """Writes a run of that many functions with about 1.5 destinations each, and their facts.

    In other graphs each function calls others: all in one ring, in pairs, or two at random.
    """
    folder.mkdir(parents=True)
    with duckdb.connect(config={"memory_limit": "4GB", "threads": 2}) as connection:
        connection.execute(FLEET, {"functions": functions})
        if graph == "fleet":
            connection.execute(DESTINATIONS, {"functions": functions})
        else:
            connection.execute(CALLS, {"functions": functions, "graph": graph})
        files = [
            _write(connection, folder, "functions", FUNCTIONS),
            _write(connection, folder, "destinations", "SELECT * FROM destinations ORDER BY function_urn, event"),
            _write(connection, folder, "function_facts", FACTS),
            _write(connection, folder, "aliases", "SELECT '' AS function_urn WHERE false"),
        ]
        projects = [
            f"{REGION}/{row[0]}" for row in connection.execute("SELECT DISTINCT project_id FROM fleet").fetchall()
        ]
    listed = {"projects": sorted(projects), "versions": True, "aliases": True}
    source = {"files": [], "entries": functions, "urns": functions, "duplicates": 0, "rejects": 0, "listed": listed}
    write_manifest(folder, files, functions, int(FIRST.timestamp()) + DAY, input=source)


def _write(connection, folder, name, query):
    fields = arrow_schema(schema.TABLES[name])
    rows = 0
    with pq.ParquetWriter(folder / f"{name}.parquet", fields, compression="zstd") as writer:
        for batch in connection.sql(query).to_arrow_reader(24_576):
            known = set(batch.schema.names)
            arrays = [
                batch.column(field.name).cast(field.type)
                if field.name in known
                else pa.nulls(batch.num_rows, field.type)
                for field in fields
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=fields))
            rows += batch.num_rows
    return {"name": name, "format": "parquet", "path": f"{name}.parquet", "rows": rows}
