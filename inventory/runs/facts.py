"""Recorded facts of a run: start, settings, table options, listing, end, store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from inventory.ledger.reader import BODIES_DROPPED
from inventory.runs.listing_coverage import to_block
from inventory.runs.output import Output
from inventory.settings_file import describe, restore
from inventory.storage.object_store import parse

if TYPE_CHECKING:
    from pathlib import Path

    from inventory.ledger.reader import LedgerView
    from inventory.ledger.writer import Ledger
    from inventory.runs.listing_coverage import ListingCoverage
    from inventory.settings import ExportSettings

# These names are in the ledgers of users: they never change.
_STARTED: Final = "started"
_SETTINGS: Final = "loaded"
_TABLE_OPTIONS: Final = "shape"
_LISTED: Final = "listed"
_CLEANED: Final = "cleaned"
_ENDED: Final = "ended"
_STORE: Final = "store"
_LIMITS: Final = "limits"
TABLE_OPTION_NAMES: Final = ("format", "naive_timezone", "rows_per_file")


class RunEnd(NamedTuple):
    """What the manifest says about the end of the last session, and the ledger's tables do not."""

    finished: str
    exit_code: int
    scopes: list[dict[str, Any]]
    settings: dict[str, Any]


class RunFacts:
    """The facts in a run's ledger. A fact that was never recorded is None."""

    def __init__(self, ledger: LedgerView) -> None:
        self._ledger = ledger

    @property
    def started(self) -> str | None:
        """Start of the run, as in the manifest."""
        started: str | None = self._ledger.fact(_STARTED)
        return started

    @property
    def settings(self) -> dict[str, Any] | None:
        """The settings at the start, without secrets; None until the list is loaded."""
        settings: dict[str, Any] | None = self._ledger.fact(_SETTINGS)
        return settings

    @property
    def is_loaded(self) -> bool:
        """The list was read to its end."""
        return self.settings is not None

    @property
    def table_options(self) -> dict[str, Any] | None:
        """Formats, time zone and rows per file of the last tables."""
        options: dict[str, Any] | None = self._ledger.fact(_TABLE_OPTIONS)
        return options

    @property
    def listed(self) -> dict[str, Any] | None:
        """The block ``input.listed`` of the manifest; None for a user's own list."""
        block: dict[str, Any] | None = self._ledger.fact(_LISTED)
        return block

    @property
    def cleaned(self) -> int:
        """Entries with invisible characters at their ends."""
        return self._ledger.fact(_CLEANED) or 0

    @property
    def ended(self) -> RunEnd | None:
        """End of the last session; None while a session works or after it was killed."""
        end = self._ledger.fact(_ENDED)
        return None if end is None else RunEnd(*(end[name] for name in RunEnd._fields))

    @property
    def limits(self) -> dict[str, Any] | None:
        """Rate limits that the service named, as :meth:`inventory.scheduling.limits.Limits.learned` returns them."""
        limits: dict[str, Any] | None = self._ledger.fact(_LIMITS)
        return limits

    @property
    def store(self) -> str | None:
        """URL of the object store for the results; None: they stay in the folder."""
        url: str | None = self._ledger.fact(_STORE)
        return url

    @property
    def bodies_dropped(self) -> bool:
        """The ledger has no bodies: tables cannot be built from it."""
        return bool(self._ledger.fact(BODIES_DROPPED))

    def latest_settings(self) -> ExportSettings | None:
        """Returns the settings at the start with the last table options; None until the list is loaded."""
        settings, options = restore(self.settings), self.table_options
        if settings is None or options is None:
            return settings
        return msgspec.structs.replace(settings, **{**options, "format": tuple(options["format"])})

    def merge_formats(self, settings: ExportSettings) -> ExportSettings:
        """Adds the formats of the last tables to the settings."""
        earlier = self.table_options or {"format": ()}
        return msgspec.structs.replace(settings, format=tuple(dict.fromkeys([*earlier["format"], *settings.format])))

    def output(self, folder: Path) -> Output:
        """Returns the output of the run in a folder."""
        return Output(folder) if self.store is None else Output(folder, parse(self.store), work_dir_named=True)


def record_start(ledger: Ledger, started: str) -> None:
    """Records the start of a run."""
    ledger.set_fact(_STARTED, started)


def record_list(ledger: Ledger, settings: ExportSettings, cleaned: int, coverage: ListingCoverage | None) -> None:
    """Records that the list was read to its end; ``cleaned`` as in :class:`RunFacts`."""
    ledger.set_fact(_LISTED, to_block(coverage))
    ledger.set_fact(_CLEANED, cleaned)
    ledger.set_fact(_SETTINGS, describe(settings))


def save_table_options(ledger: Ledger, settings: ExportSettings) -> None:
    """Records the table options of the settings."""
    ledger.set_fact(_TABLE_OPTIONS, {name: getattr(settings, name) for name in TABLE_OPTION_NAMES})


def record_end(ledger: Ledger, end: RunEnd | None) -> None:
    """Records the end of a session before its manifest is written or removed; None: a session starts."""
    ledger.set_fact(_ENDED, None if end is None else end._asdict())


def record_limits(ledger: Ledger, limits: dict[str, Any]) -> None:
    """Records the rate limits that the service named."""
    if RunFacts(ledger).limits != limits:
        ledger.set_fact(_LIMITS, limits)


def record_output(ledger: Ledger, output: Output) -> None:
    """Records the object store of the results."""
    url = None if output.url is None else str(output.url)
    if RunFacts(ledger).store != url:
        ledger.set_fact(_STORE, url)
