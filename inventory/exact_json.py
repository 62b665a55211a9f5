"""JSON read exactly, written in one form, and compared by meaning."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

DEEPEST: Final = 500
"""Maximum depth of a value: writers are recursive, and Python allows 1,000 levels."""
_BYTE_ORDER_MARK: Final = "\ufeff"
_INT_DIGITS: Final = 4000
"""Python converts no longer text to an integer."""
# A surrogate pair, a lone surrogate, or any other escape.
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_TEXT_OR_CONSTANT: Final = re.compile(r'"(?:[^"\\]|\\.)*"|(NaN|-?Infinity)', re.DOTALL)
REPEATED: Final = "repeated_keys"
"""Key for all values of a repeated key, in their order; also for a key of this name in the document."""


class Number:
    """A JSON number whose digits a Python number would change; kept as text."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"Number({self.text!r})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, bool) or not isinstance(other, int | float | Number):
            return NotImplemented
        if isinstance(other, Number) and other.text == self.text:
            return True
        return self.value is not None and self.value == Number(_text_of(other)).value

    def __hash__(self) -> int:
        return hash(self.value)

    @property
    def value(self) -> Decimal | None:
        """Exact value; None if a decimal cannot represent it."""
        try:
            return Decimal(self.text)
        except InvalidOperation:
            return None


def _text_of(number: float | Number) -> str:
    return number.text if isinstance(number, Number) else repr(number)


def read_json(body: bytes | str) -> Any:  # noqa: ANN401 - JSON is any value
    """Decodes a JSON document exactly.

    A number whose digits would change becomes a :class:`Number`; the values of a repeated key are in ``REPEATED``; a
    lone surrogate stays an escape (as text); a byte order mark is skipped.

    Raises:
        ValueError: it is not JSON; the message does not quote the document.
    """
    try:
        text = (body if isinstance(body, str) else body.decode()).removeprefix(_BYTE_ORDER_MARK)
        if "\\u" in text:
            text = _ESCAPE.sub(_escape_lone_surrogate, text)
        value = _decode(text)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    except UnicodeError:
        raise ValueError("text that is not UTF-8") from None
    except json.JSONDecodeError as error:
        is_cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        reason = "it breaks off" if is_cut else error.msg
        raise ValueError(f"broken JSON: {reason} (character {error.pos})" if body else "an empty body") from None
    except _NotNumberError as error:
        found = next(found for found in _TEXT_OR_CONSTANT.finditer(text) if found[1])
        raise ValueError(f"broken JSON: {error} (character {found.start()})") from None
    return _shallow(text, value)


def read_quickly(body: bytes | str) -> Any:  # noqa: ANN401 - JSON is any value
    """Decodes a JSON document fast; may change digits, and keeps one value of a repeated key."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return read_json(body)
    return _shallow(body, value)


def _shallow(text: bytes | str, value: Any) -> Any:  # noqa: ANN401 - JSON is any value
    """Returns the value, or raises ValueError if it is too deep to be written."""
    opened = text.count("{") + text.count("[") if isinstance(text, str) else text.count(b"{") + text.count(b"[")
    level, levels = [value], 0
    while level and opened > DEEPEST >= levels:
        containers = (
            item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)
        )
        level = [inner for container in containers for inner in container]
        levels += 1
    if levels > DEEPEST:
        raise ValueError("JSON nested too deeply")
    return value


def _escape_lone_surrogate(escape: re.Match[str]) -> str:
    return f"\\\\{escape[1]}" if escape[1] else escape[0]


def _whole(text: str) -> int | Number:
    return Number(text) if text == "-0" or len(text) > _INT_DIGITS else int(text)


def _fraction(text: str) -> float | Number:
    value = float(text)
    return value if msgspec.json.encode(value) == text.encode() else Number(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    decoded = dict(pairs)
    if len(decoded) < len(pairs):
        values: dict[str, list[Any]] = {}
        for key, value in pairs:
            values.setdefault(key, []).append(value)
        decoded[REPEATED] = {key: found for key, found in values.items() if len(found) > 1 or key == REPEATED}
    return decoded


class _NotNumberError(ValueError):
    """NaN or Infinity; the decoder does not say where."""


def _no_number(text: str) -> None:
    raise _NotNumberError(f"{text} is no JSON number")


_decode = json.JSONDecoder(
    parse_int=_whole, parse_float=_fraction, parse_constant=_no_number, object_pairs_hook=_object
).decode


def json_text(value: object) -> str:
    """Returns the JSON text of a value: compact, sorted keys; equal values give equal bytes."""
    return msgspec.json.encode(value, order="sorted", enc_hook=_as_sent).decode()


def _as_sent(value: object) -> msgspec.Raw:
    if isinstance(value, Number):
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"{type(value).__name__} is no JSON value")


def parsed(text: str | None) -> tuple[Any, bool]:
    """Returns the value of a text, and whether it is JSON."""
    if text is None:
        return None, False
    try:
        return read_json(text), True
    except ValueError:
        return None, False


def canonical(text: str | None) -> str | None:
    """Returns a JSON object with sorted keys; other text stays as it is."""
    value, _ = parsed(text)
    return json_text(value) if isinstance(value, dict) else text


def same_text(before: str | None, after: str | None) -> bool:
    """Tells whether two JSON texts mean the same."""
    if before == after:
        return True
    old, old_valid = parsed(before)
    new, new_valid = parsed(after)
    return old_valid and new_valid and same(old, new)


def same(before: object, after: object) -> bool:
    """Tells whether two values are equal; not recursive, because values may be deep. ``true`` is no number."""
    waiting = [(before, after)]
    while waiting:
        old, new = waiting.pop()
        if isinstance(old, dict) and isinstance(new, dict):
            if old.keys() != new.keys():
                return False
            waiting += [(value, new[key]) for key, value in old.items()]
        elif isinstance(old, list) and isinstance(new, list):
            if len(old) != len(new):
                return False
            waiting += zip(old, new, strict=True)
        elif isinstance(old, bool) is not isinstance(new, bool) or old != new:
            return False
    return True
