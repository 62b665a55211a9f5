"""A difference between two runs, written: as text, JSON, CSV, Parquet or Markdown.

Owns these forms; all of them hold the same rows, in the same order, and leave nothing out. Memory stays flat: rows go
through some at a time.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import groupby, zip_longest
from operator import itemgetter
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from inventory.comparison.fields import EVENTS
from inventory.comparison.kinds import CHANGED_KINDS, FACTS_CHANGED, Kind
from inventory.comparison.result import meaning_of
from inventory.display.formatting import duration, format_count, format_number
from inventory.display.markdown import code_span, escape_markdown
from inventory.exact_json import json_text, parsed, same
from inventory.printable import printable, printable_json
from inventory.tables.arrow import to_objects
from inventory.tables.writer import guard_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inventory.comparison.result import Diff

    Cells = dict[str, Any]
    Paint = Callable[[str, str], str]

_MARKS: Final = {
    Kind.ADDED: ("+", "green"),
    Kind.REMOVED: ("-", "red"),
    Kind.STATUS_CHANGED: ("!", "yellow"),
    Kind.CHANGED: ("~", "yellow"),
    Kind.UNKNOWN: ("?", "magenta"),
    Kind.NEWLY_KNOWN: ("=", "cyan"),
    Kind.NOT_LISTED: ("<", "blue"),
    Kind.NEWLY_LISTED: (">", "blue"),
    FACTS_CHANGED: ("*", "yellow"),
}
_SIDES: Final = (("before", "old_status"), ("after", "new_status"))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_JSON: Final = frozenset({"param", "extra"})
_NOT_SET: Final = object()
_LAST: Final = frozenset({"created_time", "last_modified", "extra"})
_UNITS: Final = {"max_async_event_age_in_seconds": " s"}


class Selection(NamedTuple):
    """Which changes the text shows.

    Attributes:
        limit: maximum number of URNs; 0 for all.
        kinds: kinds of changes; empty for all.
    """

    limit: int = 0
    kinds: tuple[str, ...] = ()


_ALL: Final = Selection()


def write(diff: Diff, form: str, sink: IO[bytes], paint: Paint | None = None, selection: Selection = _ALL) -> None:
    """Writes a difference in one of the forms.

    Args:
        diff: what is written.
        form: text, json, csv, parquet or markdown.
        sink: where to.
        paint: gives a text a colour, for a terminal.
        selection: which changes the text shows.
    """
    if form == "parquet":
        _write_parquet(diff, sink)
    elif form == "csv":
        _write_csv(diff, sink)
    else:
        lines = (
            _text(diff, paint or _plain, selection)
            if form == "text"
            else {"json": _json, "markdown": _markdown}[form](diff)
        )
        for line in lines:
            sink.write(f"{line}\n".encode(errors="surrogateescape"))


def verdict(diff: Diff) -> str:
    """One sentence on the changes and the unknown URNs."""
    changes = sum(diff.counts[kind] for kind in CHANGED_KINDS)
    words = [f"{format_number(changes)} of {format_count(_count_urns(diff), 'URN')} changed"]
    if diff.counts.get(FACTS_CHANGED):
        words.append(f"facts of {format_count(diff.counts[FACTS_CHANGED], 'URN')} changed")
    if diff.counts[Kind.UNKNOWN]:
        words.append(
            f"unknown, as they failed in NEW or were not attempted: {format_number(diff.counts[Kind.UNKNOWN])}"
        )
    if diff.counts[Kind.NOT_LISTED]:
        words.append(f"not on NEW's list: {format_number(diff.counts[Kind.NOT_LISTED])}")
    return "; ".join(words)


def _count_urns(diff: Diff) -> int:
    return sum(count for kind, count in diff.counts.items() if kind != FACTS_CHANGED)


def _plain(text: str, _color: str) -> str:
    return text


def _rows(diff: Diff) -> Iterator[Cells]:
    for batch in diff.batches():
        yield from to_objects(batch)


def _changes_first(diff: Diff) -> Iterator[tuple[str, Iterator[Cells]]]:
    changed = any(diff.counts[kind] for kind in CHANGED_KINDS)
    if changed:
        yield "Changed", (cells for cells in _rows(diff) if cells["kind"] in CHANGED_KINDS)
    if sum(diff.counts[kind] for kind in Kind if kind not in CHANGED_KINDS):
        yield (
            "Unknown or not listed",
            (cells for cells in _rows(diff) if cells["kind"] not in (*CHANGED_KINDS, FACTS_CHANGED)),
        )
    if diff.counts.get(FACTS_CHANGED):
        yield "Facts changed", (cells for cells in _rows(diff) if cells["kind"] == FACTS_CHANGED)


def _json(diff: Diff) -> Iterator[str]:
    sides = {name: _as_json(side._asdict()) for name, side in _sides(diff)}
    yield "{"
    for name, side in sides.items():
        yield f'"{name}": {side},'
    yield f'"warnings": {_as_json(diff.warnings)},'
    yield f'"changed": {json.dumps(diff.changed)},'
    yield f'"counts": {json.dumps(dict(diff.counts))},'
    yield f'"fields": {json.dumps(dict(diff.fields))},'
    before = '"changes": ['
    for cells in _rows(diff):
        yield before
        if cells["known_at"] is not None:
            moment = _EPOCH + timedelta(microseconds=cells["known_at"])
            cells["known_at"] = moment.isoformat().replace("+00:00", "Z")
        before = f"{_as_json(cells)},"
    yield before.removesuffix(",")
    yield "]}"


def _as_json(value: object) -> str:
    return printable_json(json.dumps(value, ensure_ascii=False))


def _sides(diff: Diff) -> tuple[tuple[str, Any], ...]:
    return ("old", diff.old), ("new", diff.new)


def _write_parquet(diff: Diff, sink: IO[bytes]) -> None:
    with pq.ParquetWriter(pa.PythonFile(sink, "w"), diff.schema, compression="zstd") as writer:
        for batch in diff.batches():
            writer.write_batch(batch)


def _write_csv(diff: Diff, sink: IO[bytes]) -> None:
    options = pa_csv.WriteOptions(quoting_style="needed")
    with pa_csv.CSVWriter(pa.PythonFile(sink, "w"), diff.schema, write_options=options) as writer:
        for batch in diff.batches():
            writer.write_batch(guard_batch(batch))


def _text(diff: Diff, paint: Paint, selection: Selection) -> Iterator[str]:
    for name, side in _sides(diff):
        yield printable(f"{name.upper()}  {side.path}  {side.finished}  {format_count(side.urns, 'URN')}")
    yield ""
    yield from _count_lines(diff, paint)
    if diff.fields:
        yield ""
        yield "fields that differ:"
        width = len(format_number(max(diff.fields.values())))
        yield from (f"  {format_number(count):>{width}} {name}" for name, count in diff.fields.items())
    shown = hidden = 0
    for title, rows in _changes_first(diff):
        heading = ["", paint(f"{title}:", "")]
        chosen = (row for row in rows if not selection.kinds or row["kind"] in selection.kinds)
        for _, of_urn in groupby(chosen, key=itemgetter("function_urn")):
            if selection.limit and shown >= selection.limit:
                hidden += 1
                continue
            shown += 1
            yield from heading
            heading = []
            yield from _functions(of_urn, paint)
    if hidden:
        yield ""
        yield f"{format_count(hidden, 'more URN')}: --limit 0 shows all, --kind filters, --output writes a file"


def _functions(rows: Iterator[Cells], paint: Paint) -> Iterator[str]:
    urn = None
    for cells in rows:
        if cells["function_urn"] != urn:
            urn = cells["function_urn"]
            mark, color = _MARKS[cells["kind"]]
            yield ""
            yield paint(printable(f"{mark} {urn}"), color)
            yield from (f"    {printable(line)}" for line in _fate(cells))
        yield from (f"    {printable(line)}" for line in (_of_field(cells) if cells["field"] else _of_config(cells)))


def _count_lines(diff: Diff, paint: Paint) -> Iterator[str]:
    width = len(format_number(max(diff.counts.values())))
    names = max(map(len, diff.counts))
    for kind, count in diff.counts.items():
        mark, color = _MARKS.get(kind, (" ", ""))
        if count:
            line = f"{mark} {format_number(count):>{width}} {kind:<{names}}"
            yield f"{paint(line, color) if color else line}  {meaning_of(kind)}"


def _fate(cells: Cells) -> list[str]:
    words = [cells["kind"]]
    if cells["kind"] not in {Kind.CHANGED, FACTS_CHANGED}:
        why = f" ({cells['error_kind']})" if cells["error_kind"] else ""
        words[0] += f": {cells['old_status'] or 'not listed'} -> {cells['new_status'] or 'not listed'}{why}"
    if cells["note"]:
        words.append(cells["note"])
    if cells["age_seconds"] is not None:
        words.append(f"OLD's answer was {_age(cells['age_seconds'])} NEW was finished")
    return words


def _age(seconds: int) -> str:
    if seconds < 0:
        return f"made {duration(-seconds)} after"
    return f"{duration(seconds)} old when"


def _of_field(cells: Cells) -> Iterator[str]:
    """One field, before and after; of two objects or lists, the parts that differ."""
    name = f"{cells['event']}.{cells['field']}" if cells["event"] else cells["field"]
    (was, was_valid), (now, now_valid) = parsed(cells["before"]), parsed(cells["after"])
    if not (was_valid and now_valid and cells["field"] in _JSON and _is_same_container(was, now)):
        yield f"{name}: {_shown(cells['before'])} -> {_shown(cells['after'])}{_UNITS.get(name, '')}"
        return
    for path, *sides in _nested_differences(was, now):
        yield f"{name}{path}: {' -> '.join('not set' if side is _NOT_SET else json_text(side) for side in sides)}"


def _is_same_container(was: object, now: object) -> bool:
    return any(isinstance(was, kind) and isinstance(now, kind) for kind in (dict, list))


def _nested_differences(was: object, now: object) -> Iterator[tuple[str, object, object]]:
    """Paths in two values where their meanings differ, and both sides there; values may be deep."""
    waiting: list[tuple[str, Any, Any]] = [("", was, now)]
    while waiting:
        path, old, new = waiting.pop()
        if not _is_same_container(old, new):
            if old is _NOT_SET or new is _NOT_SET or not same(old, new):
                yield path, old, new
            continue
        if isinstance(old, list):
            pairs = [
                (f"{path}[{place}]", *pair) for place, pair in enumerate(zip_longest(old, new, fillvalue=_NOT_SET))
            ]
        else:
            pairs = [(f"{path}.{key}", old.get(key, _NOT_SET), new.get(key, _NOT_SET)) for key in sorted({*old, *new})]
        waiting += reversed(pairs)


def _shown(text: str | None) -> str:
    return "not set" if text is None else text or '""'


def _of_config(cells: Cells) -> Iterator[str]:
    """What is there now, or was; an answered URN that is the one asked for says nothing new."""
    for side, name in (("before", "OLD"), ("after", "NEW")):
        config = parsed(cells[side])[0] or {}
        for field, value in sorted(config.items(), key=lambda item: item[0] in _LAST):
            if field in EVENTS:
                for key, part in value.items():
                    parts = {f".{one}": of_it for one, of_it in part.items()} if isinstance(part, dict) else {"": part}
                    yield from (
                        f"{name} {field}.{key}{one}: {_told(of_it)}" for one, of_it in (parts or {"": {}}).items()
                    )
            elif value != cells["function_urn"]:
                yield f"{name} {field}: {_told(value)}{_UNITS.get(field, '')}"


def _told(value: object) -> str:
    return value if isinstance(value, str) else json_text(value)


def _markdown(diff: Diff) -> Iterator[str]:
    yield "### What changed"
    yield ""
    for name, side in _sides(diff):
        yield f"- {name.upper()}: {code_span(side.path)}, {side.finished}, {format_count(side.urns, 'URN')}"
    yield from (f"- **Note:** {escape_markdown(words)}" for words in diff.warnings)
    yield ""
    yield "| URNs | kind | meaning |"
    yield "|--:|---|---|"
    yield from (
        f"| {format_number(count)} | {kind} | {meaning_of(kind)} |" for kind, count in diff.counts.items() if count
    )
    for title, rows in _changes_first(diff):
        yield ""
        yield f"#### {title}"
        yield from _tables(rows)


def _tables(rows: Iterator[Cells]) -> Iterator[str]:
    project = None
    for cells in rows:
        if (cells["region"], cells["project_id"]) != project:
            project = cells["region"], cells["project_id"]
            yield ""
            yield f"{escape_markdown('/'.join(project))}:"
            yield ""
            yield "| function | kind | field | before | after |"
            yield "|---|---|---|---|---|"
        function = cells["function_urn"].split(":", 5)[5]
        field = f"{cells['event']}.{cells['field']}" if cells["event"] else cells["field"]
        sides = (
            [code_span(cells[side]) or cells[status] or "not listed" for side, status in _SIDES] if not field else None
        )
        was, now = sides or [code_span(cells[side]) or "not set" for side, _ in _SIDES]
        words = "; ".join(_fate(cells))
        yield f"| {code_span(function)} | {escape_markdown(words)} | {field or ''} | {was} | {now} |"
