"""Small runs for tests of reviews, and their verdicts."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from inventory.reviews.database import COLUMNS, RunTables
from inventory.reviews.result import Review, ReviewOptions
from inventory.reviews.rule import load_builtin_rules
from inventory.settings import AssumedDefaults
from inventory.tables import schema
from inventory.tables.batches import arrow_schema
from inventory.urn import split_urn

R, P = "cn-north-4", "p1"
RULES = load_builtin_rules()
FINISHED = datetime(2026, 11, 28, tzinfo=UTC)


def urn(name, project=P):
    """Completes a name such as ``f``, ``f:v1`` or ``f:!prod`` to a URN."""
    return name if name.startswith("urn:") else f"urn:fss:{R}:{project}:function:default:{name}"


def obs(bucket="b", prefix="p", **cells):
    return {"destination": "OBS", "obs_bucket": bucket, "obs_prefix": prefix, **cells}


def smn(topic=f"urn:smn:{R}:{P}:topic", **cells):
    return {"destination": "SMN", "smn_topic_urn": topic, **cells}


def dis(stream="s", **cells):
    return {"destination": "DIS", "dis_stream_name": stream, **cells}


def call(name, **cells):
    """A FunctionGraph destination; None: its ``param`` names none."""
    return {"destination": "FunctionGraph", "target_function_urn": name and urn(name), **cells}


def unreadable(kind="FunctionGraph"):
    return {"destination": kind, "param": "{", "param_valid": False}


def config(on_failure=None, on_success=None, *, retries=1, age=3600, log=False, **cells):
    """A configured URN of :func:`run`."""
    return {"on_failure": on_failure, "on_success": on_success, "retries": retries, "age": age, "log": log, **cells}


def run(functions, facts=None, aliases=None, listed=None):
    """The tables of a run.

    Args:
        functions: name to status or to :func:`config`.
        facts: name to cells; None: no table.
        aliases: alias (``f:!prod``) to version, or to version and weights; None: no table.
        listed: what the listing covers: any of ``versions`` and ``aliases``; None: a list by a user.
    """
    rows, destinations = [], []
    for name, given in sorted(functions.items(), key=lambda item: urn(item[0])):
        cells = {"status": given} if isinstance(given, str) else {"status": "configured", **given}
        parts = split_urn(urn(name))._asdict()
        for event in ("on_failure", "on_success"):
            side = cells.pop(event, None)
            cells[f"{event}_destination"] = side and side["destination"]
            if side:
                destinations.append(
                    {"function_urn": urn(name), "event": event, "param": "{}", "param_valid": True, **side}
                )
        cells["max_async_retry_attempts"] = cells.pop("retries", None)
        cells["max_async_event_age_in_seconds"] = cells.pop("age", None)
        cells["enable_async_status_log"] = cells.pop("log", None)
        rows.append({"function_urn": urn(name), **parts, **cells})
    tables = {"functions": rows, "destinations": destinations}
    if facts is not None:
        tables["function_facts"] = [{"function_urn": urn(name), **cells} for name, cells in sorted(facts.items())]
    if aliases is not None:
        tables["aliases"] = []
        for name, target in sorted(aliases.items()):
            version, weights = target if isinstance(target, tuple) else (target, None)
            alias = {"function_urn": urn(name), "alias": name.partition("!")[2], "version": version}
            tables["aliases"].append({**alias, "additional_version_weights": weights})
    block = None
    if listed is not None:
        block = {"projects": [f"{R}/{P}"], "versions": "versions" in listed, "aliases": "aliases" in listed}
    manifest = {"finished": FINISHED.isoformat(), "input": {"listed": block}}
    return RunTables("run", manifest, {name: batches(name, rows) for name, rows in tables.items()})


def batches(name, rows):
    fields = arrow_schema(schema.find_table(name))
    columns = COLUMNS[name] or fields.names
    chosen = pa.schema([fields.field(column) for column in columns])
    yield from pa.Table.from_pylist(rows, schema=chosen).to_batches()


def review(tables, rules=None, parameters=None, defaults=AssumedDefaults(), **options):  # noqa: B008 - immutable
    return Review(tables, ReviewOptions(rules or RULES, parameters or {}, defaults, **options))


def verdicts(rule, tables, **options):
    """Verdicts of one rule by subject, without the common part of URNs: ``f:latest``, or ``f:latest on_failure``.

    An unknown verdict has its reason: ``unknown not_listed``.
    """
    rules = {rule: RULES[rule]} if isinstance(rule, str) else {rule.id: rule}
    with review(tables, rules, keep_passes=True, **options) as done:
        found = {}
        for row in done.findings.to_pylist():
            name = row["subject"].removeprefix(urn(""))
            key = f"{name} {row['event']}" if row["event"] else name
            found[key] = f"unknown {row['why_unknown']}" if row["verdict"] == "unknown" else row["verdict"]
        (counts,) = done.summary.to_pylist()
        assert counts["subjects"] == sum(counts[name] for name in ("pass", "fail", "unknown", "not_applicable"))
        return found
