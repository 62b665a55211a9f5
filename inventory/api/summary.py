"""The summary of a snapshot: text for a terminal, HTML for a notebook.

All text from outside is escaped, and the HTML loads nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.display.formatting import format_count, format_number, format_share
from inventory.errors import ExitCode, Status
from inventory.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS: Final = {
    Status.CONFIGURED: "#23874f",
    Status.NOT_CONFIGURED: "#6f7885",
    Status.NOT_FOUND: "#8a68c8",
    Status.FAILED: "#d0443f",
    Status.NOT_ATTEMPTED: "#b06f10",
}
"""Visible on a light and on a dark page."""
_HATCHES: Final = {
    Status.NOT_CONFIGURED: "45deg",
    Status.NOT_FOUND: "90deg",
    Status.FAILED: "0deg",
    Status.NOT_ATTEMPTED: "-45deg",
}
"""Angles of stripes, for print without colours."""
_MEANINGS: Final = {
    Status.CONFIGURED: "has a configuration",
    Status.NOT_CONFIGURED: "has no configuration",
    Status.NOT_FOUND: "function, version or alias does not exist",
    Status.FAILED: "call failed",
    Status.NOT_ATTEMPTED: "not called: the run stopped before",
}
_ENDS: Final = {
    ExitCode.ANSWERED: "complete: every URN is answered",
    ExitCode.SOME_FAILED: "finished, but some URNs failed",
    ExitCode.USAGE: "the list contained no function URN",
    ExitCode.CREDENTIALS: "the credential was refused",
    ExitCode.STOPPED: "stopped by the service, or out of time",
}
_NUMBERS: Final = {"URNs", "share", "on_success", "on_failure", "exit code", "size"}
"""Columns of numbers."""
_UNKNOWN: Final = (Status.FAILED, Status.NOT_ATTEMPTED)
_MAX_TEXT: Final = 160
_MAX_STOPS: Final = 5


class DestinationCounts(NamedTuple):
    """Number of destinations by type and event; None where they were not counted, for ``reason``."""

    counts: dict[str, dict[str, int]] | None
    reason: str = ""


class SummaryData(NamedTuple):
    """What a summary shows.

    Attributes:
        location: the run's folder or URL.
        manifest: the run's manifest.
        bodies_dropped: whether the raw answers were removed from the run's ledger.
        now: the current time.
    """

    location: str
    manifest: dict[str, Any]
    bodies_dropped: bool
    now: datetime

    @property
    def counts(self) -> dict[Status, int]:
        """URNs by status, without statuses that this version does not know."""
        by_status = self.manifest["counts"]["status"]
        return {status: int(by_status.get(status, 0)) for status in Status}

    @property
    def urns(self) -> int:
        """Distinct URNs of the list."""
        return int(self.manifest["input"]["urns"])

    @property
    def finished(self) -> datetime:
        """When the run ended."""
        return parse_time(self.manifest["finished"])

    @property
    def coverage(self) -> str:
        """The shares of answered and of unknown URNs."""
        unknown = sum(self.counts[status] for status in _UNKNOWN)
        if not self.urns:
            return "no URNs"
        if not unknown:
            return "100% answered"
        return f"{format_share(self.urns - unknown, self.urns)} answered, {format_share(unknown, self.urns)} unknown"

    @property
    def end(self) -> str:
        """How the run ended."""
        code = int(self.manifest["exit_code"])
        return _ENDS.get(ExitCode(code), f"exit code {code}") if code in set(ExitCode) else f"exit code {code}"


def parse_time(text: str) -> datetime:
    """A time of the manifest, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)


def format_age(then: datetime, now: datetime) -> str:
    """How long ago a time was, in its largest unit."""
    seconds = (now - then).total_seconds()
    for name, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{format_count(count, name)} ago"
    return "just now" if seconds > -60 else "in the future: a clock is wrong"  # noqa: PLR2004 - one minute


def describe_unknown(data: SummaryData) -> list[str]:
    """One sentence for each kind of thing that the run did not learn."""
    messages = [] if data.urns else ["the list contained no function URN: the tables are empty"]
    counts = data.counts
    if counts[Status.FAILED]:
        kinds = data.manifest["counts"]["error_kind"].items()
        reasons = ", ".join(f"{format_number(count)} {kind}" for kind, count in kinds if count)
        failed = format_count(counts[Status.FAILED], "URN")
        messages.append(f"{failed} failed ({reasons}): the configuration is unknown, not absent")
    if counts[Status.NOT_ATTEMPTED]:
        left = counts[Status.NOT_ATTEMPTED]
        verb = "was" if left == 1 else "were"
        messages.append(f"{format_count(left, 'URN')} {verb} not attempted: the configuration is unknown")
    stopped = [scope for scope in data.manifest["scopes"] if scope["stopped"]]
    messages += [
        f"{scope['region']}/{scope['project_id']} is incomplete, it was stopped: "
        f"{printable(scope['stopped'], _MAX_TEXT)}"
        for scope in stopped[:_MAX_STOPS]
    ]
    if len(stopped) > _MAX_STOPS:
        messages.append(f"{format_count(len(stopped) - _MAX_STOPS, 'more stopped scope')}; see .manifest['scopes']")
    return list(map(printable, messages))


def describe_warnings(data: SummaryData) -> list[str]:
    """One sentence for each thing that a reader of the tables must know."""
    messages, read = describe_unknown(data), data.manifest["input"]
    if any(data.counts[status] for status in _UNKNOWN):
        messages.append("export these alone again: inventory export --resume, or inventory.export(..., resume=True)")
    if read["rejects"]:
        entries = format_count(read["entries"], "entry", "entries")
        verb = "is" if read["rejects"] == 1 else "are"
        messages.append(f"{format_number(read['rejects'])} of {entries} {verb} no function URN; see .rejects")
    if data.bodies_dropped:
        messages.append("the raw answers were dropped (--drop-bodies): these tables cannot be rebuilt")
    return messages


def to_text(data: SummaryData) -> str:
    """The summary for a terminal."""
    counts = ", ".join(f"{format_number(count)} {status}" for status, count in data.counts.items() if count)
    taken = f"{data.manifest['finished']}, {format_age(data.finished, data.now)}"
    lines = [f"Snapshot({data.location!r}: {format_count(data.urns, 'URN')}, {data.coverage}, {taken})"]
    lines += [f"  {counts}"] if counts else []
    lines += [f"  {data.end}", *(f"  ! {printable(warning)}" for warning in describe_warnings(data))]
    return "\n".join(lines)


def to_html(data: SummaryData, destinations: DestinationCounts) -> str:
    """The summary for a notebook."""
    taken = f"{data.finished:%Y-%m-%d %H:%M:%S} UTC, {format_age(data.finished, data.now)}"
    tables = [_status_table(data), _destination_table(destinations)]
    kinds = {name: count for name, count in data.manifest["counts"]["error_kind"].items() if count}
    if kinds:
        tables.append(
            html_table(("error kind", "URNs"), [(kind, format_number(count)) for kind, count in kinds.items()])
        )
    parts = [
        f"<b>{format_count(data.urns, 'URN')}</b>, {escape(data.coverage)}",
        f"<code>{safe_html(data.location)}</code> · taken {escape(taken)} · {escape(data.end)}",
        _bar(data),
        f'<div style="display:flex;flex-wrap:wrap;gap:0 2em;align-items:flex-start">{"".join(tables)}</div>',
        *(f"<b>Warning:</b> {safe_html(message)}" for message in describe_warnings(data)),
        escape(_describe_input(data)),
        "<code>.functions .destinations .calls .rejects .manifest</code>",
    ]
    return "".join(f"<div>{part}</div>" for part in parts)


def _bar(data: SummaryData) -> str:
    pieces = "".join(
        f'<div title="{format_number(count)} {status}" style="flex:{count} 0 2px;{_fill(status)}"></div>'
        for status, count in data.counts.items()
        if count
    )
    return f'<div style="display:flex;gap:1px;height:9px;margin:.6em 0">{pieces}</div>'


def _fill(status: Status) -> str:
    colour, angle = COLOURS[status], _HATCHES.get(status)
    stripes = f"repeating-linear-gradient({angle},{colour} 0 3px,transparent 3px 4px)"
    return f"background:{stripes if angle else colour}"


def _status_table(data: SummaryData) -> str:
    rows = [
        (status.value, format_number(count), format_share(count, data.urns), _MEANINGS[status])
        for status, count in data.counts.items()
        if count
    ]
    style = "display:inline-block;width:9px;height:9px"
    swatches = [f'<span style="{style};{_fill(status)}"></span> ' for status, count in data.counts.items() if count]
    return html_table(("status", "URNs", "share", "meaning"), rows, swatches)


def _destination_table(destinations: DestinationCounts) -> str:
    names = ("destination", "on_success", "on_failure")
    if destinations.counts is None:
        return html_table(names[:1], [(destinations.reason,)])
    rows = [
        (kind, *(format_number(events.get(event, 0)) for event in names[1:]))
        for kind, events in sorted(destinations.counts.items(), key=lambda item: -sum(item[1].values()))
    ]
    return html_table(names, rows or [("none is set",)])


def _describe_input(data: SummaryData) -> str:
    read, requests, scopes = data.manifest["input"], data.manifest["requests"], data.manifest["scopes"]
    regions = len({scope["region"] for scope in scopes})
    return (
        f"{format_count(read['entries'], 'entry', 'entries')}: {format_count(read['urns'], 'URN')}, "
        f"{format_count(read['duplicates'], 'duplicate')}, {format_count(read['rejects'], 'reject')} · "
        f"{format_count(len(scopes), 'scope')} in {format_count(regions, 'region')} · "
        f"{format_count(requests['total'], 'call')}, "
        f"{format_number(requests['throttled'])} throttled"
    )


def html_table(names: Sequence[str], rows: Sequence[Sequence[str]], prefixes: Sequence[str] = ()) -> str:
    """A table of escaped cells; ``prefixes`` is HTML in front of the first cell of each row."""
    styles = [f"text-align:{'right' if name in _NUMBERS else 'left'}" for name in names]
    lines = ["".join(f'<th style="{style}">{escape(name)}</th>' for name, style in zip(names, styles, strict=True))]
    for row, prefix in zip_longest(rows, prefixes, fillvalue=""):
        cells = [prefix + safe_html(row[0]), *map(safe_html, row[1:])]
        lines.append("".join(f'<td style="{style}">{cell}</td>' for cell, style in zip(cells, styles, strict=False)))
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def safe_html(text: str) -> str:
    """Escapes foreign text for HTML."""
    return escape(printable(text))
