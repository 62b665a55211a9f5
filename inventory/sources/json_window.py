"""Reads a JSON text from a stream, one value at a time."""

from __future__ import annotations

import json
import re
from typing import IO, TYPE_CHECKING, Any, Final

from inventory.errors import SourceError
from inventory.sources.tabular import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_ELEMENT: Final = 4 * 1024 * 1024
"""Characters of one array element."""
MAX_DEPTH: Final = 50
_SIGN: Final = re.compile(r"[^ \t\r\n]")


class RepeatingObject(dict[str, Any]):
    """An object with different values under the keys in ``repeated``."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated = {key for key, value in pairs if value != self[key]}


def _object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    return values if len(values) == len(pairs) else RepeatingObject(pairs)


DECODER: Final = json.JSONDecoder(object_pairs_hook=_object_of)


class JsonWindow:
    """A window over a JSON text that grows to the size of one value."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self._name = name
        self._decode = DECODER.raw_decode
        self._text = ""
        self._start = 0
        self._ended = False
        self.line = 1

    def take(self, size: int) -> None:
        """Moves the start of the window."""
        end = self._start + size
        self.line += self._text.count("\n", self._start, end)
        self._start = end

    def next_sign(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            found = _SIGN.search(self._text, self._start)
            self.take((found.start() if found else len(self._text)) - self._start)
            if self._start < len(self._text):
                return self._text[self._start]
            if self._ended:
                return ""
            self._grow()

    def next_value(self) -> tuple[int, object]:
        """The next value and its line."""
        self.next_sign()
        line = self.line
        while True:
            value, size = self._decoded()
            if size:
                self.take(size)
                return line, value
            if len(self._text) - self._start > MAX_ELEMENT and not self._ended:
                raise SourceError(
                    f"{self._name} is no whole JSON array, or has a value of over {MAX_ELEMENT:,} characters at line "
                    f"{line}: write the URNs alone, as an array (those of Terraform with: terraform output -json NAME)"
                )
            if self._ended:
                raise SourceError(
                    f"{self._name} is no whole JSON array: what is at line {line} is no JSON value{self.hint()}"
                )
            self._grow()

    def skip(self, depth: int = 0) -> None:
        """Skips the next value of any length."""
        sign = self.next_sign()
        _, size = self._decoded()
        if size:
            self.take(size)
        elif sign == "" or sign not in "[{" or depth > MAX_DEPTH:
            self.next_value()
        else:
            for _ in self.members() if sign == "{" else self.elements():
                self.skip(depth + 1)

    def elements(self) -> Iterator[None]:
        """Yields before each element of the next array; the caller takes the element."""
        self.take(1)
        sign = self.next_sign()
        while sign != "]":
            yield
            sign = self._behind("]")
        self.take(1)

    def members(self) -> Iterator[str]:
        """Yields the name of each member of the next object; the caller takes the value."""
        self.take(1)
        sign = self.next_sign()
        while sign != "}":
            name = self.next_value()[1] if sign == '"' else None
            if name is None or self.next_sign() != ":":
                raise self._broken(sign)
            self.take(1)
            yield str(name)
            sign = self._behind("}")
        self.take(1)

    def hint(self) -> str:
        """What a text that is not JSON may be."""
        is_python = re.match(r"[\[{]?\s*'", self._text[self._start :])
        return "; it is what Python prints: write it with json.dumps" if is_python else ""

    def _behind(self, end: str) -> str:
        """The character after a comma, or the end of an array or object."""
        sign = self.next_sign()
        if sign == ",":
            self.take(1)
            following = self.next_sign()
            if following != end:
                return following
        if sign != end:
            raise self._broken(sign)
        return sign

    def _broken(self, sign: str) -> SourceError:
        what = f"{sign or 'its end'!r} at line {self.line}"
        return SourceError(f"{self._name} is no whole JSON array or object: {what}{self.hint()}")

    def _decoded(self) -> tuple[object, int]:
        """The next value and its length; 0 if the window may hold only a part."""
        try:
            value, end = self._decode(self._text, self._start)
        except (ValueError, RecursionError):
            return None, 0
        return value, end - self._start if end < len(self._text) or self._ended else 0

    def _grow(self) -> None:
        rest = self._text[self._start :]
        block = self._stream.read(max(BLOCK, len(rest)))
        self._ended = not block
        self._text, self._start = rest + _decoded_block(block, self._stream, self._name), 0


def _decoded_block(block: bytes, stream: IO[bytes], name: str) -> str:
    while True:
        try:
            return block.decode("utf-8")
        except UnicodeDecodeError as error:
            more = stream.read(1) if error.end == len(block) else b""
            if not more:
                raise SourceError(f"{name} is not UTF-8 text; save it as UTF-8") from None
            block += more
