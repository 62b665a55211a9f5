"""Messages at the end of a run: summary, problems, next steps."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any, Final

from inventory.display.formatting import duration, shorten
from inventory.errors import ErrorKind, ExitCode, Status
from inventory.printable import printable
from inventory.runs.output import program_name, resume_command

if TYPE_CHECKING:
    from inventory.runs.finish import Result

_ADVICE: Final = {
    ErrorKind.REFUSED: "get a token of the right account and project",
    ErrorKind.FORBIDDEN: "check that the token is of this project and may read functions",
    ErrorKind.THROTTLED: "wait, or ask the account's owner for a higher limit",
    ErrorKind.BLOCKED: "allow these calls in the proxy or web filter; if the service's firewall blocks this address, "
    "wait and lower --max-per-second",
}
_OUT_OF_TIME: Final = "allow more time"
_ADVICE_OTHERS: Final = "check that the endpoint is correct and reachable"


def summary_lines(result: Result) -> list[str]:
    """The table of counts at the end of a run, and the lines below it."""
    manifest = result.manifest
    read, requests = manifest["input"], manifest["requests"]
    rows = [(status, f"{count:,}") for status, count in manifest["counts"]["status"].items() if count]
    rows += [(f"  failed: {kind}", f"{count:,}") for kind, count in manifest["counts"]["error_kind"].items() if count]
    rows.append(("URNs", f"{read['urns']:,}"))
    width = max(len(name) for name, _ in rows)
    digits = max(len(count) for _, count in rows)
    lines = [f"  {name:<{width}}  {count:>{digits}}" for name, count in rows]
    lines.insert(-1, f"  {'-' * width}  {'-' * digits}")
    lines.append(
        f"{read['entries']:,} entries read: {read['urns']:,} URNs, {read['duplicates']:,} duplicates, "
        f"{read['rejects']:,} rejects"
    )
    if read.get("cleaned"):
        lines.append(f"{read['cleaned']:,} entries had invisible characters at their ends, which were removed")
    saved = f", {requests['saved_by_lists']:,} saved by lists" if requests["saved_by_lists"] else ""
    lines.append(
        f"{requests['total']:,} calls ({requests['retries']:,} retries, {requests['throttled']:,} throttled{saved}) "
        f"from {manifest['started']} to {manifest['finished']}"
    )
    if others := manifest["counts"].get("named_otherwise"):
        lines.append(f"{others:,} answers name another version or region than their URN: see func_urn in functions")
    lines += [_learnt(scope) for scope in manifest["scopes"] if scope["limit_learnt"]]
    return lines + _shared_limits(manifest["scopes"])


def problems(result: Result) -> list[str]:
    """One sentence for each problem of a run."""
    manifest = result.manifest
    stopped = [scope for scope in manifest["scopes"] if scope["stopped"]]
    messages = [_stopped(scope) for scope in stopped]
    if not manifest["input"]["urns"]:
        messages.append(_no_urns(manifest["input"]))
    messages += [
        f"{count:,} failed with {kind}, such as: {shorten(result.examples[kind])}"
        for kind, count in manifest["counts"]["error_kind"].items()
        if kind in result.examples and not any(scope["stopped"].startswith(kind) for scope in stopped)
    ]
    counts = manifest["counts"]["status"]
    again = resume_command(result.output)
    if counts[Status.NOT_ATTEMPTED]:
        advice = " and ".join(dict.fromkeys(map(_advice, stopped))) or "fix the problem above"
        messages.append(f"{counts[Status.NOT_ATTEMPTED]:,} URNs were not attempted: {advice}, then go on with: {again}")
    elif counts[Status.FAILED]:
        advice = "".join(f"{advice}, then " for advice in dict.fromkeys(map(_advice, stopped)))
        messages.append(f"{counts[Status.FAILED]:,} URNs failed; {advice}export them again with: {again}")
    return list(map(printable, messages))


def _no_urns(read: dict[str, Any]) -> str:
    names = ", ".join(file["path"] for file in read["files"])
    if read.get("listed") and not read["entries"]:
        who = "the project has" if len(read["files"]) == 1 else "the projects have"
        return f"{names}: {who} no functions; if this is wrong, check --region and --project-id"
    entries = f"none of the {read['entries']:,} entries of {names} is a function URN, as the rejects table says"
    advice = "fix the list, then rerun with --overwrite"
    return f"{entries if read['entries'] else f'{names} contains no URN'}; {advice}"


def table_files(result: Result) -> list[tuple[str, int]]:
    """The table files of a run, each with its number of rows."""
    return [(str(result.folder / table["path"]), table["rows"]) for table in result.manifest["tables"]]


def row_counts(result: Result) -> str:
    """The number of rows of each table."""
    files = result.manifest["tables"]
    counted = {table["name"]: 0 for table in files}
    for table in files:
        counted[table["name"]] += table["rows"] if table["format"] == files[0]["format"] else 0
    formats = ", ".join(dict.fromkeys(table["format"] for table in files))
    return f"{', '.join(f'{name} {count:,} rows' for name, count in counted.items())} ({formats})"


def next_steps(result: Result) -> list[str]:
    """Commands worth trying after the demo; the first one resumes an incomplete run."""
    code = f"import inventory; print(inventory.open_snapshot({str(result.folder)!r}).functions.status.value_counts())"
    return [
        *([resume_command(result.output)] if result.exit_code is not ExitCode.ANSWERED else []),
        f"{program_name(sys.executable)} -c {shlex.quote(code)}",
        f"{program_name(sys.argv[0])} schema functions",
        f"HW_AUTH_TOKEN=... {program_name(sys.argv[0])} export my-urns.txt",
    ]


def _shared_limits(scopes: list[dict[str, Any]]) -> list[str]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for scope in scopes:
        if scope.get("shared_limit"):
            groups.setdefault(scope["endpoint"], []).append(scope)
    lines = []
    for endpoint, group in groups.items():
        limit, used = group[0]["shared_limit"], group[0]["shared_limit_used"]
        scopes_of = f"{len(group)} scopes" if len(group) > 1 else "1 scope"
        text = f"limit learned for {scopes_of} of {endpoint} (policy {limit['policy']}): {limit['calls']:,} calls in "
        lines.append(text + duration(limit["seconds"]) + ("" if used is None else f", {used:.0%} of it used since"))
    return lines


def _learnt(scope: dict[str, Any]) -> str:
    limit = scope["limit_learnt"]
    used = "" if scope["limit_used"] is None else f", {scope['limit_used']:.0%} of it used since"
    learnt = f"limit learned in {_name(scope)}: {limit['calls']:,} calls in {duration(limit['seconds'])}"
    return f"{learnt}{used}, {scope['refused']:,} calls refused"


def _stopped(scope: dict[str, Any]) -> str:
    return f"{_name(scope)} at {scope['endpoint']} was stopped: {scope['stopped']}"


def _advice(scope: dict[str, Any]) -> str:
    kind = scope["stopped"].split(":")[0]
    if kind == "out of time":
        return _OUT_OF_TIME
    return _ADVICE.get(kind, _ADVICE_OTHERS)


def _name(scope: dict[str, Any]) -> str:
    return f"{scope['region']}/{scope['project_id']}"
