"""What the cloud sends, read softly: every field optional, nothing guessed, nothing dropped.

Owns the shape of the async-invoke configuration and the rule for what is not as documented: a value that a typed field
cannot hold exactly stays, as it was sent, under its own name in ``extra``. Knows no HTTP status, no table and no file.

Source: ShowFunctionAsyncInvokeConfig, tables 3 to 5 (vendor page of 2025-07-31); api-facts.md section 2 for what is
sent in reality.
"""

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


class Destination(msgspec.Struct, frozen=True):
    """Where the result of one event goes.

    Attributes:
        destination: the vendor's type, an open set (``OBS``, ``SMN``, ``DIS``, ``FunctionGraph`` and others).
        param: the parameters, as sent: a JSON document inside a string.
        param_object: ``param`` parsed, or None where it is no JSON object.
        extra: fields that the documentation does not name, and values of another type than documented.
    """

    destination: str
    param: str | None
    param_object: Json | None
    extra: Json


class AsyncInvokeConfig(msgspec.Struct, frozen=True):
    """The async-invoke configuration of one function, version or alias.

    Units: ``max_async_event_age_in_seconds`` in seconds; the times as the cloud wrote them.
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


class _Sides(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    on_success: _Side | None = None
    on_failure: _Side | None = None


class _Documented(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A config just as the documentation has it: most are, and are read so in half the time."""

    func_urn: str
    max_async_event_age_in_seconds: _Int64 | None = None
    max_async_retry_attempts: _Int64 | None = None
    destination_config: _Sides | None = None
    created_time: str | None = None
    last_modified: str | None = None
    enable_async_status_log: bool | None = None


_ONCE: Final = tuple(f'"{name}"'.encode() for name in (*sorted(_CONFIG_FIELDS), *_EVENTS))
_ONCE_A_SIDE: Final = (b'"destination"', b'"param"')
_read_documented = msgspec.json.Decoder(_Documented).decode


def read_config(body: bytes) -> AsyncInvokeConfig:
    """Reads the body of a 200.

    Raises:
        ValueError: the body is not a config: no JSON object, or one without a single documented field.
    """
    try:
        sent = _read_documented(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _read_softly(read_json(body))
    return _read_softly(read_json(body)) if _repeats(body, sent) else _of_documented(sent)


def read_func_urn(body: bytes) -> str | None:
    """The URN that the body of a 200 names; None where it names none.

    Raises:
        ValueError: as for :func:`read_config`.
    """
    try:
        return _read_documented(body).func_urn
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _read_softly(read_quickly(body)).func_urn


def _repeats(body: bytes, sent: _Documented) -> bool:
    """Whether a documented config may hold a key twice: then the quick way has seen the last value only."""
    sides = sent.destination_config or _Sides()
    both = 2 - (sides.on_success is None) - (sides.on_failure is None)
    return any(body.count(key) > 1 for key in _ONCE) or any(body.count(key) > both for key in _ONCE_A_SIDE)


def _of_documented(sent: _Documented) -> AsyncInvokeConfig:
    sides = sent.destination_config or _Sides()
    return AsyncInvokeConfig(
        sent.func_urn,
        sent.max_async_event_age_in_seconds,
        sent.max_async_retry_attempts,
        sent.enable_async_status_log,
        sent.created_time,
        sent.last_modified,
        None if sides.on_success is None else _of_side(sides.on_success),
        None if sides.on_failure is None else _of_side(sides.on_failure),
        {},
    )


def _of_side(side: _Side) -> Destination:
    return Destination(side.destination, side.param, _object_of(side.param), {})


def _read_softly(sent: object) -> AsyncInvokeConfig:
    if not isinstance(sent, dict):
        raise ValueError(f"a JSON {_json_type(sent)} instead of a config")  # noqa: TRY004 - the answer, not the argument
    if _CONFIG_FIELDS.isdisjoint(sent):
        raise ValueError("a JSON object without any field of a config")
    extra: Json = {name: value for name, value in sent.items() if name not in _CONFIG_FIELDS}
    sides, unread = _read_sides(sent.get("destination_config"))
    if unread is not None:
        extra["destination_config"] = unread
    return AsyncInvokeConfig(
        func_urn=_text(sent, "func_urn", extra),
        max_async_event_age_in_seconds=_int(sent, "max_async_event_age_in_seconds", extra),
        max_async_retry_attempts=_int(sent, "max_async_retry_attempts", extra),
        enable_async_status_log=_bool(sent, "enable_async_status_log", extra),
        created_time=_text(sent, "created_time", extra),
        last_modified=_text(sent, "last_modified", extra),
        on_success=sides[0],
        on_failure=sides[1],
        extra=extra,
    )


def parse_int(value: object) -> tuple[int | None, bool]:
    """Reads an integer; the second value says whether it was sent as one, or as null."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value, True) if value in _INT64 else (None, False)
    if isinstance(value, str) and _INT_TEXT.fullmatch(value.strip()) and int(value) in _INT64:
        return int(value), False
    number = _float_of(value) if isinstance(value, Number) else value
    if isinstance(number, float) and number.is_integer() and int(number) in _INT64:
        return int(number), False
    return None, value is None


def _float_of(number: Number) -> float | None:
    """The whole number that a text such as ``3.60e3`` says; None where it says none, or no float holds it."""
    value = float(number.text)
    return value if number == value else None


def _read_sides(sent: object) -> tuple[list[Destination | None], object]:
    """Reads ``destination_config``; also returns what of it has no place in a :class:`Destination`."""
    if not isinstance(sent, dict):
        return [None, None], None if _is_empty(sent) else sent
    sides: list[Destination | None] = []
    unread = {name: value for name, value in sent.items() if name not in _EVENTS}
    for event in _EVENTS:
        side = _read_side(sent.get(event))
        sides.append(side)
        if side is None and not _is_empty_side(sent.get(event)):
            unread[event] = sent[event]
    return sides, unread or None


def _read_side(sent: object) -> Destination | None:
    if not isinstance(sent, dict) or sent.get("destination") in (None, ""):
        return None
    extra: Json = {name: value for name, value in sent.items() if name not in _DESTINATION_FIELDS}
    destination = _text(sent, "destination", extra)
    param = _text(sent, "param", extra)
    return Destination(destination or "", param, _object_of(param), extra)


def _object_of(param: str | None) -> Json | None:
    if param is None:
        return None
    try:
        parsed = read_quickly(param)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _is_empty(sent: object) -> bool:
    return sent is None or sent == {} or (isinstance(sent, str) and sent.strip() in ("", "{}"))


def _is_empty_side(sent: object) -> bool:
    """Whether a side says no more than that there is no destination."""
    if isinstance(sent, dict):
        return sent.keys() <= _DESTINATION_FIELDS and not sent.get("destination") and _is_empty(sent.get("param"))
    return _is_empty(sent)


def _text(sent: Json, name: str, extra: Json) -> str | None:
    value = sent.get(name)
    if value is None or isinstance(value, str):
        return value
    extra[name] = value
    return json_text(value)


def _int(sent: Json, name: str, extra: Json) -> int | None:
    value = sent.get(name)
    number, exact = parse_int(value)
    if not exact:
        extra[name] = value
    return number


def _bool(sent: Json, name: str, extra: Json) -> bool | None:
    value = sent.get(name)
    if value is None or isinstance(value, bool):
        return value
    extra[name] = value
    return {"true": True, "false": False}.get(value.strip().lower()) if isinstance(value, str) else None


def _json_type(value: object) -> str:
    names = {list: "array", str: "text", bool: "boolean", int: "number", float: "number", Number: "number"}
    return names.get(type(value), "null")
