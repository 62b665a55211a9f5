"""JSON texts that the cloud sends, compared by what they say.

Owns when two of them say the same: the order of keys and white space are nothing, ``1`` and ``1.0`` are one number,
``true`` is no number, and a text that is no JSON, or too deep to be written again, is compared as it stands.
"""

from __future__ import annotations

from typing import Any, Final

from inventory.models import json_text, read_json

DEEPEST: Final = 500
"""Levels of a value; whoever writes one goes down by recursion, which ends at a thousand."""


def parsed(text: str | None) -> tuple[Any, bool]:
    """The value of a text, and whether it is JSON."""
    if text is None:
        return None, False
    try:
        value = read_json(text)
    except ValueError:
        return None, False
    return (value, True) if _is_shallow(text, value) else (None, False)


def _is_shallow(text: str, value: object) -> bool:
    level, levels = [value], 0
    while level and text.count("{") + text.count("[") > DEEPEST >= levels:
        of_each = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [inner for inners in of_each for inner in inners]
        levels += 1
    return levels <= DEEPEST


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
