"""JSON read exactly, written in one form, and compared by meaning."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
R = TypeVar("R")

DEEPEST: Final = 500
"""Maximum depth of a value: readers and writers are recursive, and Python allows 1,000 levels."""
_BYTE_ORDER_MARK: Final = "\ufeff"
_LEVELS_OF_REPEATED: Final = 3
"""An object with a repeated key has this depth: the object, ``REPEATED`` and the list of values."""
_EXACT_FLOAT: Final = 2.0**53
"""A larger float does not equal the integer of its digits."""
_INT_DIGITS: Final = 4000
"""Python converts no longer text to an integer."""
# A surrogate pair, a lone surrogate, or any other escape.
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_TEXT_OR_CONSTANT: Final = re.compile(r'"(?:[^"\\]|\\.)*"|(NaN|-?Infinity)', re.DOTALL)
_TEXT_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
REPEATED: Final = "repeated_keys"
"""Key for the values of a repeated key before its last, in their order; for all values of a key of this name."""


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

    A number whose digits would change becomes a :class:`Number`; earlier values of a repeated key are in ``REPEATED``;
    a lone surrogate stays an escape (as text); a byte order mark is skipped.

    Raises:
        ValueError: it is not JSON; the message does not quote the document.
    """
    try:
        text = (body if isinstance(body, str) else body.decode()).removeprefix(_BYTE_ORDER_MARK)
        if "\\u" in text:
            text = _ESCAPE.sub(_escape_lone_surrogate, text)
    except UnicodeError:
        raise ValueError("text that is not UTF-8") from None
    try:
        value = _on_fresh_stack(_decode, text)
    except (RecursionError, json.JSONDecodeError, _NotNumberError) as error:
        raise ValueError(_reason(text, error)) from None
    return _shallow(text, value)


def _reason(text: str, error: Exception) -> str:
    if _depth_of(text) > DEEPEST or isinstance(error, RecursionError):
        return "JSON nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        is_cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        reason = "it breaks off" if is_cut else error.msg
        return f"broken JSON: {reason} (character {error.pos})" if text else "an empty body"
    constant = next(token for token in _TEXT_OR_CONSTANT.finditer(text) if token[1])
    return f"broken JSON: {error} (character {constant.start()})"


def read_quickly(body: bytes | str) -> Any:  # noqa: ANN401 - JSON is any value
    """Decodes a JSON document fast; keeps only the last value of a repeated key."""
    try:
        value = _on_fresh_stack(_decode_quickly, body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return read_json(body)
    return _shallow(body, value)


def _shallow(text: bytes | str, value: Any) -> Any:  # noqa: ANN401 - JSON is any value
    """Returns the value, or raises ValueError if it is too deep to be written."""
    opened = text.count("{") + text.count("[") if isinstance(text, str) else text.count(b"{") + text.count(b"[")
    level: list[Any] = [[value]] if opened * _LEVELS_OF_REPEATED > DEEPEST else []
    depth = -1
    while level and depth <= DEEPEST:
        items = (item for holder in level for item in (holder.values() if isinstance(holder, dict) else holder))
        level = [item for item in items if isinstance(item, dict | list)]
        depth += 1
    if depth > DEEPEST:
        raise ValueError("JSON nested too deeply")
    return value


def _depth_of(text: str) -> int:
    depth = deepest = 0
    for token in _TEXT_OR_BRACKET.finditer(text):
        depth += (token[0] in "[{") - (token[0] in "]}")
        deepest = max(deepest, depth)
    return deepest


def _on_fresh_stack(work: Callable[[T], R], argument: T) -> R:
    """The caller's stack must not decide how deep a value may be."""
    try:
        return work(argument)
    except RecursionError:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(work, argument).result()


def _escape_lone_surrogate(escape: re.Match[str]) -> str:
    return f"\\\\{escape[1]}" if escape[1] else escape[0]


def _whole(text: str) -> int | Number:
    return Number(text) if text == "-0" or len(text) > _INT_DIGITS else int(text)


def _fraction(text: str) -> float | Number:
    value = float(text)
    is_exact = abs(value) < _EXACT_FLOAT and msgspec.json.encode(value) == text.encode()
    return value if is_exact else Number(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    decoded = dict(pairs)
    if len(decoded) < len(pairs):
        values: dict[str, list[Any]] = {}
        for key, value in pairs:
            values.setdefault(key, []).append(value)
        # A last value in both places would double the text at each level.
        decoded[REPEATED] = {
            key: several if key == REPEATED else several[:-1]
            for key, several in values.items()
            if len(several) > 1 or key == REPEATED
        }
    return decoded


class _NotNumberError(ValueError):
    """NaN or Infinity; the decoder does not say where."""


def _no_number(text: str) -> None:
    raise _NotNumberError(f"{text} is no JSON number")


_decode = json.JSONDecoder(
    parse_int=_whole, parse_float=_fraction, parse_constant=_no_number, object_pairs_hook=_object
).decode
_decode_quickly = msgspec.json.Decoder(float_hook=_fraction).decode


def json_text(value: object) -> str:
    """Returns the JSON text of a value: compact, sorted keys; equal values give equal bytes."""
    return json_bytes(value).decode()


def json_bytes(value: object) -> bytes:
    """Returns :func:`json_text` as UTF-8."""
    return _on_fresh_stack(_encode, value)


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted", enc_hook=_as_sent)


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
