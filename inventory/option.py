"""How an option is declared: a field whose annotation has help and bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin, get_type_hints

VARIABLE_PREFIX: Final = "INVENTORY_"
"""Of the variables of the environment that set options."""


class Bounds(NamedTuple):
    """The numbers that an option accepts, and how a message describes them."""

    text: str
    minimum: float
    maximum: float = float("inf")
    excludes_minimum: bool = False

    def hold(self, value: float) -> bool:
        """Whether a number is within the bounds; NaN is not."""
        return self.minimum <= value <= self.maximum and not (self.excludes_minimum and value == self.minimum)


class Option(NamedTuple):
    """What an option's field declares besides its type and default.

    Attributes:
        help: what ``--help`` and the reference page say; ``{default}`` stands for the field's default.
        bounds: the numbers that are accepted.
        is_path: whether the text names a file or folder; Python also accepts a ``pathlib.Path``.
        is_repeatable: whether the command line accepts several values.
        flag: the name on the command line and of the keyword, where it is not the field's.
        command_line_name: the name on the command line, where it is no Python name.
        before: of an option outside the settings file: the setting that it precedes on the command line.
        is_python_keyword: whether ``inventory.export`` accepts it too.
        is_action: whether it does something once, so that no variable of the environment may set it.
        has_variable: of an option outside the settings file: whether a variable of the environment may set it.
        panel: heading in ``--help``.
        metavar: name of the value in ``--help``; default: its choices, or a name for its type.
    """

    help: str
    bounds: Bounds | None = None
    is_path: bool = False
    is_repeatable: bool = False
    flag: str | None = None
    before: str = ""
    is_python_keyword: bool = True
    command_line_name: str | None = None
    is_action: bool = False
    has_variable: bool = False
    panel: str | None = None
    metavar: str | None = None


class DeclaredOption(NamedTuple):
    """An option as its field declares it; ``kind`` is the type of a value, without None."""

    name: str
    kind: Any
    default: Any
    option: Option
    is_setting: bool

    @property
    def keyword(self) -> str:
        """The Python keyword."""
        return self.option.flag or self.name

    @property
    def command_line_name(self) -> str:
        """The name on the command line, such as ``max-workers``."""
        return self.option.command_line_name or self.keyword.replace("_", "-")

    @property
    def command_line_variable(self) -> str:
        """What the variable of the option is called, if it has one."""
        return VARIABLE_PREFIX + self.command_line_name.replace("-", "_").upper()

    @property
    def variable(self) -> str | None:
        """The variable of the environment that sets the option."""
        has_variable = self.option.has_variable or (self.is_setting and not self.option.is_action)
        return self.command_line_variable if has_variable else None

    @property
    def is_negated(self) -> bool:
        """Whether the option, such as ``--no-batch``, is the opposite of its field."""
        return self.keyword != self.name and self.kind is bool

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts that the option accepts, one or several; empty: any."""
        if get_origin(self.kind) is Literal:
            return get_args(self.kind)
        item = get_args(self.kind)[0] if get_args(self.kind) else None
        return get_args(item) if get_origin(item) is Literal else ()

    @property
    def help(self) -> str:
        """The help text with the default."""
        return self.option.help.replace("{default}", str(self.default).removesuffix(".0"))

    @property
    def python_kind(self) -> Any:  # noqa: ANN401 - a type or a union of types
        """The type that the Python keyword accepts."""
        if self.option.is_repeatable:
            return str | Sequence[str]
        if get_origin(self.kind) is Literal:
            return str
        return str | Path if self.option.is_path else self.kind


def declared_in(cls: type, defaults: Mapping[str, Any], *, is_setting: bool) -> list[DeclaredOption]:
    """The options that the annotated fields of a class declare."""
    declared = []
    for name, hint in get_type_hints(cls, include_extras=True).items():
        if get_origin(hint) is Annotated:
            kind, option = get_args(hint)
            kinds = [part for part in get_args(kind) if part is not type(None)]
            is_optional = type(None) in get_args(kind)
            declared.append(DeclaredOption(name, kinds[0] if is_optional else kind, defaults[name], option, is_setting))
    return declared
