"""Async-invoke config: tolerant reader of the JSON that the cloud returns."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec

from inventory.exact_json import Number, json_text, read_json, read_quickly

_INT64: Final = range(-(2**63), 2**63)
_INT_TEXT: Final = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_EVENTS: Final = ("on_success", "on_failure")
_DESTINATION_FIELDS: Final = frozenset({"destination", "param"})
_CONFIG_FIELDS: Final = frozenset(
    {
        "func_urn",
        "max_async_event_age_in_seconds",
        "max_async_retry_attempts",
        "destination_config",
        "created_time",
        "last_modified",
        "enable_async_status_log",
    }
)

Json = dict[str, Any]


class Destination(msgspec.Struct, frozen=True, gc=False):
    """The destination for one event.

    Attributes:
        destination: the vendor's type (``OBS``, ``SMN``, ``DIS``, ``FunctionGraph``; the set is open).
        param: parameters as received, a JSON document in a string.
        param_object: parsed ``param``, or None if it is not a JSON object.
        extra: undocumented fields, and values of an undocumented type.
    """

    destination: str
    param: str | None
    param_object: Json | None
    extra: Json


class AsyncInvokeConfig(msgspec.Struct, frozen=True, gc=False):
    """The async-invoke configuration of one function, version or alias.

    All fields are optional. A value that a typed field cannot hold exactly stays in ``extra`` under its name.

    Units: ``max_async_event_age_in_seconds`` in seconds; times are the cloud's text.

    Source: ShowFunctionAsyncInvokeConfig, tables 3 to 5 (vendor page of 2025-07-31); api-facts.md section 2.
    """

    func_urn: str | None
    max_async_event_age_in_seconds: int | None
    max_async_retry_attempts: int | None
    enable_async_status_log: bool | None
    created_time: str | None
    last_modified: str | None
    on_success: Destination | None
    on_failure: Destination | None
    extra: Json


_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Side(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    destination: Literal["OBS", "SMN", "DIS", "FunctionGraph"]
    param: str


class _Sides(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    on_success: _Side | None = None
    on_failure: _Side | None = None


class _Documented(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A config exactly as documented; parsing this form takes half the time."""

    func_urn: str
    max_async_event_age_in_seconds: _Int64 | None = None
    max_async_retry_attempts: _Int64 | None = None
    destination_config: _Sides | None = None
    created_time: str | None = None
    last_modified: str | None = None
    enable_async_status_log: bool | None = None


_ONCE: Final = tuple(f'"{name}"'.encode() for name in (*sorted(_CONFIG_FIELDS), *_EVENTS))
_ONCE_A_SIDE: Final = (b'"destination"', b'"param"')
_ESCAPED_ASCII: Final = b"\\u00"
_MINUS_ZERO: Final = re.compile(rb":\s*-0")
_read_documented = msgspec.json.Decoder(_Documented).decode
_read_flat_object = msgspec.json.Decoder(dict[str, str | int | None]).decode
_encode = msgspec.json.Encoder().encode


def read_config(body: bytes) -> AsyncInvokeConfig:
    """Reads the body of a 200.

    Raises:
        ValueError: the body is not a JSON object with at least one documented field.
    """
    try:
        document = _read_documented(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _read_softly(read_json(body))
    # The encoded document is the shortest spelling of itself: a body of that length has no other one, and no key twice.
    is_shortest = len(_encode(document)) == len(body)
    if not is_shortest and (_has_repeated_key(body, document) or _has_minus_zero(body, document)):
        return _read_softly(read_json(body))
    return _of_documented(document)


def read_func_urn(body: bytes) -> str | None:
    """Returns the ``func_urn`` of a config, or None.

    Raises:
        ValueError: the body is not a config.
    """
    try:
        return _read_documented(body).func_urn
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _read_softly(read_quickly(body)).func_urn


def _has_repeated_key(body: bytes, document: _Documented) -> bool:
    sides = document.destination_config or _Sides()
    both = 2 - (sides.on_success is None) - (sides.on_failure is None)
    return (
        _ESCAPED_ASCII in body  # "func\\u005furn" is a spelling of func_urn
        or any(body.count(key) > 1 for key in _ONCE)
        or any(body.count(key) > both for key in _ONCE_A_SIDE)
    )


def _has_minus_zero(body: bytes, document: _Documented) -> bool:
    numbers = document.max_async_event_age_in_seconds, document.max_async_retry_attempts
    return 0 in numbers and _MINUS_ZERO.search(body) is not None


def _of_documented(document: _Documented) -> AsyncInvokeConfig:
    sides = document.destination_config or _Sides()
    return AsyncInvokeConfig(
        document.func_urn,
        document.max_async_event_age_in_seconds,
        document.max_async_retry_attempts,
        document.enable_async_status_log,
        document.created_time,
        document.last_modified,
        None if sides.on_success is None else _of_side(sides.on_success),
        None if sides.on_failure is None else _of_side(sides.on_failure),
        {},
    )


def _of_side(side: _Side) -> Destination:
    return Destination(side.destination, side.param, _object_of(side.param), {})


def _read_softly(document: object) -> AsyncInvokeConfig:
    if not isinstance(document, dict):
        raise ValueError(f"a JSON {_json_type(document)} instead of a config")  # noqa: TRY004 - invalid data, not an invalid argument
    if _CONFIG_FIELDS.isdisjoint(document):
        raise ValueError("a JSON object without a field of a config")
    extra: Json = {name: value for name, value in document.items() if name not in _CONFIG_FIELDS}
    sides, unread = _read_sides(document.get("destination_config"))
    if unread is not None:
        extra["destination_config"] = unread
    return AsyncInvokeConfig(
        func_urn=read_text(document, "func_urn", extra),
        max_async_event_age_in_seconds=read_int(document, "max_async_event_age_in_seconds", extra),
        max_async_retry_attempts=read_int(document, "max_async_retry_attempts", extra),
        enable_async_status_log=read_bool(document, "enable_async_status_log", extra),
        created_time=read_text(document, "created_time", extra),
        last_modified=read_text(document, "last_modified", extra),
        on_success=sides[0],
        on_failure=sides[1],
        extra=extra,
    )


def parse_int(value: object) -> tuple[int | None, bool]:
    """Parses an integer; the second value is True if it was received as an integer or null."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, True) if value in _INT64 else (None, False)
    if isinstance(value, str) and _INT_TEXT.fullmatch(value.strip()) and int(value) in _INT64:
        return int(value), False
    number = _whole_float(value) if isinstance(value, Number) else value
    if isinstance(number, float) and number.is_integer() and int(number) in _INT64:
        return int(number), False
    return None, value is None


def _whole_float(number: Number) -> float | None:
    """Converts a number such as ``3.60e3``; None if the float is not exact."""
    value = float(number.text)
    return value if number == value else None


def _read_sides(document: object) -> tuple[list[Destination | None], object]:
    if not isinstance(document, dict):
        return [None, None], None if _is_empty(document) else document
    sides: list[Destination | None] = []
    unread = {name: value for name, value in document.items() if name not in _EVENTS}
    for event in _EVENTS:
        side = _read_side(document.get(event))
        sides.append(side)
        if side is None and not _is_empty_side(document.get(event)):
            unread[event] = document[event]
    return sides, unread or None


def _read_side(document: object) -> Destination | None:
    if not isinstance(document, dict) or document.get("destination") in (None, ""):
        return None
    extra: Json = {name: value for name, value in document.items() if name not in _DESTINATION_FIELDS}
    destination = read_text(document, "destination", extra)
    param = read_text(document, "param", extra)
    return Destination(destination or "", param, _object_of(param), extra)


def _object_of(param: str | None) -> Json | None:
    if param is None:
        return None
    try:
        return _read_flat_object(param)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        parsed = read_quickly(param)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _is_empty(document: object) -> bool:
    return document is None or document == {} or (isinstance(document, str) and document.strip() in ("", "{}"))


def _is_empty_side(document: object) -> bool:
    if isinstance(document, dict):
        return (
            document.keys() <= _DESTINATION_FIELDS
            and not document.get("destination")
            and _is_empty(document.get("param"))
        )
    return _is_empty(document)


def read_text(document: Json, name: str, extra: Json) -> str | None:
    """Reads a text; another value is kept in ``extra`` and returned as JSON."""
    value = document.get(name)
    if value is None or isinstance(value, str):
        return value
    extra[name] = value
    return json_text(value)


def read_int(document: Json, name: str, extra: Json) -> int | None:
    """Reads an integer; a value that is not exactly one is kept in ``extra``."""
    value = document.get(name)
    number, exact = parse_int(value)
    if not exact:
        extra[name] = value
    return number


def read_bool(document: Json, name: str, extra: Json) -> bool | None:
    """Reads a boolean; another value is kept in ``extra``."""
    value = document.get(name)
    if value is None or isinstance(value, bool):
        return value
    extra[name] = value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def _json_type(value: object) -> str:
    names = {list: "array", str: "text", bool: "boolean", int: "number", float: "number", Number: "number"}
    return names.get(type(value), "null")
