"""Blocks of one configuration: resource, import, and the resource with a fix."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Final

from inventory.exact_json import REPEATED, read_quickly
from inventory.printable import printable
from inventory.terraform.configs import EVENTS, Config, canonical
from inventory.terraform.hcl import Body, InexpressibleError, block, json_expression, quote
from inventory.terraform.state import RESOURCE
from inventory.urn import split_urn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DESTINATIONS: Final = ("OBS", "SMN", "DIS", "FunctionGraph")
_ARGUMENTS: Final = (
    "max_async_event_age_in_seconds",
    "max_async_retry_attempts",
    "enable_async_status_log",
    *EVENTS,
)
_READ_FIELDS: Final = frozenset({*_ARGUMENTS, "destination_config", "destination", "param"})
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_]+")
_MAX_READABLE: Final = 60
_DIGEST: Final = 16

_IS_OF_THIS_RESOURCE: Final = re.compile(rf'(?:# in )?resource "{RESOURCE}"(?: "\w+" {{)?')
_ATTRIBUTE: Final = re.compile(r"([a-z_]+) *= *(.+)")
_BLOCK: Final = re.compile(r"([a-z_]+) \{")


def resource_name(urn: str) -> str:
    """Returns the name of the resource of a URN: readable, and unique by a digest.

    It depends on nothing but the URN, so it stays when other functions come and go; a URN without a qualifier has the
    name of ``latest``.
    """
    whole = canonical(urn)
    parts = split_urn(whole)
    readable = _NOT_IN_NAMES.sub("_", f"{parts.package}_{parts.function_name}_{parts.qualifier}")
    if not readable[0].isalpha():
        readable = f"f_{readable}"
    return f"{readable[:_MAX_READABLE].rstrip('_')}_{hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST]}"


def body_of(config: Config) -> Body:
    """Returns the arguments of the resource.

    Raises:
        InexpressibleError: the provider has no argument for a value, or requires one that the answer lacks.
    """
    check_types(config)
    body = identity(config.urn)
    for name, value in zip(_ARGUMENTS, (config.age_s, config.retries), strict=False):
        if value is None:
            raise InexpressibleError(f"no {name}, which the provider requires")
        body[name] = str(value)
    if config.status_log is not None:
        body["enable_async_status_log"] = "true" if config.status_log else "false"
    for event in EVENTS:
        if event in config.sides:
            body[event] = _side_of(config, event)
    return body


def identity(urn: str) -> Body:
    """Returns the arguments that say which configuration a resource manages."""
    return {"region": quote(split_urn(urn).region), "function_urn": quote(urn)}


def check_types(config: Config) -> None:
    """Checks that the tables have all of an answer that the provider reads.

    Raises:
        InexpressibleError: they do not.
    """
    extras = {"": config.extra, **{f" of {event}": side.extra for event, side in config.sides.items()}}
    for place, extra in extras.items():
        names = field_names(extra)
        if REPEATED in names:
            raise InexpressibleError(f"a field{place} twice in the answer")
        if known := sorted(names & _READ_FIELDS):
            raise InexpressibleError(f"{known[0]}{place} of another type than documented")


def _side_of(config: Config, event: str) -> dict[str, str]:
    side = config.sides[event]
    if side.destination not in _DESTINATIONS:
        raise InexpressibleError(f"destination {side.destination} of {event}, which the provider does not document")
    if side.param is None:
        raise InexpressibleError(f"no param of {event}, which the provider requires")
    if names := sorted(field_names(side.extra)):
        raise InexpressibleError(f"{', '.join(names)} of {event}, for which the provider has no argument")
    return {"destination": quote(side.destination), "param": json_expression(side.param)}


def field_names(extra: str | None) -> set[str]:
    """Names of the fields of an answer that the tables keep in ``extra``."""
    return set() if extra is None else set(read_quickly(extra))


def describe_values(config: Config) -> Iterator[str]:
    """Words what the cloud has, for a comment."""
    for name, value in zip(_ARGUMENTS, (config.age_s, config.retries, config.status_log), strict=False):
        if value is not None:
            yield f"  {name}: {json.dumps(value)}"
    for event, side in config.sides.items():
        yield f"  {event}: {json.dumps({name: value for name, value in side._asdict().items() if value is not None})}"
    if config.extra is not None:
        yield f"  other fields: {config.extra}"


def resource_block(urn: str, body: Body) -> list[str]:
    """Returns the lines of the resource."""
    return block(f'resource "{RESOURCE}" "{resource_name(urn)}"', body)


def import_block(urn: str) -> list[str]:
    """Returns the lines of the import; the provider's id is the function URN."""
    return block("import", {"to": f"{RESOURCE}.{resource_name(urn)}", "id": quote(urn)})


def with_fix(body: Body, text: str) -> Body | None:
    """Returns the arguments with those of a fix; None if the fix is not about this resource alone."""
    lines = text.splitlines()
    if not lines or not _IS_OF_THIS_RESOURCE.fullmatch(lines[0]):
        return None
    is_whole = lines[0].startswith("resource")
    if is_whole and lines[-1].strip() != "}":
        return None
    changed = _read_arguments(iter(lines[1:-1] if is_whole else lines[1:]))
    if changed is None:
        return None
    changed.pop("function_urn", None)
    merged = {**body, **changed}
    if not merged.keys() >= set(_ARGUMENTS[:2]):
        return None
    return {name: merged[name] for name in ("region", "function_urn", *_ARGUMENTS) if name in merged}


def _read_arguments(lines: Iterator[str]) -> Body | None:
    """Reads ``name = value`` and blocks of them; None for anything else."""
    body: Body = {}
    for line in map(str.strip, lines):
        if attribute := _ATTRIBUTE.fullmatch(line):
            body[attribute[1]] = printable(attribute[2])
        elif nested := _BLOCK.fullmatch(line):
            inside = _read_nested(lines)
            if inside is None:
                return None
            body[nested[1]] = inside
        elif line and not line.startswith("#"):
            return None
    return body if body.keys() <= {"function_urn", *_ARGUMENTS} else None


def _read_nested(lines: Iterable[str]) -> dict[str, str] | None:
    arguments: dict[str, str] = {}
    for line in map(str.strip, lines):
        if line == "}":
            return arguments
        attribute = _ATTRIBUTE.fullmatch(line)
        if attribute is None:
            return None
        arguments[attribute[1]] = printable(attribute[2])
    return None
