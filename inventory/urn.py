"""The grammar of function URNs: full forms, short forms, versions and aliases.

Owns what a function URN is. Knows no file, no network and no endpoint.

Source: api-facts.md section 1 (vendor's function model, OTC API reference, read 2026-08).
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from inventory.errors import UrnError

MAX_LENGTH = 1024
"""Characters. The vendor documents 269; a little more is asked and left to the service to judge."""

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\xa0/?#%\u2028\u2029\ud800-\udfff]|\s")
_NOT_IN_A_PATH = (".", "..")
_FIXED_CHARACTERS = len("urn:fss:::function:::")
_FULL_FIELDS = (7, 8)
_SHORT_FIELDS = (1, 2, 3, 4)

QualifierType = Literal["version", "alias"]


class FunctionUrn(NamedTuple):
    """One function, version or alias, as it was asked for.

    A URN without a qualifier is its own identity: the service reads it as ``latest``, and we do not write that in.
    """

    region: str
    project_id: str
    package: str
    function_name: str
    qualifier: str | None = None
    qualifier_type: QualifierType | None = None

    def __str__(self) -> str:
        base = f"{scope_prefix(self.region, self.project_id)}function:{self.package}:{self.function_name}"
        if self.qualifier is None:
            return base
        return f"{base}:{'!' if self.qualifier_type == 'alias' else ''}{self.qualifier}"


def scope_prefix(region: str, project_id: str) -> str:
    """What every full URN of a scope begins with, so that a scope is one range of sorted URNs."""
    return f"urn:fss:{region}:{project_id}:"


def parse(text: str, *, region: str | None = None, project_id: str | None = None) -> FunctionUrn:
    """Reads a URN in any of the vendor's forms.

    Args:
        text: 7 or 8 fields (``urn:fss:<region>:<project>:function:<package>:<name>[:<version>|:!<alias>]``), or a short
            form: ``name``, ``package:name``, ``project:package:name``, ``project:package:name:version-or-!alias``.
        region: completes the short forms.
        project_id: completes the short forms that do not say it.

    Raises:
        UrnError: the text is none of these; the message says why.
    """
    if len(text) > MAX_LENGTH:
        raise UrnError(f"{len(text)} characters long: a function URN has at most 269")
    found = _FORBIDDEN.search(text)
    if found:
        raise UrnError(f"character {found.group()!a} at position {found.start() + 1} is not allowed in a function URN")
    if not text:
        raise UrnError("empty")
    fields = text.split(":")
    if "" in fields or fields[-1] == "!":
        raise UrnError(f"field {fields.index('') + 1 if '' in fields else len(fields)} of the URN is empty")
    if fields[0] == "urn":
        return _full(fields)
    if len(fields) in _SHORT_FIELDS:
        return _short(fields, region, project_id)
    raise UrnError(f"{len(fields)} fields that do not begin with 'urn:fss': not a function URN")


def of_full(text: str) -> FunctionUrn:
    """Takes a full URN apart that :func:`parse` has made: nothing is checked again, which takes a third of the time."""
    _, _, region, project_id, _, package, name, *rest = text.split(":")
    if not rest:
        return FunctionUrn(region, project_id, package, name)
    qualifier = rest[0]
    if qualifier.startswith("!"):
        return FunctionUrn(region, project_id, package, name, qualifier[1:], "alias")
    return FunctionUrn(region, project_id, package, name, qualifier, "version")


def _full(fields: list[str]) -> FunctionUrn:
    if fields[1:2] != ["fss"]:
        raise UrnError("a URN of another service: a function URN begins with 'urn:fss:'")
    if len(fields) > 4 and fields[4] != "function":  # noqa: PLR2004 - the field that says what the URN names
        raise UrnError(f"a {fields[4]} URN, not a function URN")
    if len(fields) not in _FULL_FIELDS:
        raise UrnError(f"{len(fields)} fields where a function URN has 7 or 8")
    return _made(fields[2], fields[3], fields[5], fields[6], fields[7] if len(fields) == _FULL_FIELDS[-1] else None)


def _short(fields: list[str], region: str | None, project_id: str | None) -> FunctionUrn:
    if region is None:
        raise UrnError("a short form: give --region (and --project-id) to complete it")
    check_field(region, "--region")
    if project_id is not None:
        check_field(project_id, "--project-id")
    package, qualifier = "default", None
    if len(fields) >= 3:  # noqa: PLR2004 - project:package:name[:qualifier]
        project_id, package, name, *rest = fields
        qualifier = rest[0] if rest else None
    else:
        name = fields[-1]
        if len(fields) == 2:  # noqa: PLR2004 - package:name
            package = fields[0]
    if project_id is None:
        raise UrnError("a short form without a project: give --project-id to complete it")
    return _made(region, project_id, package, name, qualifier)


def check_field(text: str, name: str) -> None:
    """Sees that a text can be a field of a URN.

    Raises:
        UrnError: it cannot; the message names it.
    """
    if not text or ":" in text or text in _NOT_IN_A_PATH or _FORBIDDEN.search(text):
        raise UrnError(f"{name} {text!a} cannot be a field of a URN")


def _made(region: str, project_id: str, package: str, name: str, qualifier: str | None) -> FunctionUrn:
    if sum(map(len, (region, project_id, package, name, qualifier or ""))) > MAX_LENGTH - _FIXED_CHARACTERS:
        raise UrnError(f"completed, it is over {MAX_LENGTH} characters long: a function URN has at most 269")
    if project_id in _NOT_IN_A_PATH:  # it is a part of the call's path by itself
        raise UrnError(f"project {project_id!r} cannot be a project id")
    if qualifier is None:
        return FunctionUrn(region, project_id, package, name)
    if qualifier.startswith("!"):
        return FunctionUrn(region, project_id, package, name, qualifier[1:], "alias")
    return FunctionUrn(region, project_id, package, name, qualifier, "version")
