"""Settings of the emulator that may be given as the command line spells them.

Owns that a text is read when it is set, not when a call needs it. Does not know what it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, cast

from inventory.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Spelled(Generic[_T]):
    """An attribute that is a value, a text of it, or None; read, it is the value or None."""

    def __init__(self, parse: Callable[[str], _T]) -> None:
        self._parse = parse
        self._name = ""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, _owner: type | None = None) -> _T | None:
        """The value; of the class, None, which a dataclass takes for the default."""
        return None if instance is None else cast("_T | None", instance.__dict__[self._name])

    def __set__(self, instance: object, value: _T | str | None) -> None:
        """Reads it.

        Raises:
            SettingsError: it is a text that cannot be read, or something else.
        """
        kind = getattr(self._parse, "__self__", object)  # the class whose method reads it
        if value is not None and not isinstance(value, str | kind):
            raise SettingsError(f"{self._name} must be a text or {kind.__name__}, not {type(value).__name__}")
        instance.__dict__[self._name] = self._parse(value) if isinstance(value, str) else value
