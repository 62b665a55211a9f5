"""Readers of JSON lists: arrays, lines, output of the API, SDK and Terraform.

Memory holds one value. Messages show no other fields: they may contain passwords.

Source: api-facts.md section 5; https://developer.hashicorp.com/terraform/internals/json-format; the attributes of the
providers huaweicloud (docs/resources/fgs_function.md) and opentelekomcloud (docs/resources/fgs_function_v2.md).
"""

from __future__ import annotations

import json
import re
from typing import IO, TYPE_CHECKING, Any, Final

from inventory.errors import SourceError
from inventory.sources.json_window import DECODER, MAX_DEPTH, JsonWindow, RepeatingObject
from inventory.sources.tabular import BOM, COLUMNS, Entry, ReadOptions, lines_of
from inventory.urn import trim

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGES: Final = ("functions", "async_invoke_configs", "versions", "aliases")
_ALIAS: Final = "alias_urn"
_STATES: Final = ("values", "prior_state", "root_module", "child_modules", "resources")
"""Path to the resources in ``terraform show -json`` and ``terraform state pull``."""
_FORMAT: Final = "format_version"
"""First member of ``terraform show -json``; only its states are read."""
_PLAIN_FIELDS: Final = 7
_ATTRIBUTES: Final = ("values", "instances", "type", "address", "mode", "name")
_FGS: Final = "_fgs_"
_FUNCTION: Final = re.compile(r"_fgs_function(_v\d+)?$")
_BEGINNING: Final = "urn:fss:"


def read_jsonl(stream: IO[bytes], table: ReadOptions) -> Iterator[Entry]:
    """One JSON text, object or API answer a line."""
    for entry in lines_of(stream):
        text, cleaned = trim(entry.text)
        if entry.reason is not None:
            yield entry
        elif text:
            try:
                value = DECODER.decode(text)
            except (ValueError, RecursionError):
                yield Entry(entry.line, entry.text, "not JSON: a line of a .jsonl list is a text or an object")
                continue
            if isinstance(value, list):
                yield Entry(entry.line, entry.text, "an array: a line of a .jsonl list is a text or an object")
            else:
                found = _entries_of(entry.line, value, table)
                yield from (one._replace(cleaned=True) for one in found) if cleaned else found


def is_json_line(line: str, table: ReadOptions) -> bool:
    """Whether a line is an object with a URN."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and table.find(value) is not None


def read_json(stream: IO[bytes], table: ReadOptions) -> Iterator[Entry]:
    """Reads arrays and objects value by value."""
    window = JsonWindow(stream, table.name)
    sign = window.next_sign()
    has_text = False
    while True:
        if sign == "[":
            for _ in window.elements():
                yield from _entries_of(*window.next_value(), table)
        elif sign == "{":
            yield from _read_object(window, table)
        elif sign == '"' and not has_text:  # as in terraform output -json NAME
            has_text = True
            yield _entry(*window.next_value())
        else:
            raise SourceError(f"{table.name} is not a JSON array of URNs, or of objects with a URN each{window.hint()}")
        sign = window.next_sign()
        while sign == BOM:  # of joined files
            window.take(1)
            sign = window.next_sign()
        if not sign:
            return
        if has_text or sign not in "[{":
            raise SourceError(
                f"{table.name}: there is more behind the {'text' if has_text else 'array'}, at line {window.line}; a "
                "list with a JSON value in each line is named .jsonl"
            )


def _read_object(window: JsonWindow, table: ReadOptions) -> Iterator[Entry]:
    names: list[str] = []
    is_known = False
    for name in window.members():
        names.append(name)
        sign = window.next_sign()
        if name in _PAGES and sign == "[":
            is_known = True
            for _ in window.elements():
                yield from _entries_of(*window.next_value(), table, page=name)
        elif name in _PAGES and sign == "n":  # null is an empty list
            is_known = True
            window.skip()
        elif sign == "[" and _is_chosen(name, table):
            is_known = True
            for _ in window.elements():
                yield from _entries_of(*window.next_value(), table._replace(column=None))
        elif name in _STATES and sign in "[{":
            is_known = True
            yield from _read_state(window, table)
        elif sign in '{"' and _FORMAT not in names:
            entries = _entries_of_member(name, *window.next_value(), table)
            is_known = is_known or bool(entries)
            yield from entries
        else:
            window.skip()
    if not is_known:
        has = ", ".join(repr(name[:40]) for name in names[:10]) or "none"
        raise SourceError(
            f"{table.name} is not a JSON array of URNs, an answer of the API with functions, or an output of Terraform "
            f"with function URNs (its fields: {has}); choose one with --column, or write an array"
        )


def _is_chosen(name: str, table: ReadOptions) -> bool:
    return table.column is not None and table.find([name]) is not None


def _entries_of_member(name: str, line: int, value: object, table: ReadOptions) -> list[Entry]:
    """The URNs in a text or Terraform output; nothing else of a sensitive output."""
    is_own = _is_chosen(name, table)
    if isinstance(value, dict):
        if is_own and not {"value", "sensitive"} <= value.keys():
            entries = _entries_of(line, value, table._replace(column=None))
            is_read = any(entry.reason is None for entry in entries)
            return entries if is_read else [_entry(line, text) for text in _texts_in(value, is_own=False)]
        if not {"value", "sensitive"} <= value.keys() or not (is_own or table.column is None):
            return []
        texts = _texts_in(value["value"], is_own=is_own and not value["sensitive"])
        return [_entry(line, text) for text in texts]
    is_urn = str(value).startswith(_BEGINNING) if table.column is None else is_own
    return [_entry(line, value)] if is_urn or (table.column is None and name in (*COLUMNS, _ALIAS)) else []


def _read_state(window: JsonWindow, table: ReadOptions, depth: int = 0) -> Iterator[Entry]:
    if depth > MAX_DEPTH:
        raise SourceError(f"{table.name} has more than {MAX_DEPTH} modules in each other, at line {window.line}")
    if window.next_sign() == "[":
        for _ in window.elements():
            yield from _read_state(window, table, depth + 1)
        return
    if window.next_sign() != "{":
        window.skip()
        return
    names: dict[str, Any] = {}
    line = window.line
    for name in window.members():
        sign = window.next_sign()
        if name in _STATES and sign in "[{" and "type" not in names:
            yield from _read_state(window, table, depth + 1)
        elif name in _ATTRIBUTES and _FGS in str(names.get("type", _FGS)):
            names[name] = window.next_value()[1]
        else:
            window.skip()
    yield from _entries_of_resource(line, names)


def _entries_of_resource(line: int, resource: dict[str, Any]) -> Iterator[Entry]:
    kind = str(resource.get("type"))
    if _FGS not in kind:
        return
    instances = resource.get("instances")
    attributes = [resource.get("values")]
    if isinstance(instances, list):
        attributes = [instance.get("attributes") for instance in instances if isinstance(instance, dict)]
    for values in attributes:
        items = [values]
        if isinstance(values, dict) and isinstance(values.get("functions"), list):
            items = values["functions"]
        for item in items:
            fields = item if isinstance(item, dict) else {}
            texts = [fields[name] for name in ("urn", "function_urn", "func_urn") if isinstance(fields.get(name), str)]
            urns = [text for text in texts if text.startswith(_BEGINNING)]
            if urns:
                yield _entry(line, urns[0])
            elif _FUNCTION.search(kind) and resource.get("mode") != "data":
                address = str(resource.get("address") or f"{kind}.{resource.get('name')}")
                yield Entry(line, address, "a function of Terraform without a URN: it was not created")


def _texts_in(value: object, *, is_own: bool) -> Iterator[str]:
    """The URNs in a Terraform output; all its texts if ``--column`` names it."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str) and (is_own or one.startswith(_BEGINNING)):
            yield one
        elif isinstance(one, dict | list):
            left.extend(reversed(list(one.values()) if isinstance(one, dict) else one))


def _entries_of(line: int, value: object, table: ReadOptions, page: str = "") -> list[Entry]:
    if not isinstance(value, dict):
        return [_entry(line, value)]
    name = table.find(value)
    if name is None and table.column is None and _ALIAS in value:
        name = _ALIAS
    if name is None:
        inside = next((one for one in _PAGES if isinstance(value.get(one), list)), None)
        if inside is None or page:
            return [_entry_without_urn(line, value, "no field with a URN; see --column")]
        if isinstance(value, RepeatingObject) and inside in value.repeated:
            return [_entry_without_urn(line, value, f"the object has several fields {inside!r}")]
        return [entry for item in value[inside] for entry in _entries_of(line, item, table, inside)]
    return _entries_of_field(line, value, name, table, page)


def _entries_of_field(line: int, value: dict[str, Any], name: str, table: ReadOptions, page: str) -> list[Entry]:
    """The entry in a field; several for an array that ``--column`` names."""
    if isinstance(value, RepeatingObject):
        for field in value.repeated & {name, "version" if page == "versions" else name}:
            return [_entry(line, value[name])._replace(reason=f"the object has several fields {field!r}")]
    if table.column is not None and isinstance(value[name], list):
        return [entry for item in value[name] for entry in _entries_of(line, item, table._replace(column=None))]
    urn, version = value[name], value.get("version")
    if (
        page == "versions"
        and isinstance(urn, str)
        and isinstance(version, str)
        and len(urn.split(":")) == _PLAIN_FIELDS
    ):
        urn = f"{urn}:{version}"  # the service lists versions under the URN of the function
    return [_entry(line, urn)]


def _entry_without_urn(line: int, value: dict[str, Any], reason: str) -> Entry:
    return Entry(line, f"{{{', '.join(map(json.dumps, value))}}}", reason)


def _entry(line: int, value: object) -> Entry:
    if not isinstance(value, str):
        return Entry(line, json.dumps(value), "not a text")
    text = value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    trimmed, cleaned = trim(text)
    return Entry(line, trimmed, None if text == value else "a half character (lone surrogate)", cleaned)
