"""Messages at the end of a run: summary, problems, next steps."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any, Final

from inventory.display.formatting import duration, format_count, format_number, format_share, shorten
from inventory.errors import ErrorKind, ExitCode, Status
from inventory.printable import printable, shell_word
from inventory.runs.listing_coverage import describe_failed_reports
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
    rows = [(status, format_number(count)) for status, count in manifest["counts"]["status"].items() if count]
    rows += [
        (f"  failed: {kind}", format_number(count)) for kind, count in manifest["counts"]["error_kind"].items() if count
    ]
    rows.append(("URNs", format_number(read["urns"])))
    width = max(len(name) for name, _ in rows)
    digits = max(len(count) for _, count in rows)
    lines = [f"  {name:<{width}}  {count:>{digits}}" for name, count in rows]
    lines.insert(-1, f"  {'-' * width}  {'-' * digits}")
    lines.append(
        f"{_entries(read['entries'])} read: {format_count(read['urns'], 'URN')}, "
        f"{format_count(read['duplicates'], 'duplicate')}, {format_count(read['rejects'], 'reject')}"
    )
    if read.get("cleaned"):
        lines.append(f"{_entries(read['cleaned'])} had invisible characters at the ends, which were removed")
    saved = f", {format_number(requests['saved_by_lists'])} saved by lists" if requests["saved_by_lists"] else ""
    lines.append(
        f"{format_count(requests['total'], 'call')} ({format_count(requests['retries'], 'retry', 'retries')}, "
        f"{format_number(requests['throttled'])} throttled{saved}) "
        f"from {manifest['started']} to {manifest['finished']}"
    )
    if others := manifest["counts"].get("named_otherwise"):
        answers = format_count(others, "answer names", "answers name")
        lines.append(f"{answers} another version or region than the URN: see func_urn in functions")
    lines += [_learnt(scope) for scope in manifest["scopes"] if scope["limit_learnt"]]
    return lines + _shared_limits(manifest["scopes"]) + _silent_functions(result)


def _silent_functions(result: Result) -> list[str]:
    """How many functions have no failure destination, and the command that lists them."""
    configured, silent = result.manifest["counts"]["status"][Status.CONFIGURED], result.without_failure_destination
    if silent is None or not configured:
        return []
    functions = format_count(configured, "configured function has", "configured functions have")
    message = f"{format_number(silent)} of {functions} no on_failure destination"
    if not silent:
        return [message]
    code = (
        f"import inventory; f = inventory.open_snapshot({str(result.output)!r}).functions; "
        "print(f[(f.status == 'configured') & f.on_failure_destination.isna()].function_urn.to_csv(index=False))"
    )
    return [f"{message}; list them with: {program_name(sys.executable)} -c {shlex.quote(code)}"]


def _entries(count: int) -> str:
    return format_count(count, "entry", "entries")


def problems(result: Result) -> list[str]:
    """One sentence for each problem of a run."""
    manifest = result.manifest
    stopped = [scope for scope in manifest["scopes"] if scope["stopped"]]
    messages = [_stopped(scope) for scope in stopped]
    if not manifest["input"]["urns"]:
        messages.append(_no_urns(manifest["input"]))
    messages += [
        f"{format_number(count)} failed with {kind}, such as: {shorten(result.examples[kind])}"
        for kind, count in manifest["counts"]["error_kind"].items()
        if kind in result.examples and not any(scope["stopped"].startswith(kind) for scope in stopped)
    ]
    messages += describe_failed_reports(manifest)
    counts = manifest["counts"]["status"]
    again = resume_command(result.output)
    if counts[Status.NOT_ATTEMPTED]:
        advice = " and ".join(dict.fromkeys(map(_advice, stopped))) or "fix the problem above"
        messages.append(
            f"{_urns_were(counts[Status.NOT_ATTEMPTED])} not attempted: {advice}, then continue with: {again}"
        )
    elif counts[Status.FAILED]:
        advice = "".join(f"{advice}, then " for advice in dict.fromkeys(map(_advice, stopped)))
        messages.append(f"{format_count(counts[Status.FAILED], 'URN')} failed; {advice}export them again with: {again}")
    return list(map(printable, messages))


def _no_urns(read: dict[str, Any]) -> str:
    names = ", ".join(file["path"] for file in read["files"])
    if read.get("listed") and not read["entries"]:
        who = "the project has" if len(read["files"]) == 1 else "the projects have"
        return f"{names}: {who} no functions; if this is wrong, check --region and --project-id"
    entries = f"none of the {_entries(read['entries'])} of {names} is a function URN, as the rejects table says"
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
    counts = ", ".join(f"{name} {format_count(count, 'row')}" for name, count in counted.items())
    return f"{counts} ({formats})"


def next_steps(result: Result) -> list[str]:
    """Commands worth trying after the demo, whose emulator has ended; the first one shows what failed."""
    code = f"import inventory; print(inventory.open_snapshot({str(result.folder)!r}).functions.status.value_counts())"
    program = program_name(sys.argv[0])
    return [
        *([f"{program} status {shell_word(str(result.folder))}"] if result.exit_code is not ExitCode.ANSWERED else []),
        f"{program_name(sys.executable)} -c {shlex.quote(code)}",
        f"{program} schema functions",
        f"HW_AUTH_TOKEN=... {program} export my-urns.txt",
    ]


def _shared_limits(scopes: list[dict[str, Any]]) -> list[str]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for scope in scopes:
        if scope.get("shared_limit"):
            groups.setdefault(scope["endpoint"], []).append(scope)
    lines = []
    for endpoint, group in groups.items():
        limit = group[0]["shared_limit"]
        usage = _usage(limit, group[0]["shared_limit_used"])
        scopes_of = f"{format_count(len(group), 'scope')} of {endpoint} (policy {limit['policy']})"
        lines.append(f"limit learned for {scopes_of}: {usage}")
    return lines


def _learnt(scope: dict[str, Any]) -> str:
    usage = _usage(scope["limit_learnt"], scope["limit_used"])
    return f"limit learned in {_name(scope)}: {usage}, {format_count(scope['refused'], 'call')} refused"


def _usage(limit: dict[str, Any], used: float | None) -> str:
    text = f"{format_count(limit['calls'], 'call')} in {duration(limit['seconds'])}"
    return text if used is None else f"{text}, {format_share(used)} of it used since"


def _urns_were(count: int) -> str:
    return format_count(count, "URN was", "URNs were")


def _stopped(scope: dict[str, Any]) -> str:
    return f"{_name(scope)} at {scope['endpoint']} was stopped: {scope['stopped']}"


def _advice(scope: dict[str, Any]) -> str:
    kind = scope["stopped"].split(":")[0]
    if kind == "out of time":
        return _OUT_OF_TIME
    return _ADVICE.get(kind, _ADVICE_OTHERS)


def _name(scope: dict[str, Any]) -> str:
    return f"{scope['region']}/{scope['project_id']}"
