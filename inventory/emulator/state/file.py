"""A cloud read from a JSON file, or from mappings.

Shape:
    ``{"functions": {URN: config | null}, "facts": {URN: {field: any}}, "answers": {URN: {"status": 200, "body": any,
    "headers": {}}}}``. A function with config null exists and is not configured. A config without ``func_urn`` gets it.
    Facts replace generated fields in the list item of a version or alias. An answer's ``body`` is sent as it is
    written: a JSON string as text, anything else as JSON.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from inventory.emulator.responses import JSON_HEADERS, Reply
from inventory.emulator.state.interface import LATEST, Answer, Missing, Qualifiers, Scope
from inventory.errors import SettingsError, UrnError
from inventory.urn import FunctionUrn, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_T = TypeVar("_T")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    functions: dict[str, msgspec.Raw] = {}
    facts: dict[str, msgspec.Raw] = {}
    answers: dict[str, msgspec.Raw] = {}


_MAX_SIZE: Final = 64_000_000
"""Bytes of a state file; a device may have no end."""


class _ExactAnswer(msgspec.Struct, forbid_unknown_fields=True):
    status: int = 200
    body: msgspec.Raw = msgspec.Raw(b'""')
    headers: dict[str, str] = {}


class FileCloud:
    """A cloud from mappings.

    Args:
        functions: config by full URN; None: exists, not configured. A function with any URN here has ``latest`` too.
        answers: exact answer by full URN; overrides ``functions``.
        facts: fields by full URN that replace generated ones in the list item of a version or alias.

    Raises:
        SettingsError: a key is not a full function URN, two keys mean the same URN, or a URN with facts is not listed.
    """

    def __init__(
        self,
        functions: Mapping[str, dict[str, Any] | None],
        answers: Mapping[str, Reply] | None = None,
        facts: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        self._configs = _by_urn("functions", functions)
        self._answers = _by_urn("answers", answers or {})
        self._functions = _qualifiers(self._configs)
        self._facts = _by_urn("facts", facts or {})
        for urn in self._facts:
            if urn not in self._configs and (urn.qualifier != LATEST or _function(urn) not in self._functions):
                raise SettingsError(f"facts[{str(urn)!r}]: functions has no such version or alias")
        self._urns = tuple(dict.fromkeys([*functions, *(answers or {})]))
        self.scopes = tuple(dict.fromkeys(Scope(*urn[:2]) for urn in (*self._configs, *self._answers)))

    def __repr__(self) -> str:
        return f"FileCloud({len(self._urns)} URNs)"

    def answer(self, urn: FunctionUrn) -> Answer:
        """The answer of the service for one URN."""
        key = _with_qualifier(urn)
        if key in self._answers:
            return self._answers[key]
        if key in self._configs:
            config = self._configs[key]
            return Missing.CONFIG if config is None else {"func_urn": str(key), **config}
        if _function(key) not in self._functions:
            return Missing.FUNCTION
        if key.qualifier_type == "alias":
            return Missing.ALIAS
        return Missing.CONFIG if key.qualifier == LATEST else Missing.VERSION

    def urns(self, limit: int | None = None) -> Iterator[str]:
        """The URNs of the file, in its order."""
        return islice(self._urns, limit)

    def count(self, scope: Scope) -> int:
        """Number of functions in a project."""
        return sum(function[:2] == scope for function in self._functions)

    def functions_of(self, scope: Scope, offset: int, limit: int) -> list[FunctionUrn]:
        """A page of the functions of a project, in file order."""
        of_scope = (function for function in self._functions if function[:2] == scope)
        return list(islice(of_scope, offset, offset + limit))

    def qualifiers_of(self, urn: FunctionUrn) -> Qualifiers | None:
        """The versions and aliases of a function in the file."""
        return self._functions.get(_function(urn))

    def facts(self, urn: FunctionUrn) -> dict[str, Any]:
        """The facts of the file about a version or alias."""
        return self._facts.get(urn, {})


def load_state(path: str | Path) -> FileCloud:
    """Reads a state file.

    Raises:
        SettingsError: the file is not readable or not valid; the message names file and place.
    """
    try:
        content: _File = _decode("the file", _read_bytes(Path(path)), _File)
        functions: dict[str, dict[str, Any] | None] = {
            urn: _decode(f"functions[{urn!r}]", config, dict[str, Any] | None)
            for urn, config in content.functions.items()
        }
        answers = {urn: _reply(f"answers[{urn!r}]", answer) for urn, answer in content.answers.items()}
        facts: dict[str, dict[str, Any]] = {
            urn: _decode(f"facts[{urn!r}]", fields, dict[str, Any]) for urn, fields in content.facts.items()
        }
        return FileCloud(functions, answers, facts)
    except OSError as error:
        raise SettingsError.from_os_error(
            f"state file {path}:", "cannot be read", error, "name another --state"
        ) from error
    except SettingsError as error:
        raise SettingsError(f"state file {path}: {error}") from error


def _read_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MAX_SIZE + 1)
    if len(content) > _MAX_SIZE:
        raise SettingsError(f"no JSON of functions: it has over {_MAX_SIZE:,} bytes")
    return content


def _decode(place: str, raw: bytes | msgspec.Raw, kind: type[_T] | Any) -> _T:  # noqa: ANN401 - a union is no type
    try:
        value: _T = msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{place}: {error}") from error
    return value


def _reply(place: str, raw: msgspec.Raw) -> Reply:
    answer: _ExactAnswer = _decode(place, raw, _ExactAnswer)
    if not 200 <= answer.status <= 599:  # noqa: PLR2004 - the statuses that end a call
        raise SettingsError(f"{place}: status {answer.status} does not lie between 200 and 599")
    if any(set("\r\n\0") & set(name + value) for name, value in answer.headers.items()):
        raise SettingsError(f"{place}: a header contains a line break")
    body = bytes(answer.body)
    if body.startswith(b'"'):
        text: str = _decode(place, body, str)
        body = text.encode()
    return Reply(answer.status, body, {**JSON_HEADERS, **answer.headers})


def _by_urn(place: str, entries: Mapping[str, _T]) -> dict[FunctionUrn, _T]:
    result: dict[FunctionUrn, _T] = {}
    for text, value in entries.items():
        try:
            urn = _with_qualifier(parse(text))
        except UrnError as error:
            raise SettingsError(f"{place}[{text!r}]: not a full function URN: {error}") from error
        if urn in result:
            raise SettingsError(f"{place}[{text!r}]: {urn} is given twice")
        result[urn] = value
    return result


def _qualifiers(urns: Iterable[FunctionUrn]) -> dict[FunctionUrn, Qualifiers]:
    names: dict[FunctionUrn, tuple[list[str], list[str]]] = {}
    for urn in urns:
        versions, aliases = names.setdefault(_function(urn), ([], []))
        if urn.qualifier_type == "alias":
            aliases.append(urn.qualifier or "")
        elif urn.qualifier != LATEST:
            versions.append(urn.qualifier or "")
    return {function: Qualifiers(*of_function) for function, of_function in names.items()}


def _function(urn: FunctionUrn) -> FunctionUrn:
    return urn._replace(qualifier=None, qualifier_type=None)


def _with_qualifier(urn: FunctionUrn) -> FunctionUrn:
    return urn._replace(qualifier=LATEST, qualifier_type="version") if urn.qualifier is None else urn
