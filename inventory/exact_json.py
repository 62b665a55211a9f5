"""JSON texts that the cloud sends: read exactly, written again, and compared by what they say.

Owns how a text becomes a value and a value a text, and when two of them say the same: the order of keys and white space
are nothing, ``1`` and ``1.0`` are one number, ``true`` is no number, and a text that is no JSON, or too deep to be
written again, is compared as it stands.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

DEEPEST: Final = 500
"""Levels of a value; whoever writes one goes down by recursion, which ends at a thousand."""
_BYTE_ORDER_MARK: Final = "\ufeff"
_INT_DIGITS: Final = 4000
"""Python converts no longer text to an integer."""
# A pair of surrogates, half a pair, or any other escape.
_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
REPEATED: Final = "repeated_keys"
"""The key under which an object that holds a key twice has all values of that key, in their order.

There it also has the values of a key of this name that the sender has used.
"""


class Number:
    """A JSON number that no Python number writes with the same digits: it is kept as it was sent."""

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
        """Its exact value; None where not even a decimal can hold it."""
        try:
            return Decimal(self.text)
        except InvalidOperation:
            return None


def _text_of(number: float | Number) -> str:
    return number.text if isinstance(number, Number) else repr(number)


def read_json(body: bytes | str) -> Any:  # noqa: ANN401 - JSON is any value
    """Decodes a JSON document exactly.

    A number whose digits would change is a :class:`Number`, a key that an object holds twice is also in ``REPEATED``,
    half a surrogate pair stays an escape (as text), and a byte order mark before the document is skipped.

    Raises:
        ValueError: it is none; the message says what is wrong, without quoting the document.
    """
    try:
        text = (body if isinstance(body, str) else body.decode()).removeprefix(_BYTE_ORDER_MARK)
        if "\\u" in text:
            text = _ESCAPE.sub(_without_half_a_pair, text)
        value = _decode(text)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    except UnicodeError:
        raise ValueError("text that is not UTF-8") from None
    except json.JSONDecodeError as error:
        is_cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        told = "it breaks off" if is_cut else error.msg
        raise ValueError(f"broken JSON: {told} (character {error.pos})" if body else "an empty body") from None
    return _shallow(text, value)


def read_quickly(body: bytes | str) -> Any:  # noqa: ANN401 - JSON is any value
    """Decodes a JSON document in a fraction of the time, where digits and repeated keys do not matter."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return read_json(body)
    return _shallow(body, value)


def _shallow(text: bytes | str, value: Any) -> Any:  # noqa: ANN401 - JSON is any value
    """The value of a text, unless it is too deep to be written again wherever that is done."""
    opened = text.count("{") + text.count("[") if isinstance(text, str) else text.count(b"{") + text.count(b"[")
    level, levels = [value], 0
    while level and opened > DEEPEST >= levels:
        of_each = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [inner for inners in of_each for inner in inners]
        levels += 1
    if levels > DEEPEST:
        raise ValueError("JSON nested too deeply")
    return value


def _without_half_a_pair(escape: re.Match[str]) -> str:
    return f"\\\\{escape[1]}" if escape[1] else escape[0]


def _whole(text: str) -> int | Number:
    return Number(text) if text == "-0" or len(text) > _INT_DIGITS else int(text)


def _fraction(text: str) -> float | Number:
    value = float(text)
    return value if msgspec.json.encode(value) == text.encode() else Number(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        values: dict[str, list[Any]] = {}
        for key, value in pairs:
            values.setdefault(key, []).append(value)
        found[REPEATED] = {key: several for key, several in values.items() if len(several) > 1 or key == REPEATED}
    return found


def _no_number(text: str) -> None:
    raise json.JSONDecodeError(f"{text} is no JSON number", "", 0)


_decode = json.JSONDecoder(
    parse_int=_whole, parse_float=_fraction, parse_constant=_no_number, object_pairs_hook=_object
).decode


def json_text(value: object) -> str:
    """The one JSON text of a value: compact, keys sorted, so that equal values make equal bytes."""
    return msgspec.json.encode(value, order="sorted", enc_hook=_as_sent).decode()


def _as_sent(value: object) -> msgspec.Raw:
    if isinstance(value, Number):
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"{type(value).__name__} is no JSON value")


def parsed(text: str | None) -> tuple[Any, bool]:
    """The value of a text, and whether it is JSON."""
    if text is None:
        return None, False
    try:
        return read_json(text), True
    except ValueError:
        return None, False


def canonical(text: str | None) -> str | None:
    """The one text of an object, with sorted keys; what is no JSON object stays as it is."""
    value, _ = parsed(text)
    return json_text(value) if isinstance(value, dict) else text


def same_text(before: str | None, after: str | None) -> bool:
    """Whether two texts say the same."""
    if before == after:
        return True
    old, old_valid = parsed(before)
    new, new_valid = parsed(after)
    return old_valid and new_valid and same(old, new)


def same(before: object, after: object) -> bool:
    """Whether two parsed values are the same. Not recursive: how deep they are is the sender's choice."""
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
