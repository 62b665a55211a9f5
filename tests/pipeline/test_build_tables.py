"""From the ledger to tables: in URN order, and with the counts of the same pass."""

from __future__ import annotations

import pytest
from support.runs import rows

from inventory.errors import InterruptedRunError, OutputError
from inventory.ledger.records import Reject
from inventory.ledger.writer import Ledger
from inventory.outcome import Outcome
from inventory.pipeline.build_tables import build_tables
from inventory.progress import ProgressObserver
from inventory.settings import ExportSettings

BASE = "urn:fss:cn-north-4:p:function:default:"
CONFIG = b'{"func_urn":"u","destination_config":{"on_failure":{"destination":"SMN","param":"{}"}}}'
SETTINGS = ExportSettings(format=("parquet", "csv"))


def outcome(name, status, kind=None, body=b"{}"):
    return Outcome(
        f"{BASE}{name}", status, kind, 200, None, "words", body, "Show", 3, 0, None, 1.5, 1_700_000_000_000_000
    )


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        with ledger.loading():
            ledger.add_urns([f"{BASE}c", f"{BASE}a", f"{BASE}b"])
            ledger.add_rejects([Reject("list", 4, "odd", "not a URN")])
            ledger.count_scopes([("cn-north-4", "p")])
        ledger.record(outcome("b", "failed", "timeout"))
        ledger.record(outcome("a", "configured", body=CONFIG))
        ledger.commit()
        yield ledger


def test_the_tables_are_the_ledger_in_urn_order(ledger, tmp_path):
    files, counts = build_tables(ledger, tmp_path, SETTINGS, [], ProgressObserver())
    assert [(row["function_name"], row["status"]) for row in rows(tmp_path)] == [
        ("a", "configured"),
        ("b", "failed"),
        ("c", "not_attempted"),
    ]
    assert [row["function_urn"] for row in rows(tmp_path, "calls")] == [f"{BASE}a", f"{BASE}b"]
    assert [(row["event"], row["destination"]) for row in rows(tmp_path, "destinations")] == [("on_failure", "SMN")]
    assert [row["text"] for row in rows(tmp_path, "rejects", "csv")] == ["odd"]
    assert (counts.status, counts.retries) == ({"configured": 1, "failed": 1, "not_attempted": 1}, 4)
    assert len(files) == 10


def test_the_same_ledger_makes_the_same_bytes(ledger, tmp_path):
    hashes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files, _ = build_tables(ledger, tmp_path / name, SETTINGS, [], ProgressObserver())
        hashes.append([file.sha256 for file in files])
    assert hashes[0] == hashes[1]


def test_a_stop_leaves_no_table(ledger, tmp_path):
    observer = ProgressObserver()
    observer.cancel(15)
    with pytest.raises(InterruptedRunError):
        build_tables(ledger, tmp_path, SETTINGS, [], observer)
    assert {path.name.split(".")[0] for path in tmp_path.iterdir()} == {"ledger"}


def test_a_folder_that_is_gone_is_one_sentence(ledger, tmp_path):
    with pytest.raises(OutputError, match="table functions cannot be written: No such file"):
        build_tables(ledger, tmp_path / "gone", SETTINGS, [], ProgressObserver())


def test_rows_per_file_splits_the_tables_that_have_more(ledger, tmp_path):
    files, _ = build_tables(ledger, tmp_path, ExportSettings(rows_per_file=2), [], ProgressObserver())
    assert [(file.path, file.rows) for file in files] == [
        ("functions/part-00000.parquet", 2),
        ("functions/part-00001.parquet", 1),
        ("destinations.parquet", 1),
        ("calls.parquet", 2),
        ("rejects.parquet", 1),
        ("scopes.parquet", 1),
    ]


def test_what_was_there_stays_until_all_tables_are_whole(ledger, tmp_path):
    (tmp_path / "functions.csv").write_text("old")
    seen = []
    build_tables(
        ledger,
        tmp_path,
        SETTINGS,
        [],
        ProgressObserver(),
        before_names=lambda: seen.append((tmp_path / "functions.csv").read_text()),
    )
    assert seen == ["old"]
    assert (tmp_path / "functions.csv").read_text() != "old"


class Progress(ProgressObserver):
    """Keeps what it is told."""

    def __init__(self):
        super().__init__()
        self.built = []

    def on_build_tables(self, done, total):
        self.built.append((done, total))


def test_progress_comes_once_a_block_and_at_the_end(ledger, tmp_path, monkeypatch):
    monkeypatch.setattr("inventory.pipeline.urn_blocks.URNS_PER_BLOCK", 2)
    observer = Progress()
    build_tables(ledger, tmp_path, SETTINGS, [], observer)
    assert observer.built == [(0, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("body", "silent"), [(CONFIG, 0), (b'{"func_urn":"u"}', 1)])
def test_configured_functions_that_notify_nobody_are_counted(ledger, tmp_path, body, silent):
    ledger.sort_outcomes()
    ledger.record(outcome("a", "configured", body=body))
    ledger.commit()
    _, counts = build_tables(ledger, tmp_path, SETTINGS, [], ProgressObserver())
    assert counts.without_failure_destination == silent


def test_the_memory_of_a_row_is_counted_with_its_body(ledger, tmp_path, monkeypatch):
    sizes = {}

    def add(self, row, size):
        sizes.setdefault(self._schema.metadata[b"table"].decode(), []).append(size)
        self._rows.append(row)

    monkeypatch.setattr("inventory.tables.batches.Batches.add", add)
    build_tables(ledger, tmp_path, SETTINGS, [], ProgressObserver())
    assert sizes == {
        "functions": [500 + len(CONFIG), 502, 500],
        "destinations": [500 + len(CONFIG)],
        "calls": [500, 500],
        "rejects": [503],
        "scopes": [500],
    }
