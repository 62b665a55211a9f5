"""Parses function URNs: full forms, short forms, versions and aliases.

Source: api-facts.md section 1 (vendor's function model, OTC API reference, read 2026-08).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal, NamedTuple

from inventory.errors import UrnError

MAX_LENGTH = 1024
"""Characters. The vendor documents 269; the service decides on a few more."""

LATEST = "latest"
"""The version of a URN without a qualifier."""

_INVISIBLE = (
    r"\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff"
)
"""Unicode category Cf and Default_Ignorable_Code_Point."""
_INNER = re.compile(rf"[^\s{_INVISIBLE}]")
_FORBIDDEN_ASCII = re.compile(r"[\x00-\x20\x7f/?#%]")
_FORBIDDEN = re.compile(rf"[\x00-\x20\x7f-\xa0/?#%\u2028\u2029\ud800-\udfff{_INVISIBLE}]|\s")
_MARKS = {
    ":": "\u02d0\u02f8\u0589\u05c3\u0703\u0704\u16ec\u2236\ua4fd\ua789",
    "!": "\u01c3\u2d51",
    ".": "\xb7\u3002",
    "-": "\u02d7\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212",
    "'": "\u2018\u2019\u201a\u201b\u2032\u2039\u203a",
    '"': "\u201c\u201d\u201e\u201f\u2033\xab\xbb",
}
"""Punctuation that looks like ASCII; NFKC finds the rest."""
_MARK_OF = {other: mark for mark, others in _MARKS.items() for other in others}
_LETTER_OF = dict(
    zip(
        # Latin, Greek and Cyrillic; small letters first
        "\u0131\u0251\u0261\u03b1\u03b9\u03ba\u03bd\u03bf\u03c1\u03c5\u03f2\u03f3"
        "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
        "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u0475\u04bb\u04cf\u0501\u051b\u051d"
        "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0405\u0406\u0408\u04c0\u051a\u051c",
        "iagaiknopucjABEZHIKMNOPTYXaeopcyxsijvhldqwABEKMHOPCTYXSIJIQW",
        strict=True,
    )
)
"""Letters of other scripts that look like an ASCII letter."""
_MARK_CATEGORIES = ("Mn", "Mc")
_FORBIDDEN_CATEGORIES = ("Cn", "Co", "Me", "So")
_NOT_IN_A_PATH = (".", "..")
_FIXED_CHARACTERS = len("urn:fss:::function:::")
_FULL_FIELDS = (7, 8)
_SHORT_FIELDS = (1, 2, 3, 4)

QualifierType = Literal["version", "alias"]


class FunctionUrn(NamedTuple):
    """One function, version or alias. Without a qualifier, the service reads ``latest``; we do not add it."""

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
    """The prefix of all full URNs of a scope, which is one range of sorted URNs."""
    return f"urn:fss:{region}:{project_id}:"


def urn_range(region: str, project_id: str) -> tuple[str, str]:
    """The sorted URNs of a scope are from the first text to before the second (";" follows ":")."""
    prefix = scope_prefix(region, project_id)
    return prefix, f"{prefix[:-1]};"


def parse(text: str, *, region: str | None = None, project_id: str | None = None) -> FunctionUrn:
    """Parses a URN in any of the vendor's forms.

    Args:
        text: 7 or 8 fields (``urn:fss:<region>:<project>:function:<package>:<name>[:<version>|:!<alias>]``), or a short
            form: ``name``, ``package:name``, ``project:package:name``, ``project:package:name:version-or-!alias``.
        region: of short forms.
        project_id: of short forms without a project.

    Raises:
        UrnError: with the reason.
    """
    if len(text) > MAX_LENGTH:
        raise UrnError(f"{len(text)} characters long: a function URN has at most 269")
    is_ascii = text.isascii()
    forbidden = (_FORBIDDEN_ASCII if is_ascii else _FORBIDDEN).search(text)
    if forbidden:
        character, position = describe_character(forbidden.group()), forbidden.start() + 1
        raise UrnError(f"character {character} at position {position} is not allowed in a function URN")
    if not is_ascii:
        _check_look_alikes(text)
        _check_categories(text)
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


def trim(text: str) -> tuple[str, bool]:
    """Trims white space and invisible characters; True if it removes more than ASCII white space."""
    if text.isascii():
        return text.strip(), False
    end = len(text) - _size_of_edge(text[::-1])
    start = min(end, _size_of_edge(text))
    return text[start:end], not (text[:start].isascii() and text[end:].isascii())


def _size_of_edge(text: str) -> int:
    found = _INNER.search(text)
    return found.start() if found else len(text)


def describe_character(character: str) -> str:
    """A character for a message: itself, or its code point and name."""
    if character.isascii():
        return repr(character)
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def _check_look_alikes(text: str) -> None:
    """Rejects ASCII look-alikes, which would query another function than the user reads.

    Letters of other scripts: only in a field with ASCII letters where all others look like ASCII too.
    """
    if text.isascii():
        return
    for position, character in enumerate(text, 1):
        looks_like = _MARK_OF.get(character) or unicodedata.normalize("NFKC", character)
        if not character.isascii() and looks_like.isascii():
            raise UrnError(
                f"character {describe_character(character)} at position {position} is not the ASCII {looks_like!r}"
            )
    position = 0
    for field in text.split(":"):
        letters = [letter for letter in field if letter.isalpha()]
        others = [letter for letter in letters if not letter.isascii()]
        if 0 < len(others) < len(letters) and all(letter in _LETTER_OF for letter in others):
            place = position + field.index(others[0]) + 1
            described, looks_like = describe_character(others[0]), _LETTER_OF[others[0]]
            raise UrnError(f"character {described} at position {place} is not the ASCII {looks_like!r}")
        position += len(field) + 1


def _check_categories(text: str) -> None:
    if text.isascii():
        return
    base = ""  # the last letter and its marks
    for position, character in enumerate(text, 1):
        category = unicodedata.category(character)
        if category in _MARK_CATEGORIES:
            base += character
            is_allowed = base[0].isalpha() and (not base[0].isascii() or len(unicodedata.normalize("NFC", base)) == 1)
        else:
            base = character
            is_allowed = character.isascii() or category not in _FORBIDDEN_CATEGORIES
        if not is_allowed:
            described = describe_character(character)
            raise UrnError(f"character {described} at position {position} is not allowed in a function URN")


def split_urn(text: str) -> FunctionUrn:
    """Splits a full URN that :func:`parse` has checked, in a third of the time."""
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
    if len(fields) > 4 and fields[4] != "function":  # noqa: PLR2004 - type of the URN
        raise UrnError(f"a {fields[4]} URN, not a function URN")
    if len(fields) not in _FULL_FIELDS:
        raise UrnError(f"{len(fields)} fields where a function URN has 7 or 8")
    return _build(fields[2], fields[3], fields[5], fields[6], fields[7] if len(fields) == _FULL_FIELDS[-1] else None)


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
    if sum(map(len, (region, project_id, package, name, qualifier or ""))) > MAX_LENGTH - _FIXED_CHARACTERS:
        raise UrnError(f"completed, it is over {MAX_LENGTH} characters long: a function URN has at most 269")
    return _build(region, project_id, package, name, qualifier)


def check_field(text: str, name: str) -> None:
    """Checks that a text can be a field of a URN.

    Raises:
        UrnError: with ``name`` in the message.
    """
    if not text or ":" in text or text in _NOT_IN_A_PATH or _FORBIDDEN.search(text):
        raise UrnError(f"{name} {text!a} cannot be a field of a URN")
    try:
        _check_look_alikes(text)
        _check_categories(text)
    except UrnError as error:
        raise UrnError(f"{name} {text!a} cannot be a field of a URN: {error.message}") from None


def _build(region: str, project_id: str, package: str, name: str, qualifier: str | None) -> FunctionUrn:
    if project_id in _NOT_IN_A_PATH:  # a segment of the request path
        raise UrnError(f"project {project_id!r} cannot be a project id")
    if qualifier is None:
        return FunctionUrn(region, project_id, package, name)
    if qualifier.startswith("!"):
        return FunctionUrn(region, project_id, package, name, qualifier[1:], "alias")
    return FunctionUrn(region, project_id, package, name, qualifier, "version")
