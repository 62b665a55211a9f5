"""Read access to a ledger, with and without a writer."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from itertools import pairwise

import pytest
from support.ledgers import P, R, damaged_behind_its_header, load, of_another_version, outcome, urn
from support.project import ROOT

from inventory.errors import InterruptedRunError, LedgerUnusableError, OutputError
from inventory.ledger import database
from inventory.ledger.reader import AFTER_ALL, LedgerView
from inventory.ledger.records import StatusCount
from inventory.ledger.writer import Ledger
from inventory.storage import file_lock

SINCE = 1_700_000_000_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def test_a_ledger_is_read_while_it_is_written(path):
    with Ledger(path) as ledger:
        load(ledger)
        with LedgerView(path) as view:
            assert (view.count_urns(), view.count_settled()) == (3, 1)
            with view.read_transaction():
                assert view.count_settled() == 1
                ledger.record(outcome(urn("b")))
                ledger.commit()
                assert view.count_settled() == 1
            assert view.count_settled() == 2


def test_reading_a_ledger_at_rest_leaves_no_file(path):
    with Ledger(path) as ledger:
        load(ledger)
    before = path.read_bytes()
    with LedgerView(path) as view:
        assert view.count_settled() == 1
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_a_writer_that_ends_under_a_reader_leaves_a_whole_file(path, tmp_path):
    with Ledger(path) as ledger, LedgerView(path) as view:
        load(ledger)
        assert view.count_settled() == 1
        ledger.close()
        shutil.copy(path, tmp_path / "copy")
        with LedgerView(tmp_path / "copy") as copy:
            assert copy.count_settled() == 1


def test_what_a_killed_process_committed_is_read(path):
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from inventory.ledger.writer import Ledger; import support.ledgers as t\n"
        "t.load(Ledger(Path(sys.argv[1]))); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, path, ROOT / "tests"], check=False).returncode == 9
    with LedgerView(path) as view:
        assert view.count_settled() == 1
    with Ledger(path) as ledger:
        assert ledger.count_settled() == 1


def test_without_system_locks_a_second_process_is_refused(path, monkeypatch):
    monkeypatch.setattr(file_lock, "_LOCKS", None)
    with Ledger(path) as ledger:
        load(ledger)
        for opened in (Ledger, LedgerView):
            monkeypatch.setattr("sqlite3.connect", impatient())
            with pytest.raises(OutputError, match="in use by another inventory process"):
                opened(path)
            monkeypatch.undo()
            monkeypatch.setattr(file_lock, "_LOCKS", None)
    with LedgerView(path) as view:
        assert view.count_settled() == 1


def impatient():
    import sqlite3  # noqa: PLC0415 - its connect is replaced

    connect = sqlite3.connect
    return lambda *args, **more: connect(*args, **{**more, "timeout": 0.0})


def test_without_shared_memory_a_run_works_still(path):
    path.with_name("ledger.sqlite-shm").symlink_to(path / "of" / "nothing")
    with Ledger(path) as ledger:
        load(ledger)
    with LedgerView(path) as view:
        assert view.count_settled() == 1


def test_urns_are_counted_by_scope_status_and_kind(path):
    with Ledger(path) as ledger:
        with ledger.loading():
            ledger.add_urns([*map(urn, "abcde"), urn("a", "p2")])
            ledger.count_scopes([(R, P), (R, "p2")])
        for name, status, age in (
            ("a", "configured", 9),
            ("b", "configured", 1),
            ("c", "failed", 2),
            ("d", "failed", 3),
        ):
            ledger.record(outcome(urn(name), status)._replace(finished_at=SINCE - age + 5))
        ledger.record(outcome(urn("a", "p2"), "not_found")._replace(finished_at=SINCE))
        ledger.commit()
        assert list(ledger.count_statuses(SINCE)) == [
            StatusCount(R, P, "configured", None, 2, urn("a"), 1, SINCE + 4),
            StatusCount(R, P, "failed", "timeout", 2, urn("c"), 2, SINCE + 2),
            StatusCount(R, "p2", "not_found", None, 1, urn("a", "p2"), 0, None),
        ]
        assert ledger.last_finished() == SINCE + 4
        assert ledger.outcome(urn("c")).status == "failed"
        assert ledger.outcome(urn("e")) is None


def test_bodies_are_dropped_but_those_of_failures(path):
    with Ledger(path) as ledger:
        ledger.add_urns(map(urn, "abc"))
        for name, status in (("a", "configured"), ("b", "failed"), ("c", "not_found")):
            ledger.record(outcome(urn(name), status, b"x" * 200_000))
        ledger.commit()
    before = path.stat().st_size
    for _ in range(2):
        with Ledger(path) as ledger:
            ledger.drop_bodies()
            assert [len(settled.body) for _, settled in ledger.rows()] == [0, 200_000, 0]
            assert [settled.status for _, settled in ledger.rows()] == ["configured", "failed", "not_found"]
            assert ledger.fact("bodies-dropped")
    assert path.stat().st_size < before / 2


@pytest.mark.parametrize("looks", [1, 4])
def test_cancelled_work_on_the_file_changes_nothing(path, monkeypatch, looks):
    monkeypatch.setattr(database, "_STEPS_BETWEEN_CHECKS", 20)
    with Ledger(path) as ledger:
        ledger.add_urns(urn(f"{number:04}") for number in range(300))
        for number in range(300):
            ledger.record(outcome(urn(f"{number:04}"), body=b"x" * 600))
        ledger.commit()
        for work in (ledger.check, ledger.drop_bodies):
            stops = iter([None] * looks + [InterruptedRunError(15)])
            with pytest.raises(InterruptedRunError):
                work(lambda stops=stops: raised(next(stops)))
        assert {len(settled.body) for _, settled in ledger.rows()} == {600}
        ledger.drop_bodies()
        ledger.check()
        assert {len(settled.body) for _, settled in ledger.rows()} == {0}


def raised(error):
    if error is not None:
        raise error


def test_reading_a_run_can_be_cancelled(path, monkeypatch):
    monkeypatch.setattr(database, "_STEPS_BETWEEN_CHECKS", 1)
    with Ledger(path) as ledger:
        load(ledger)
    stop = partial(raised, InterruptedRunError(15))
    for opened in (partial(LedgerView, path, stop), partial(Ledger, path, stop, replace=True)):
        with pytest.raises(InterruptedRunError):
            opened()
    with Ledger(path) as ledger, pytest.raises(InterruptedRunError), ledger.read_transaction(stop):
        ledger.count_settled()
    with LedgerView(path) as view:
        assert (view.count_urns(), view.count_settled()) == (3, 1)


def test_ctrl_c_during_a_check_stays_ctrl_c(path, monkeypatch):
    monkeypatch.setattr(database, "_STEPS_BETWEEN_CHECKS", 1)
    with Ledger(path) as ledger:
        load(ledger)
        with pytest.raises(KeyboardInterrupt):
            ledger.check(partial(raised, KeyboardInterrupt()))


def test_a_file_of_small_bodies_is_smaller_without_them(path):
    with Ledger(path) as ledger:
        ledger.add_urns(urn(f"{number:04}") for number in range(2000))
        for number in range(2000):
            ledger.record(outcome(urn(f"{number:04}"), body=b"x" * 600))
    before = path.stat().st_size
    with Ledger(path) as ledger:
        ledger.drop_bodies()
        assert ledger.count_settled() == 2000
    assert path.stat().st_size < before / 2


def test_an_empty_file_holds_no_list(path):
    path.touch()
    with pytest.raises(OutputError, match="holds no list yet"):
        LedgerView(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (of_another_version, "ledger 99, not 5"),
        (damaged_behind_its_header, "damaged"),
        (lambda path: path.write_bytes(b"no database" * 100), "damaged"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory$"),
    ],
)
def test_an_unusable_ledger_has_one_message(path, spoil, words):
    spoil(path)
    with pytest.raises(OutputError, match=words), LedgerView(path) as view:
        list(view.rows())


def test_blocks_of_a_ledger_are_its_rows(path):
    with Ledger(path) as ledger:
        load(ledger)
        ledger.sort_outcomes()
        for size, starts in ((1, "abc"), (2, "ac"), (3, "a"), (9, "a")):
            assert ledger.block_starts(size) == list(map(urn, starts))
        bounds = ["", urn("b"), urn("bb"), AFTER_ALL]
        blocks = [list(ledger.rows_between(*pair)) for pair in pairwise(bounds)]
        assert list(map(len, blocks)) == [1, 1, 1]
        assert [row for block in blocks for row in block] == list(ledger.rows())


def test_a_pass_that_misses_rows_is_damage(path):
    with Ledger(path) as ledger:
        load(ledger)
        ledger.check_totals(3, 1)
        for urns, outcomes in ((2, 1), (4, 1), (3, 0), (3, 2)):
            with pytest.raises(LedgerUnusableError, match="is damaged"):
                ledger.check_totals(urns, outcomes)


def test_a_list_without_urns_has_no_blocks(path):
    with Ledger(path) as ledger:
        assert ledger.block_starts(5) == []
