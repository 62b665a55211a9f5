"""Reads Terraform states, as `terraform show -json` prints them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from inventory.errors import OutputError, UrnError, UsageError
from inventory.storage.files import read_file
from inventory.terraform.configs import canonical
from inventory.urn import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

RESOURCE: Final = "huaweicloud_fgs_async_invoke_configuration"


class StateSide(msgspec.Struct, frozen=True):
    """A destination in a state."""

    destination: str | None = None
    param: str | None = None


class Values(msgspec.Struct, frozen=True):
    """The arguments of a resource in a state."""

    id: str | None = None
    region: str | None = None
    function_urn: str | None = None
    max_async_event_age_in_seconds: int | None = None
    max_async_retry_attempts: int | None = None
    enable_async_status_log: bool | None = None
    on_success: list[StateSide] | None = None
    on_failure: list[StateSide] | None = None


class Managed(NamedTuple):
    """A resource of a state.

    Attributes:
        urn: function URN with its qualifier; that of ``latest`` without one.
        address: in its state.
        file: name of the state.
    """

    urn: str
    address: str
    file: str
    values: Values


class _Resource(msgspec.Struct):
    address: str
    type: str
    mode: str = "managed"
    values: msgspec.Raw = msgspec.Raw(b"{}")
    deposed_key: str | None = None


class _Module(msgspec.Struct):
    resources: list[_Resource] | None = None
    child_modules: list[_Module] | None = None


class _Root(msgspec.Struct):
    root_module: _Module | None = None


class _State(msgspec.Struct):
    format_version: str
    values: _Root | None = None
    planned_values: msgspec.Raw = msgspec.Raw()


_HINT: Final = "run terraform show -json > state.json in its folder, and give --state state.json"


def read_states(paths: Iterable[Path]) -> dict[str, list[Managed]]:
    """Reads states, each once; returns their resources by URN.

    Raises:
        UsageError: a file is no state.
        OutputError: a file cannot be read.
    """
    managed: dict[str, list[Managed]] = {}
    for path in {path.resolve(): path for path in paths}.values():
        for resource in _read_state(path):
            managed.setdefault(resource.urn, []).append(resource)
    return managed


def _read_state(path: Path) -> Iterator[Managed]:
    try:
        content = read_file(path)
    except OSError as error:
        raise OutputError.from_os_error(path, "cannot be read as a state", error, _HINT) from None
    try:
        text = content.decode(json.detect_encoding(content))  # PowerShell writes UTF-16
        state = msgspec.json.decode(text.removeprefix("\ufeff"), type=_State)
        if bytes(state.planned_values):
            raise UsageError(f"{path} is a plan, not a state; {_HINT}")
        for resource in _resources(state):
            yield _managed(resource, path)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        reason = "it is the file of a backend" if _is_raw(content) else str(error).splitlines()[0]
        raise UsageError(f"{path} is no output of terraform show -json: {reason}; {_HINT}") from None


def _is_raw(content: bytes) -> bool:
    try:
        document: Any = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and {"version", "lineage"} <= document.keys()


def _resources(state: _State) -> Iterator[_Resource]:
    modules = [state.values.root_module] if state.values and state.values.root_module else []
    while modules:
        module = modules.pop()
        for resource in module.resources or ():
            if resource.type == RESOURCE and resource.mode == "managed" and resource.deposed_key is None:
                yield resource
        modules.extend(reversed(module.child_modules or ()))


def _managed(resource: _Resource, path: Path) -> Managed:
    values = msgspec.json.decode(resource.values, type=Values)
    text = values.function_urn or values.id or ""
    try:
        urn = canonical(str(parse(text)))
    except UrnError as error:
        raise UsageError(
            f"{path}: {resource.address} has function_urn {text!r}, which is no full function URN: {error}; correct "
            "the state, or leave it out"
        ) from None
    return Managed(urn, resource.address, str(path), values)
