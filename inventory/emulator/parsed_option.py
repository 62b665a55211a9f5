"""Emulator settings given as a value or as text: ``limit="150/second"``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, cast

from inventory.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class ParsedOption(Generic[_T]):
    """Descriptor: accepts a value, its text or None; parses text when it is set."""

    def __init__(self, parse: Callable[[str], _T]) -> None:
        self._parse = parse
        self._name = ""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, _owner: type | None = None) -> _T | None:
        """The value; None on the class, which is the dataclass default."""
        return None if instance is None else cast("_T | None", instance.__dict__[self._name])

    def __set__(self, instance: object, value: _T | str | None) -> None:
        """Parses and stores the value.

        Raises:
            SettingsError: the text cannot be parsed, or the value has another type.
        """
        kind = getattr(self._parse, "__self__", object)  # the class of the parse method
        if value is not None and not isinstance(value, str | kind):
            raise SettingsError(f"{self._name} must be a text or {kind.__name__}, not {type(value).__name__}")
        instance.__dict__[self._name] = self._parse(value) if isinstance(value, str) else value
