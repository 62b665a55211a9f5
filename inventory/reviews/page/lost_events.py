"""Pictures: functions that lose events, by project, package and outage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.display.formatting import format_count, format_share
from inventory.printable import printable
from inventory.reviews.labels import cut
from inventory.reviews.page.bars import Bar, Part, draw_bars

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inventory.reviews.page.canvas import Picture
    from inventory.reviews.reviewed import Reviewed

_SHOWN: Final = 10
_TABLE_ROWS: Final = 50
_OUTAGES_S: Final = {
    "1 minute": 60,
    "5 minutes": 300,
    "15 minutes": 900,
    "1 hour": 3600,
    "3 hours": 10_800,
    "6 hours": 21_600,
    "12 hours": 43_200,
    "1 day": 86_400,
    "2 days": 172_800,
    "7 days": 604_800,
}
_PLAIN_OUTAGE: Final = "1 hour"
_NAME_IN_TITLE: Final = 28
"""Characters."""

_GROUPS: Final = """
WITH of_functions AS (
    SELECT
        project_id, package, bool_or(NOT has_failure_destination) AS is_lost,
        count(*) > count(has_failure_destination) AS has_unknown
    FROM subjects GROUP BY region, project_id, package, function_name
), counted AS (
    SELECT
        {columns}, count(*) AS functions, count(*) FILTER (is_lost) AS lost,
        count(*) FILTER (has_unknown AND NOT coalesce(is_lost, false)) AS unknown
    FROM of_functions GROUP BY ALL
)
SELECT
    count(*) OVER (), sum(functions) OVER ()::BIGINT, sum(lost) OVER ()::BIGINT, sum(unknown) OVER ()::BIGINT, *
FROM counted ORDER BY lost DESC, lost / functions DESC, {columns} LIMIT {limit}
"""
"""Totals of all groups, and a group."""

_AGES: Final = """
WITH of_functions AS (
    SELECT
        min(dropped_after_outage_s) AS age,
        min(dropped_after_outage_s) FILTER (NOT has_failure_destination) AS silent_age,
        count(*) > count(dropped_after_outage_s) AS has_unknown
    FROM exposure JOIN subjects USING (id)
    GROUP BY region, project_id, package, function_name
), outages AS (
    SELECT unnest($outages) AS outage
)
SELECT outage, count(*) FILTER (age < outage), count(*) FILTER (silent_age < outage),
    count(*) FILTER (has_unknown AND NOT coalesce(age < outage, false)), count(*)
FROM of_functions, outages GROUP BY outage ORDER BY outage
"""
_LOST: Final = Part("no failure destination: events are lost silently", "lost", hatched=True)
_UNKNOWN: Final = Part("not known: the configuration was not read", "unknown")


class _Outage(NamedTuple):
    """An outage, and functions: those that drop events, silently, maybe, and all."""

    name: str
    dropped: int
    silent: int
    unknown: int
    functions: int


class _Groups(NamedTuple):
    rows: list[tuple[Any, ...]]
    total: int
    functions: int
    lost: int
    unknown: int


def draw_lost_events(reviewed: Reviewed) -> Iterator[Picture]:
    """Draws what the functions lose; a picture that would show nothing is left out."""
    projects, packages = _read(reviewed, "project_id"), _read(reviewed, "package, project_id")
    if projects.total > 1:
        yield _draw_groups("projects", "project", projects)
    if packages.functions:
        yield _draw_groups("packages", "package", packages, has_context=projects.total > 1)
    outages = reviewed.query(_AGES, {"outages": list(_OUTAGES_S.values())})
    if outages:
        names = (_Outage(name, *row[1:]) for name, row in zip(_OUTAGES_S, outages, strict=True))
        yield _draw_outages(list(names))


def _read(reviewed: Reviewed, columns: str) -> _Groups:
    rows = reviewed.query(_GROUPS.format(columns=columns, limit=_TABLE_ROWS))
    totals = rows[0][:4] if rows else (0, 0, 0, 0)
    return _Groups([row[4:] for row in rows], *totals)


def _draw_groups(name: str, noun: str, groups: _Groups, *, has_context: bool = False) -> Picture:
    bars = [_share_bar(row[0], row[-3:], str(row[1]) if has_context else "") for row in groups.rows[:_SHOWN]]
    left = groups.total - len(bars)
    if left:
        sums = [sum(row[column] for row in groups.rows[:_SHOWN]) for column in (-3, -2, -1)]
        totals = groups.functions, groups.lost, groups.unknown
        rest = tuple(total - part for total, part in zip(totals, sums, strict=True))
        bars.append(_share_bar(f"{format_count(left, f'other {noun}')}", rest)._replace(is_rest=True))
    parts = [_LOST, _UNKNOWN] if groups.unknown else [_LOST]
    canvas = draw_bars(name, [bar._replace(amounts=bar.amounts[: len(parts)]) for bar in bars], parts, 1)
    columns = (
        noun,
        *(["project"] if noun == "package" else []),
        "functions",
        "lose events silently",
        "not known",
    )
    listed = "; ".join(f"{printable(str(row[0]), 80)}: {row[-2]:,} of {row[-3]:,}" for row in groups.rows[:_SHOWN])
    description = (
        f"Functions without a failure destination, whose failed events are lost silently, by {noun}: {listed}. "
        f"{groups.unknown:,} are not known."
    )
    return canvas.picture(_groups_title(noun, groups), description, columns, tuple(groups.rows))


def _share_bar(name: Any, counts: tuple[int, ...], context: str = "") -> Bar:  # noqa: ANN401 - a cell
    functions, lost, unknown = counts
    shares = (lost / functions, unknown / functions)
    return Bar(str(name), f"{lost:,} of {functions:,} ({format_share(lost, functions)})", shares, context)


def _groups_title(noun: str, groups: _Groups) -> str:
    verb = "loses" if groups.lost == 1 else "lose"
    whole = f"{groups.lost:,} of {format_count(groups.functions, 'function')} {verb} events silently"
    if not groups.lost:
        return f"No function is known to lose events silently in any {noun}"
    first = groups.rows[0]
    name = cut(printable(str(first[0])), _NAME_IN_TITLE)
    if groups.total == 1:
        return f"{whole}, all in {noun} {name}"
    return f"{whole}; {noun} {name} has the most, {first[-2]:,} of {first[-3]:,}"


def _draw_outages(outages: list[_Outage]) -> Picture:
    """Draws outages up to the length that reaches all known event ages."""
    last = next(number for number, outage in enumerate(outages) if outage.dropped == outages[-1].dropped)
    functions = outages[0].functions
    bars = [
        Bar(
            f"after {outage.name}",
            f"{outage.dropped:,} of {functions:,}",
            (outage.silent, outage.dropped - outage.silent, outage.unknown),
        )
        for outage in outages[: last + 1]
    ]
    parts = [
        Part("drop events silently: no failure destination", "lost", hatched=True),
        Part("drop events; a failure destination is set", "kept"),
        Part("not known: no event age was read", "unknown"),
    ]
    canvas = draw_bars("outages", bars, parts, functions)
    listed = "; ".join(f"{bar.name}: {bar.value}" for bar in bars)
    description = f"Functions that drop events because an outage is longer than their event age: {listed}."
    columns = ("outage", "functions that drop events", "of these silently", "not known")
    rows = tuple((outage.name, outage.dropped, outage.silent, outage.unknown) for outage in outages)
    return canvas.picture(_outage_title(outages), description, columns, rows)


def _outage_title(outages: list[_Outage]) -> str:
    plain = next(outage for outage in outages if outage.name == _PLAIN_OUTAGE)
    outage = plain if plain.dropped else next((outage for outage in outages if outage.dropped), plain)
    if not outage.dropped:
        return "No function is known to drop an event in an outage of 7 days"
    verb = "drops" if outage.dropped == 1 else "drop"
    return (
        f"{outage.dropped:,} of {format_count(outage.functions, 'function')} {verb} events in an outage of "
        f"{outage.name}, {outage.silent:,} of them silently"
    )
