"""What a Python caller may say of an export: the options, of which types they are, and how errors speak of them.

Owns the options' names and types, and the change from the command line's words to Python's. Does not know what an
option does; which values fit is :mod:`inventory.settings`' to say.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, get_type_hints

from inventory.errors import InventoryError, SettingsError
from inventory.home import at_home

if TYPE_CHECKING:
    from collections.abc import Iterator


class Options(TypedDict, total=False):
    """The options of :func:`inventory.export`: those of ``inventory export``, with underscores.

    ``--help`` explains each.

    Units: ``timeout`` and ``max_time`` in seconds, ``max_per_second`` in calls per second and scope, 0 for no cap;
    ``quota_share`` a part of 1; ``rows_per_file`` in rows.

    Source: ShowFunctionAsyncInvokeConfig and, where it saves calls (without ``no_batch``),
    ListFunctionAsyncInvokeConfig of FunctionGraph v2; with ``all`` its lists of functions, versions and aliases.
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
    versions: bool


_NAMED: Final = ("output", "overwrite", "progress", "resume", "work_dir")
"""What an export takes besides; an option that is nearly one of these is told so."""
_WORDS: Final = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "a text",
    str | Path: "a file's name",
    str | Sequence[str]: "a text or a list of texts",
}
_FLAGS: Final = frozenset(
    {"resume", "overwrite", *(name for name, kind in get_type_hints(Options).items() if kind is bool)}
)
_OPTION: Final = re.compile(r"(?<![^\s(,;:])--([a-z][a-z-]*)(?![\w-])")


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with plain values (a number of numpy is one), those that are None left out.

    Raises:
        TypeError: there is no option of that name, as Python says it of any function.
        SettingsError: a value is of another type.
    """
    kinds = get_type_hints(Options)
    found = {}
    for name, given in options.items():
        if name not in kinds:
            near = difflib.get_close_matches(name, [*kinds, *_NAMED], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(sorted([*kinds, *_NAMED]))}"
            raise TypeError(f"export has no option {name!r}{hint}")
        value = given.item() if getattr(given, "ndim", None) == 0 and hasattr(given, "item") else given
        if value is not None:
            found[name] = _of_kind(name, value, kinds[name])
    return found


def folder_name(name: str, value: object) -> str | None:
    """A folder or URL as text, None for none.

    Raises:
        SettingsError: it is neither text nor path, or empty: then it would be the folder that one happens to be in.
    """
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not isinstance(text := os.fspath(value), str):
        raise SettingsError(f"{name} must be a folder's name, not {type(value).__name__}")
    if not text:
        raise SettingsError(f"{name} is an empty text; name a folder")
    return at_home(text)


@contextmanager
def in_python() -> Iterator[None]:
    """Errors of the block speak of ``resume=True`` and ``token_file``, not of ``--resume`` and ``--token-file``."""
    try:
        yield
    except InventoryError as error:
        told, error.message = error.message, spoken(error.message)
        error.args = tuple(error.message if part == told else part for part in error.args)
        raise


def spoken(text: str) -> str:
    """A sentence with options as a Python caller writes them."""
    return _OPTION.sub(lambda found: _spoken(found[1].replace("-", "_")), text)


def _spoken(name: str) -> str:
    return f"{name}=True" if name in _FLAGS else name


def _of_kind(name: str, value: Any, kind: Any) -> Any:  # noqa: ANN401 - whatever a caller gives
    if kind == str | Sequence[str]:
        several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
        texts = list(value) if several else [value]
        if all(isinstance(text, str) for text in texts):
            return [str(text) for text in texts] if several else str(value)
    elif kind == str | Path:
        if isinstance(value, str | os.PathLike) and isinstance(path := os.fspath(value), str):
            return at_home(path)
    elif isinstance(value, int | float if kind is float else kind) and (kind is bool or not isinstance(value, bool)):
        return kind(value)
    raise SettingsError(f"{name} must be {_WORDS[kind]}, not {type(value).__name__}")
