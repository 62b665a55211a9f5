"""Reads review rules: SQL files with a TOML header in the first comment."""

from __future__ import annotations

import math
import re
from importlib import resources
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import duckdb
import msgspec

from inventory.errors import OutputError, UsageError
from inventory.settings import Severity  # noqa: TC001 - msgspec reads the types when it decodes
from inventory.storage.files import read_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Area: TypeAlias = Literal["reliability", "cost", "security", "hygiene"]
Subject: TypeAlias = Literal["urn", "destination", "function", "cycle"]
Need: TypeAlias = Literal["functions", "destinations", "function_facts", "aliases", "cycles", "chains"]

_HEADER: Final = re.compile(r"\s*/\*[ \t]*\r?\n(?P<header>.*?)^[ \t]*\*/[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
RESERVED_PARAMETERS: Final = frozenset({"rule"})
"""Parameters of the statements around a rule's query or condition."""
_ID: Final = re.compile(r"[A-Z]{2,8}[0-9]{3,4}")


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A number or a list of texts that a settings file can change; the query reads it as ``$name``."""

    default: int | float | list[str]
    meaning: str
    unit: str = ""


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One review rule.

    Attributes:
        subject: what a row of the query is: a URN, a destination of a URN, a function, or a URN of a cycle.
        severities: the severities that the query returns, if they depend on the row.
        needs: tables without which each subject is unknown.
        applies: SQL condition on the subject's view.
        assumes: what must be true for a finding to be right.
        terraform: what a person copies; names in capitals are those of columns of the finding, or keys of its evidence.
        command: the same, where Terraform cannot express the fix.
        sql: the query, without the header.
        used: parameters that the query uses.
        used_by_applies: parameters that the condition uses.
        origin: the file.
        folder: of a user's rule.
    """

    id: str
    name: str
    title: str
    area: Area
    severity: Severity
    subject: Subject
    why: str
    fix: str
    source: str
    applies: str = "true"
    needs: tuple[Need, ...] = ("functions",)
    severities: tuple[Severity, ...] = ()
    terraform: str = ""
    command: str = ""
    assumes: str = ""
    example: str = ""
    parameters: dict[str, Parameter] = {}
    sql: str = ""
    used: tuple[str, ...] = ()
    used_by_applies: tuple[str, ...] = ()
    origin: str = ""
    folder: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that identify a row of the query."""
        return ("subject", "event") if self.subject == "destination" else ("subject",)

    def with_severity(self, severity: Severity) -> Rule:
        """Returns the rule with another severity for all of its findings."""
        return msgspec.structs.replace(self, severity=severity, severities=(severity,))


def read_rule(text: str, origin: str, folder: str = "") -> Rule:
    """Reads a rule file.

    Raises:
        UsageError: the header or the query is invalid; the message names the file.
    """
    match = _HEADER.match(text)
    if match is None:
        raise UsageError(f"{origin} is no rule: it does not begin with a header between the lines /* and */")
    try:
        document = msgspec.toml.decode(match["header"])
        own = {"sql": text[match.end() :], "used": (), "used_by_applies": (), "origin": origin, "folder": folder}
        reserved = sorted(own.keys() & document.keys())
        if reserved:
            raise UsageError(f"{origin}: the header has the unknown key {reserved[0]!r}")
        rule = msgspec.convert({**document, **own}, Rule)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
        raise UsageError(f"{origin}: the header is invalid: {error}") from None
    if not _ID.fullmatch(rule.id):
        raise UsageError(f"{origin}: the id {rule.id!r} is not capital letters and digits, such as FGA101")
    _check_parameters(rule)
    if rule.terraform.strip() and rule.command.strip():
        raise UsageError(f"{origin}: the header has terraform and command; give the one that a person copies")
    return _checked_sql(rule)


def _check_parameters(rule: Rule) -> None:
    for name, parameter in rule.parameters.items():
        if name in RESERVED_PARAMETERS:
            raise UsageError(f"{rule.origin}: the parameter {name} needs another name: reviews use this one")
        if isinstance(parameter.default, float) and not math.isfinite(parameter.default):
            raise UsageError(f"{rule.origin}: the parameter {name} is {parameter.default}; it must be finite")


def _checked_sql(rule: Rule) -> Rule:
    """Adds the query as one statement, and the parameters."""
    try:
        statements = duckdb.extract_statements(rule.sql)
        condition = duckdb.extract_statements(f"SELECT (\n{rule.applies}\n)")
    except duckdb.Error as error:
        raise UsageError(f"{rule.origin}: the SQL is invalid: {_first_line(error)}") from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError(f"{rule.origin}: a rule is exactly one SELECT statement")
    if len(condition) != 1 or condition[0].type != duckdb.StatementType.SELECT:
        raise UsageError(f"{rule.origin}: applies is not one condition")
    for part, used in (("query", statements[0]), ("condition applies", condition[0])):
        unknown = sorted(used.named_parameters - set(rule.parameters))
        if unknown:
            raise UsageError(f"{rule.origin}: the {part} uses ${unknown[0]}, which the header does not declare")
    return msgspec.structs.replace(
        rule,
        sql=statements[0].query.rstrip().rstrip(";"),
        used=tuple(sorted(statements[0].named_parameters)),
        used_by_applies=tuple(sorted(condition[0].named_parameters)),
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def load_builtin_rules() -> dict[str, Rule]:
    """Reads the rules of the package, by id."""
    folder = resources.files("inventory.reviews") / "rules"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return _by_id(read_rule(file.read_text("utf-8"), file.name) for file in files)


def load_rules(folder: Path) -> dict[str, Rule]:
    """Reads the ``*.sql`` files of a folder, by id.

    Raises:
        UsageError: there is no rule, two have one id, or one is invalid.
        OutputError: a file cannot be read.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".sql")
    except OSError as error:
        raise OutputError.from_os_error(folder, "cannot be read as a folder of rules", error) from None
    if not paths:
        raise UsageError(f"{folder} has no rule: a rule is a file whose name ends in .sql")
    return _by_id(map(_read_file, paths))


def _read_file(path: Path) -> Rule:
    try:
        return read_rule(read_file(path).decode("utf-8-sig"), str(path), str(path.parent))
    except OSError as error:
        raise OutputError.from_os_error(path, "cannot be read as a rule", error) from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text") from None


def _by_id(rules: Iterable[Rule]) -> dict[str, Rule]:
    by_id: dict[str, Rule] = {}
    for rule in rules:
        if rule.id in by_id:
            raise UsageError(f"{rule.origin}: the id {rule.id} is already that of {by_id[rule.id].origin}")
        by_id[rule.id] = rule
    return by_id
