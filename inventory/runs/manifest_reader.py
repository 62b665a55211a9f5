"""Reads the manifest of a run: the type of each key, one check for all commands."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from inventory.errors import ExitCode, OutputError
from inventory.settings import FORMATS
from inventory.storage.files import read_file
from inventory.tables import paths, schema

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME: Final = "manifest.json"
TOOL: Final = "functiongraph-inventory"
_TIME_LENGTH: Final = 20

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Plain = _Integer | float | bool | str | None
_Shallow = _Plain | list[_Plain] | dict[str, _Plain]
_Deeper = _Plain | list[_Shallow] | dict[str, _Shallow]
Settings = dict[str, _Plain | list[_Deeper] | dict[str, _Deeper]]
"""Settings of any version; not nested without end."""


class RunLimit(msgspec.Struct):
    """A rate limit that the service named."""

    calls: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    seconds: Annotated[float, msgspec.Meta(gt=0, le=1e9)]
    policy: str = ""


class _FailedReport(msgspec.Struct):
    project: str
    error_kind: str
    http_status: int | None
    message: str


class ListedBlock(msgspec.Struct):
    """What was listed; None where a user's own list was read.

    ``failed_reports``: by table of ``--with``, the projects whose rows are missing, and why.
    """

    projects: list[str]
    versions: bool
    aliases: bool
    failed_reports: dict[str, list[_FailedReport]] = {}


class _File(msgspec.Struct):
    path: str
    sha256: str
    entries: Count


class _Input(msgspec.Struct):
    files: list[_File]
    entries: Count
    urns: Count
    duplicates: Count
    rejects: Count
    cleaned: Count = 0
    listed: ListedBlock | None = None


class _StatusCounts(msgspec.Struct):
    configured: Count
    not_configured: Count
    not_found: Count
    failed: Count
    not_attempted: Count


class _Counts(msgspec.Struct):
    status: _StatusCounts
    error_kind: dict[str, Count]
    named_otherwise: Count = 0


class _Requests(msgspec.Struct):
    total: Count
    retries: Count
    throttled: Count
    saved_by_lists: _Integer
    by_operation: dict[str, Count]
    by_http_status: dict[str, Count]


class ScopeBlock(msgspec.Struct):
    """A scope: its calls, its limits, and why it was given up."""

    region: str
    project_id: str
    endpoint: str
    urns: Count
    requests: Count
    refused: Count
    limit_learnt: RunLimit | None
    limit_used: float | None
    shared_limit: RunLimit | None = None
    shared_limit_used: float | None = None
    stopped: str | None = None
    account: str | None = None


class ShardsBlock(msgspec.Struct):
    """The shards of a run in several processes, and the sessions in which they were fetched."""

    number: Count
    attempts: Count
    engine: str
    versions: dict[str, str]


class _TableFile(msgspec.Struct):
    name: str
    format: str
    path: str
    rows: Count
    bytes: Count
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]

    def __post_init__(self) -> None:
        if self.name not in schema.TABLES or self.format not in FORMATS:
            raise ValueError(f"there is no table {self.name!r} as {self.format!r}")
        folder, _, file = self.path.rpartition("/")
        is_part = paths.is_part(file) and file.endswith(f".{self.format}")
        is_in_place = is_part and folder == paths.folder_name(self.name, self.format)
        if self.path != paths.file_name(self.name, self.format) and not is_in_place:
            raise ValueError(f"{self.path!r} is no file of the table {self.name} as {self.format}")


class _Manifest(msgspec.Struct):
    tool: Literal["functiongraph-inventory"]
    tool_version: str
    schema_version: Count
    started: Moment
    finished: Moment
    complete: bool
    exit_code: ExitCode
    input: _Input
    counts: _Counts
    requests: _Requests
    scopes: list[ScopeBlock]
    tables: list[_TableFile]
    settings: Settings
    shards: ShardsBlock | None = None

    def __post_init__(self) -> None:
        files = [file.path for file in self.tables]
        if len(set(files)) < len(files):
            raise ValueError("a file of a table is named twice")


class NewerVersionError(OutputError):
    """A newer version of inventory wrote the file."""


def text_of(moment: datetime) -> str:
    """Formats a time for the manifest: RFC 3339, UTC, whole seconds; texts sort as times.

    Raises:
        OverflowError: it is not in the years 1 to 9999 in UTC.
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(_TIME_LENGTH, "0")


def read(path: Path) -> dict[str, Any]:
    """Reads a manifest.

    Raises:
        OutputError: there is no manifest, or it is damaged.
        NewerVersionError: a newer version wrote it.
    """
    try:
        content = read_file(path)
    except OSError as error:
        raise OutputError.from_os_error(
            path, "cannot be read", error, "a run without a manifest is not complete"
        ) from None
    return decode(content, str(path))


def decode(content: bytes, path: str) -> dict[str, Any]:
    """Parses the content of a manifest; ``path`` is for messages.

    The result has the keys of this version: those that an older version did not write have their defaults.

    Raises:
        OutputError: it is damaged.
        NewerVersionError: a newer version wrote it.
    """
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from None
    if isinstance(document, dict):
        _check_version(document, path)
    try:
        manifest = msgspec.convert(document, _Manifest)
        times = {"started": text_of(manifest.started), "finished": text_of(manifest.finished)}
    except (msgspec.ValidationError, OverflowError) as error:
        raise _damaged(path, f"it is no manifest ({error})") from None
    return {**msgspec.to_builtins(manifest), **times}


def _check_version(document: dict[str, Any], path: str) -> None:
    version = document.get("schema_version")
    if isinstance(version, int) and not isinstance(version, bool) and version > schema.VERSION:
        raise NewerVersionError(
            f"{path} is of a newer inventory ({document.get('tool_version')}, schema {version}; this one reads up to "
            f"{schema.VERSION}); upgrade functiongraph-inventory here"
        )


def _damaged(path: str, reason: str) -> OutputError:
    return OutputError(f"{path} is damaged: {reason}; delete it, then --resume writes the tables again")
