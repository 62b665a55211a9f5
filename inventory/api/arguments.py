"""Checks keyword arguments of export(); rewrites option names in messages."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

from inventory.errors import InventoryError, SettingsError
from inventory.settings_sources.run_options import declared_options
from inventory.user_paths import expand_user

if TYPE_CHECKING:
    from collections.abc import Iterator


class Options(TypedDict, total=False):
    """The options of :func:`inventory.export`: those of ``inventory export``, with underscores.

    ``inventory export --help`` explains each. A test compares these types with the declarations in ``settings.py``.

    Units: ``timeout`` and ``max_time`` in seconds; ``max_per_second`` in calls per second and scope, 0 for no cap;
    ``quota_share`` from above 0 to 1; ``rows_per_file`` in rows.

    Source: ShowFunctionAsyncInvokeConfig and, unless ``no_batch``, ListFunctionAsyncInvokeConfig of FunctionGraph v2;
    with ``all`` its lists of functions, versions and aliases, and what ``include`` names.
    """

    aliases: bool
    all: bool
    attempts: int
    ca_bundle: str | Path
    column: str
    drop_bodies: bool
    endpoint: str
    format: str | Sequence[str]
    iam_endpoint: str
    include: str | Sequence[str]
    max_per_second: float
    max_time: float
    max_workers: int
    naive_timezone: str
    no_batch: bool
    project_id: str | Sequence[str]
    quota_share: float
    region: str | Sequence[str]
    rows_per_file: int
    settings: str | Path
    timeout: float
    token_file: str | Path
    transport: str
    versions: bool


NAMED_PARAMETERS: Final = ("check", "output", "overwrite", "progress", "resume", "work_dir")
"""Keyword parameters of ``export`` besides :class:`Options`."""
_KIND_NAMES: Final = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    str | Path: "a file's name",
    str | Sequence[str]: "a text or a list of texts",
}
_COMMAND_LINE_NAME: Final = re.compile(r"(?<![^\s(,;:])--([a-z][a-z-]*)(?![\w-])")


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are not None, as plain Python values (a numpy number becomes a number).

    Raises:
        TypeError: an option is unknown, as with any Python function.
        SettingsError: a value has the wrong type.
    """
    kinds = {
        name: declared.python_kind for name, declared in declared_options().items() if name in Options.__annotations__
    }
    checked = {}
    for name, value in options.items():
        if name not in kinds:
            names = sorted([*kinds, *NAMED_PARAMETERS])
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(names)}"
            raise TypeError(f"export has no option {name!r}{hint}")
        plain = value.item() if getattr(value, "ndim", None) == 0 and hasattr(value, "item") else value
        if plain is not None:
            checked[name] = _check_type(name, plain, kinds[name])
    return checked


def _check_type(name: str, value: Any, kind: Any) -> Any:  # noqa: ANN401 - the caller may pass anything
    if kind == str | Sequence[str]:
        is_list = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
        texts = list(value) if is_list else [value]
        if all(isinstance(text, str) for text in texts):
            return [str(text) for text in texts] if is_list else str(value)
    elif kind == str | Path:
        if isinstance(value, str | os.PathLike) and isinstance(path := os.fspath(value), str):
            return expand_user(path)
    elif isinstance(value, int | float if kind is float else kind) and (kind is bool or not isinstance(value, bool)):
        return kind(value)
    raise SettingsError(f"{name} must be {_KIND_NAMES[kind]}, not {type(value).__name__}")


def folder_name(name: str, value: object) -> str | None:
    """A folder or URL as text.

    Raises:
        SettingsError: it is no text or path, or empty (which would be the working directory).
    """
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not isinstance(text := os.fspath(value), str):
        raise SettingsError(f"{name} must be a folder's name, not {type(value).__name__}")
    if not text:
        raise SettingsError(f"{name} is an empty text; name a folder")
    return expand_user(text)


@contextmanager
def python_messages() -> Iterator[None]:
    """Rewrites the messages of errors: ``--resume`` becomes ``resume=True``, ``--token-file`` ``token_file``."""
    try:
        yield
    except InventoryError as error:
        original, error.message = error.message, to_python_wording(error.message)
        error.args = tuple(error.message if part == original else part for part in error.args)
        raise


def to_python_wording(text: str) -> str:
    """A message with options as Python keywords."""
    options = declared_options()
    renamed = {option.command_line_name: option.keyword for option in options.values()}

    def keyword(match: re.Match[str]) -> str:
        name = renamed.get(match[1], match[1].replace("-", "_"))
        return f"{name}=True" if name in options and options[name].kind is bool else name

    return _COMMAND_LINE_NAME.sub(keyword, text)
