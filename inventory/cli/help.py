"""Formats `--help`: options in panels, names of values, exit codes, examples."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from enum import Enum
from inspect import cleandoc, signature
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args, get_origin

from typer.core import TyperCommand, TyperGroup

from inventory.cli.examples import EXAMPLES
from inventory.settings_sources.run_options import declared_options

if TYPE_CHECKING:
    import typer

PANELS: Final = ("Arguments", "Input", "Cloud", "Rate", "Tables", "Options", "Run")
"""Headings of options, in their order. Any other heading stands before Run."""
CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 120}
_LAST: Final = "Run"
_CODES: Final = "Exit codes:"
_CODE: Final = re.compile(r"(\d+(?:, \d+)*(?: and \d+)?) (.+)")
_KINDS: Final[dict[Any, str]] = {int: "N", float: "NUMBER", Path: "PATH", str: "TEXT"}
_NAMES_WIDTH: Final = 30
"""Widest column of option names; a longer name has its help on the next line."""

Formatter = Any
"""click's; some versions of typer contain a copy of click."""
Parameter = Any
"""As above."""
Rows = list[tuple[str, str]]


class HelpCommand(TyperCommand):
    """A command whose help does not depend on the version of typer."""

    def collect_usage_pieces(self, ctx: typer.Context) -> list[str]:  # type: ignore[override] # typer's context is click's
        """Returns what follows the name of the command in the usage line."""
        return ["[OPTIONS]", *(_usage_name(param) for param in self.get_params(ctx) if _is_argument(param))]

    def format_help_text(self, ctx: typer.Context, formatter: Formatter) -> None:  # type: ignore[override] # noqa: ARG002 - as above
        """Writes the paragraphs of the command's docstring."""
        _write_paragraphs(formatter, (self.help or "").partition(_CODES)[0])

    def format_options(self, ctx: typer.Context, formatter: Formatter) -> None:  # type: ignore[override] # as above
        """Writes arguments, then options by panel."""
        kinds, helps = _kinds_of(self.callback), _helps_of(self.callback)
        params = [param for param in self.get_params(ctx) if not getattr(param, "hidden", False)]
        has_panels = any(getattr(param, "rich_help_panel", None) for param in params)
        sections: dict[str, Rows] = {
            "Arguments": [
                (_value_name(param, kinds), helps.get(param.name, "")) for param in params if _is_argument(param)
            ]
        }
        for param in params:
            if not _is_argument(param):
                panel = getattr(param, "rich_help_panel", None) or (_LAST if has_panels else "Options")
                sections.setdefault(panel, []).append((_option_names(param, kinds), _help_of(param)))
        _write_sections(formatter, {heading: sections[heading] for heading in sorted(sections, key=_panel_order)})

    def format_epilog(self, ctx: typer.Context, formatter: Formatter) -> None:  # type: ignore[override] # as above
        """Writes variables, exit codes and examples; a line of an example is never broken."""
        codes = " ".join((self.help or "").partition(_CODES)[2].split()).removesuffix(".")
        rows = [(match[1], match[2]) for match in map(_CODE.fullmatch, codes.split("; ")) if match]
        _write_sections(formatter, {"Environment": _variables(self)})
        _write_sections(formatter, {_CODES.removesuffix(":"): rows})
        if examples := EXAMPLES.get(ctx.info_name or ""):
            with formatter.section("Examples"):
                for line in examples:
                    formatter.write(f"  {line}\n")
        if self.epilog:
            _write_paragraphs(formatter, self.epilog)


class HelpGroup(TyperGroup):
    """The app, whose list of commands is wrapped and never cut."""

    def format_options(self, ctx: typer.Context, formatter: Formatter) -> None:  # type: ignore[override] # as above
        """Writes options, then commands."""
        options = [(_option_names(param, {}), _help_of(param)) for param in self.get_params(ctx)]
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, (command.help or "").partition("\n")[0]) for name, command in commands if command is not None]
        _write_sections(formatter, {"Options": options, "Commands": rows})


def _write_sections(formatter: Formatter, sections: Mapping[str, Rows]) -> None:
    """Writes names and texts in two columns, which are the same in all sections."""
    widths = [len(name) for rows in sections.values() for name, _ in rows]
    indent = min(max(widths, default=0), _NAMES_WIDTH) + 4
    for heading, rows in sections.items():
        if not rows:
            continue
        formatter.write(f"\n{heading}:\n")
        for name, text in rows:
            first, *others = _wrap(text, formatter.width - indent) or [""]
            if len(name) > indent - 4:
                formatter.write(f"  {name}\n")
                name = ""  # noqa: PLW2901 - its line is written
            formatter.write(f"  {name:{indent - 2}}{first}".rstrip() + "\n")
            formatter.write("".join(f"{'':{indent}}{line}\n" for line in others))


def _write_paragraphs(formatter: Formatter, text: str) -> None:
    for paragraph in cleandoc(text).strip().split("\n\n"):
        formatter.write("\n" + "".join(f"  {line}\n" for line in _wrap(paragraph, formatter.width - 2)))


def _wrap(text: str, width: int) -> list[str]:
    """Lines of a text; the name of an option is never broken at its hyphens."""
    return textwrap.wrap(text, max(width, 20), break_on_hyphens=False, break_long_words=False)


def _variables(command: HelpCommand) -> Rows:
    """One of the variables that set options of a command, as an example."""
    names = getattr(command.callback, "declared_options", ())
    declared = [option for option in declared_options().values() if option.keyword in names and option.variable]
    declared.sort(key=lambda option: option.name != "max_workers")
    variables = {str(option.variable): f"--{option.command_line_name}" for option in declared}
    variables |= {str(param.envvar): param.opts[0] for param in command.params if param.envvar}
    variable = next(iter(variables), None)
    others = "; other options have such variables too" if len(variables) > 1 else ""
    return [] if variable is None else [(variable, f"Sets {variables[variable]}{others}.")]


def _panel_order(panel: str) -> float:
    return PANELS.index(panel) if panel in PANELS else PANELS.index(_LAST) - 0.5


def _is_argument(param: Parameter) -> bool:
    return bool(param.param_type_name == "argument")


def _usage_name(param: Parameter) -> str:
    name = param.metavar or str(param.name).upper()
    name = f"{name}..." if param.nargs != 1 else name
    return name if param.required else f"[{name}]"


def _option_names(param: Parameter, kinds: dict[str, Any]) -> str:
    names = ", ".join(sorted((*param.opts, *param.secondary_opts), key=len))
    return names if param.is_flag or param.count else f"{names} {_value_name(param, kinds)}"


def _help_of(param: Parameter) -> str:
    """The help text, with the default where the text does not say it."""
    text, default = param.help or "", param.default
    if default in (None, False) or "Default:" in text or not isinstance(default, str | int | float):
        return text
    return f"{text} Default: {str(default).removesuffix('.0')}."


def _value_name(param: Parameter, kinds: dict[str, Any]) -> str:
    """The metavar; else the choices, joined by ``|``; else a name for the kind of value."""
    if param.metavar:
        return str(param.metavar)
    if _is_argument(param):
        return str(param.name).upper()
    kind = kinds.get(param.name, str)
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    return _KINDS.get(kind, "TEXT")


def _kinds_of(callback: Any) -> dict[str, Any]:  # noqa: ANN401 - any function
    """The type of one value of each parameter, without None and list."""
    return {
        name: _kind_of(parameter.annotation)
        for name, parameter in signature(callback, eval_str=True).parameters.items()
    }


def _helps_of(callback: Any) -> dict[str, str]:  # noqa: ANN401 - any function
    """The help texts as they are declared: with some versions of click, typer's arguments lose theirs."""
    annotations = {
        name: parameter.annotation for name, parameter in signature(callback, eval_str=True).parameters.items()
    }
    return {name: get_args(kind)[1].help or "" for name, kind in annotations.items() if get_origin(kind) is Annotated}


def _kind_of(annotation: Any) -> Any:  # noqa: ANN401 - a type
    if get_origin(annotation) is Annotated:
        return _kind_of(get_args(annotation)[0])
    if get_origin(annotation) is list:
        return _kind_of(get_args(annotation)[0])
    if get_origin(annotation) is Literal or NoneType not in get_args(annotation):
        return annotation
    return _kind_of(next(part for part in get_args(annotation) if part is not NoneType))
