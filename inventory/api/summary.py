"""The card of a snapshot: what a person sees of it first, as text in a terminal and as HTML in a notebook.

Owns its words and its looks. Is given a manifest and a few counts; reads no file. All that comes from outside is
escaped, and the HTML needs nothing from elsewhere. Only swatches have colours of their own: light and dark themes suit.
"""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.errors import ExitCode, Status
from inventory.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

_COLOURS: Final = {
    Status.CONFIGURED: "#2f9e62",
    Status.NOT_CONFIGURED: "#8a93a0",
    Status.NOT_FOUND: "#9a7bd0",
    Status.FAILED: "#d9534f",
    Status.NOT_ATTEMPTED: "#e39b2d",
}
_MEANINGS: Final = {
    Status.CONFIGURED: "there is a config",
    Status.NOT_CONFIGURED: "the service knows no config",
    Status.NOT_FOUND: "function, version or alias does not exist",
    Status.FAILED: "asked, and not answered",
    Status.NOT_ATTEMPTED: "never asked: the run stopped before",
}
_ENDS: Final = {
    ExitCode.ANSWERED: "complete: every URN is answered",
    ExitCode.SOME_FAILED: "finished, but some URNs failed",
    ExitCode.USAGE: "the list held no function URN",
    ExitCode.CREDENTIALS: "the credential was refused",
    ExitCode.STOPPED: "stopped by the service, or out of time",
}
_WORDS: Final = ("status", "type", "kind", "")
"""Heads of columns whose cells are words, not numbers."""
_UNKNOWN: Final = (Status.FAILED, Status.NOT_ATTEMPTED)
_MAX_TEXT: Final = 160
_MAX_STOPS: Final = 5
_RULE: Final = "1px solid rgba(128,128,128,.35)"
_CODE: Final = "background:none;padding:0;color:inherit;white-space:nowrap"
_CELL: Final = "padding:.15em .9em .15em 0;text-align:left;vertical-align:baseline;border:0;background:none"
_NUMBER: Final = _CELL.replace("text-align:left", "text-align:right;font-variant-numeric:tabular-nums")


class Destinations(NamedTuple):
    """How many destinations are set.

    Attributes:
        counts: by type, then by event; None where they were not counted.
        reason: why they were not.
    """

    counts: dict[str, dict[str, int]] | None
    reason: str = ""


class Facts(NamedTuple):
    """What a card shows.

    Attributes:
        place: the run's folder or URL.
        manifest: of the run.
        bodies_dropped: whether the run's ledger has forgotten what tables are made from.
        now: the time at which the card is looked at.
    """

    place: str
    manifest: dict[str, Any]
    bodies_dropped: bool
    now: datetime

    @property
    def counts(self) -> dict[Status, int]:
        """URNs by status; statuses that this version does not know are left out."""
        told = self.manifest["counts"]["status"]
        return {status: int(told.get(status, 0)) for status in Status}

    @property
    def urns(self) -> int:
        """Distinct URNs of the list."""
        return int(self.manifest["input"]["urns"])

    @property
    def finished(self) -> datetime:
        """When the run ended, which is the time that the tables tell of."""
        return moment(self.manifest["finished"])

    @property
    def coverage(self) -> str:
        """What share of the URNs is answered, and what share is unknown."""
        unknown = sum(self.counts[status] for status in _UNKNOWN)
        if not self.urns:
            return "no URNs"
        if not unknown:
            return "100% answered"
        return f"{share(self.urns - unknown, self.urns)} answered, {share(unknown, self.urns)} unknown"

    @property
    def end(self) -> str:
        """How the run ended, in words."""
        code = int(self.manifest["exit_code"])
        return _ENDS.get(ExitCode(code), f"exit code {code}") if code in set(ExitCode) else f"exit code {code}"


def moment(text: str) -> datetime:
    """A time of the manifest."""
    return datetime.fromisoformat(text).astimezone(UTC)


def age(then: datetime, now: datetime) -> str:
    """How long ago something was, in the unit that a person would say."""
    seconds = (now - then).total_seconds()
    for name, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count:,} {name}{'' if count == 1 else 's'} ago"
    return "just now" if seconds > -60 else "in the future: a clock is wrong"  # noqa: PLR2004


def share(part: int, whole: int) -> str:
    """A share as a percentage; what is not all or nothing never looks like it."""
    percent = 100 * part / whole
    if 0 < percent < 0.1:  # noqa: PLR2004 - what rounds to nothing
        return "<0.1%"
    if 99.9 < percent < 100:  # noqa: PLR2004 - what rounds to all
        return ">99.9%"
    return f"{percent:.1f}%" if 0 < part < whole else f"{percent:.0f}%"


def unknown(facts: Facts) -> list[str]:
    """What a run did not learn, one sentence each; none where every URN is answered."""
    found = [] if facts.urns else ["the list held no function URN: the tables are empty"]
    counts = facts.counts
    if counts[Status.FAILED]:
        kinds = facts.manifest["counts"]["error_kind"].items()
        why = ", ".join(f"{count:,} {kind}" for kind, count in kinds if count)
        found.append(f"{counts[Status.FAILED]:,} URNs failed ({why}): what they have is unknown, not absent")
    if counts[Status.NOT_ATTEMPTED]:
        found.append(f"{counts[Status.NOT_ATTEMPTED]:,} URNs were not attempted: nothing is known of them")
    stopped = [scope for scope in facts.manifest["scopes"] if scope["stopped"]]
    found += [
        f"{one['region']}/{one['project_id']} is incomplete, it was stopped: {printable(one['stopped'], _MAX_TEXT)}"
        for one in stopped[:_MAX_STOPS]
    ]
    if len(stopped) > _MAX_STOPS:
        found.append(f"{len(stopped) - _MAX_STOPS:,} more scopes were stopped; see .manifest['scopes']")
    return list(map(printable, found))


def warnings(facts: Facts) -> list[str]:
    """What a reader of the tables must know, one sentence each; none where all is well."""
    found, read = unknown(facts), facts.manifest["input"]
    if any(facts.counts[status] for status in _UNKNOWN):
        found.append("ask again for these alone: inventory export --resume, or inventory.export(..., resume=True)")
    if read["rejects"]:
        found.append(f"{read['rejects']:,} of {read['entries']:,} entries are no function URN; see .rejects")
    if facts.bodies_dropped:
        found.append("the raw answers were dropped (--drop-bodies): these tables cannot be built again")
    return found


def as_text(facts: Facts) -> str:
    """The card for a terminal."""
    counts = ", ".join(f"{count:,} {status.value}" for status, count in facts.counts.items() if count)
    taken = f"{facts.manifest['finished']}, {age(facts.finished, facts.now)}"
    lines = [f"Snapshot({facts.place!r}: {facts.urns:,} URNs, {facts.coverage}, {taken})"]
    lines += [f"  {counts}"] if counts else []
    lines += [f"  {facts.end}", *(f"  ! {printable(warning)}" for warning in warnings(facts))]
    return "\n".join(lines)


def as_html(facts: Facts, destinations: Destinations) -> str:
    """The card for a notebook."""
    sides = [_statuses(facts), _destinations(destinations)]
    kinds = {name: count for name, count in facts.manifest["counts"]["error_kind"].items() if count}
    if kinds:
        rows = [(_td(kind), _td(f"{count:,}", _NUMBER)) for kind, count in kinds.items()]
        sides.append(_table("Failures", ("kind", "URNs"), rows))
    parts = [_head(facts), _bar(facts), _columns(sides), *map(_warning, warnings(facts)), _foot(facts)]
    return f'<div style="font-size:13px;line-height:1.5;max-width:62em">{"".join(parts)}</div>'


def _head(facts: Facts) -> str:
    taken = f"{facts.finished:%Y-%m-%d %H:%M:%S} UTC, {age(facts.finished, facts.now)}"
    return (
        f'<div style="font-size:1.25em"><b>{facts.urns:,} URNs</b>, {escape(facts.coverage)}</div>'
        f'<div><code style="{_CODE}">{_safe(facts.place)}</code>'
        f'<span style="opacity:.75"> · taken {escape(taken)} · {escape(facts.end)}</span></div>'
    )


def _bar(facts: Facts) -> str:
    pieces = "".join(
        f'<div title="{count:,} {status.value}" style="flex:{count} 0 2px;background:{_COLOURS[status]}"></div>'
        for status, count in facts.counts.items()
        if count
    )
    return (
        f'<div style="display:flex;gap:1px;height:9px;margin:.6em 0;border-radius:3px;overflow:hidden">{pieces}</div>'
    )


def _statuses(facts: Facts) -> str:
    rows = []
    for status, count in facts.counts.items():
        if count:
            swatch = f'<span style="color:{_COLOURS[status]}">&#9632;</span> '
            number, part = _td(f"{count:,}", _NUMBER), _td(share(count, facts.urns), _NUMBER)
            name = f'<td style="{_CELL};white-space:nowrap">{swatch}{escape(status.value)}</td>'
            rows.append((name, number, part, _td(_MEANINGS[status], f"{_CELL};opacity:.75")))
    return _table("Statuses", ("status", "URNs", "share", ""), rows)


def _destinations(told: Destinations) -> str:
    if told.counts is None:
        return _table("Destinations", (), [(_td(told.reason),)])
    rows = [
        (_td(kind), *(_td(f"{events.get(event, 0):,}", _NUMBER) for event in ("on_success", "on_failure")))
        for kind, events in sorted(told.counts.items(), key=lambda one: -sum(one[1].values()))
    ]
    return _table("Destinations", ("type", "on_success", "on_failure"), rows or [(_td("none is set"),)])


def _foot(facts: Facts) -> str:
    read, requests, scopes = facts.manifest["input"], facts.manifest["requests"], facts.manifest["scopes"]
    regions = len({scope["region"] for scope in scopes})
    words = (
        f"{read['entries']:,} entries: {read['urns']:,} URNs, {read['duplicates']:,} duplicates, "
        f"{read['rejects']:,} rejects · {len(scopes):,} {'scope' if len(scopes) == 1 else 'scopes'} in "
        f"{regions:,} {'region' if regions == 1 else 'regions'} · {requests['total']:,} calls, "
        f"{requests['throttled']:,} throttled"
    )
    frames = ".functions .destinations .calls .rejects .manifest"
    return f'<div style="opacity:.75;margin-top:.6em">{escape(words)}<br><code style="{_CODE}">{frames}</code></div>'


def _warning(text: str) -> str:
    style = f"border-left:4px solid {_COLOURS[Status.NOT_ATTEMPTED]};padding:.05em .7em;margin:.3em 0"
    return f'<div style="{style}">{_safe(text)}</div>'


def _columns(blocks: list[str]) -> str:
    cells = "".join(f"<div>{block}</div>" for block in blocks)
    return f'<div style="display:flex;flex-wrap:wrap;gap:.4em 2.5em;align-items:flex-start">{cells}</div>'


def _table(title: str, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    heads = "".join(
        f'<th style="{_CELL if name in _WORDS else _NUMBER};font-weight:normal;opacity:.75">{escape(name)}</th>'
        for name in names
    )
    head = f'<tr style="background:none;border-bottom:{_RULE}">{heads}</tr>' if names else ""
    body = "".join(f'<tr style="background:none">{"".join(row)}</tr>' for row in rows)
    caption = f'<div style="font-weight:600">{title}</div>'
    style = "border-collapse:collapse;border:0;margin:0;font-size:1em;color:inherit"
    return f'{caption}<table style="{style}">{head}{body}</table>'


def _td(text: str, style: str = _CELL) -> str:
    return f'<td style="{style}">{_safe(text)}</td>'


def _safe(text: str) -> str:
    return escape(printable(text))
