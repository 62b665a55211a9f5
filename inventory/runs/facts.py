"""Recorded facts of a run: start, settings, table options, listing, end, store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import msgspec

from inventory.errors import ExitCode, LedgerUnusableError, OutputError, SettingsError, UsageError
from inventory.ledger.reader import BODIES_DROPPED
from inventory.ledger.records import StatusCount
from inventory.runs.manifest_reader import Count, ListedBlock, Moment, ScopeBlock, Settings, ShardsBlock, text_of
from inventory.runs.output import Output
from inventory.settings import ExportSettings, Format
from inventory.settings_sources.checks import check_settings
from inventory.settings_sources.combine import describe, restore
from inventory.storage.object_store import parse

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from inventory.ledger.reader import LedgerView
    from inventory.ledger.writer import Ledger

# These names are in the ledgers of users: they never change.
_STARTED: Final = "started"
_SETTINGS: Final = "loaded"
_TABLE_OPTIONS: Final = "shape"
_LISTED: Final = "listed"
_CLEANED: Final = "cleaned"
_ENDED: Final = "ended"
_STORE: Final = "store"
_LIMITS: Final = "limits"
_STATUSES: Final = "statuses"
TABLE_OPTION_NAMES: Final = ("format", "naive_timezone", "rows_per_file")


class _TableOptions(msgspec.Struct, forbid_unknown_fields=True):
    format: tuple[Format, ...] = ()
    naive_timezone: str | None = None
    rows_per_file: Count = 0


class _End(msgspec.Struct):
    finished: Moment
    exit_code: ExitCode
    scopes: list[ScopeBlock]
    settings: Settings
    shards: ShardsBlock | None = None


_Limit = tuple[Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)], Annotated[float, msgspec.Meta(gt=0, le=1e9)], str]


class _Limits(msgspec.Struct, forbid_unknown_fields=True):
    scopes: list[tuple[str, str, list[_Limit]]]
    endpoints: list[tuple[str, list[_Limit]]]


class RunEnd(NamedTuple):
    """What the manifest says about the end of the last session, and the ledger's tables do not."""

    finished: str
    exit_code: int
    scopes: list[dict[str, Any]]
    settings: dict[str, Any]
    shards: dict[str, Any] | None = None


class RunFacts:
    """The facts in a run's ledger. A fact that was never recorded is None."""

    def __init__(self, ledger: LedgerView) -> None:
        self._ledger = ledger

    def _read(self, name: str, kind: Any) -> Any:  # noqa: ANN401 - a type, and a value of that type
        """Reads a fact as a type.

        Raises:
            LedgerUnusableError: it has another type.
        """
        try:
            return msgspec.convert(self._ledger.fact(name), kind | None)
        except msgspec.ValidationError as error:
            raise self._unusable(name, error) from None

    def _unusable(self, name: str, error: Exception) -> LedgerUnusableError:
        return LedgerUnusableError(
            f"{self._ledger.path} was written by another version of inventory, or changed (fact {name}: {error}): use "
            "that version, or start again with --overwrite"
        )

    def _read_plain(self, name: str, kind: Any) -> Any:  # noqa: ANN401 - a type, and plain values
        return msgspec.to_builtins(self._read(name, kind))

    def _time(self, name: str, moment: datetime) -> str:
        try:
            return text_of(moment)
        except OverflowError as error:
            raise self._unusable(name, error) from None

    @property
    def started(self) -> str | None:
        """Start of the run, as in the manifest."""
        moment = self._read(_STARTED, Moment)
        return None if moment is None else self._time(_STARTED, moment)

    @property
    def settings(self) -> dict[str, Any] | None:
        """The settings at the start, without secrets; None until the list is loaded."""
        settings: dict[str, Any] | None = self._read_plain(_SETTINGS, ExportSettings)
        return settings

    @property
    def is_loaded(self) -> bool:
        """The list was read to its end."""
        return self._ledger.fact(_SETTINGS) is not None

    @property
    def table_options(self) -> dict[str, Any] | None:
        """Formats, time zone and rows per file of the last tables."""
        options: dict[str, Any] | None = self._read_plain(_TABLE_OPTIONS, _TableOptions)
        return options

    @property
    def listed(self) -> dict[str, Any] | None:
        """The block ``input.listed`` of the manifest; None for a user's own list."""
        block: dict[str, Any] | None = self._read_plain(_LISTED, ListedBlock)
        return block

    @property
    def cleaned(self) -> int:
        """Entries with invisible characters at their ends."""
        return self._read(_CLEANED, Count) or 0

    @property
    def ended(self) -> RunEnd | None:
        """End of the last session; None while a session works or after it was killed."""
        end = self._read(_ENDED, _End)
        if end is None:
            return None
        blocks = msgspec.to_builtins(end.scopes), end.settings, msgspec.to_builtins(end.shards)
        return RunEnd(self._time(_ENDED, end.finished), int(end.exit_code), *blocks)

    @property
    def statuses(self) -> list[StatusCount] | None:
        """URNs by scope, status and error kind at the end of the last session; None while a session works."""
        counts: list[StatusCount] | None = self._read(_STATUSES, list[StatusCount])
        return None if self.ended is None else counts

    @property
    def limits(self) -> dict[str, Any] | None:
        """Rate limits that the service named, as :meth:`inventory.scheduling.limits.Limits.learned` returns them."""
        self._read(_LIMITS, _Limits)
        limits: dict[str, Any] | None = self._ledger.fact(_LIMITS)
        return limits

    @property
    def store(self) -> str | None:
        """URL of the object store for the results; None: they stay in the folder."""
        url: str | None = self._read(_STORE, str)
        return url

    @property
    def bodies_dropped(self) -> bool:
        """The ledger has no bodies: tables cannot be built from it."""
        return bool(self._ledger.fact(BODIES_DROPPED))

    def latest_settings(self) -> ExportSettings | None:
        """Returns the settings at the start with the last table options; None until the list is loaded.

        Raises:
            OutputError: they cannot be used.
        """
        settings, options = restore(self.settings), self.table_options
        if settings is None:
            return None
        if options is not None:
            settings = msgspec.structs.replace(settings, **{**options, "format": tuple(options["format"])})
        try:
            return check_settings(settings)
        except SettingsError as error:
            raise OutputError(f"{self._ledger.path} has settings that cannot be used here: {error}") from None

    def merge_formats(self, settings: ExportSettings) -> ExportSettings:
        """Adds the formats of the last tables to the settings."""
        earlier = self.table_options or {"format": ()}
        return msgspec.structs.replace(settings, format=tuple(dict.fromkeys([*earlier["format"], *settings.format])))

    def output(self, folder: Path) -> Output:
        """Returns the output of the run in a folder.

        Raises:
            LedgerUnusableError: the recorded URL is none.
        """
        if self.store is None:
            return Output(folder)
        try:
            return Output(folder, parse(self.store), work_dir_named=True)
        except UsageError as error:
            raise self._unusable(_STORE, error) from None


def record_start(ledger: Ledger, started: str) -> None:
    """Records the start of a run."""
    ledger.set_fact(_STARTED, started)


def record_list(ledger: Ledger, settings: ExportSettings, cleaned: int, listed: dict[str, Any] | None) -> None:
    """Records that the list was read to its end; ``cleaned`` and ``listed`` as in :class:`RunFacts`."""
    ledger.set_fact(_LISTED, listed)
    ledger.set_fact(_CLEANED, cleaned)
    ledger.set_fact(_SETTINGS, describe(settings))


def save_table_options(ledger: Ledger, settings: ExportSettings) -> None:
    """Records the table options of the settings."""
    ledger.set_fact(_TABLE_OPTIONS, {name: getattr(settings, name) for name in TABLE_OPTION_NAMES})


def record_end(ledger: Ledger, end: RunEnd | None) -> None:
    """Records the end of a session before its manifest is written or removed; None: a session starts."""
    ledger.set_fact(_ENDED, None if end is None else end._asdict())


def record_statuses(ledger: Ledger, counts: Iterable[StatusCount]) -> None:
    """Records the URNs by scope, status and error kind."""
    ledger.set_fact(_STATUSES, sorted(counts, key=lambda count: tuple(text or "" for text in count[:4])))


def record_limits(ledger: Ledger, limits: dict[str, Any]) -> None:
    """Records the rate limits that the service named."""
    if RunFacts(ledger).limits != limits:
        ledger.set_fact(_LIMITS, limits)


def record_output(ledger: Ledger, output: Output) -> None:
    """Records the object store of the results."""
    url = None if output.url is None else str(output.url)
    if RunFacts(ledger).store != url:
        ledger.set_fact(_STORE, url)
