from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from support.ledgers import P, R, damaged_behind_its_header, load, of_another_version, outcome, urn
from support.project import ROOT

from inventory.cloud.pages import Operation
from inventory.errors import InterruptedRunError, LedgerUnusableError, OutputError
from inventory.ledger import list_writer
from inventory.ledger.reader import LedgerView
from inventory.ledger.records import AnswerCount, Reject, ScopeCount, SourceRead
from inventory.ledger.schema import SCHEMAS, SORTED
from inventory.ledger.writer import Ledger


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    with Ledger(path) as ledger:
        yield ledger


def test_duplicates_are_stored_once(ledger):
    with ledger.loading():
        ledger.add_urns([urn("b"), urn("a"), urn("b")])
        ledger.add_urns(iter([urn("a"), urn("c")]))
        ledger.count_scopes([(R, P)])
    assert list(ledger.pending(R, P)) == [urn("a"), urn("b"), urn("c")]
    assert ledger.count_urns() == 3


@pytest.mark.parametrize("names", ["dcbaabcd", "abcd", "zabzc", "bbaazyx"])
def test_a_long_list_out_of_order_is_stored_as_one_in_order(ledger, names, monkeypatch):
    monkeypatch.setattr(list_writer, "_CACHED_URNS", 1)
    for _ in range(2):
        with ledger.loading():
            for name in names:
                ledger.add_urns([urn(f"{name}{number}") for number in (2, 1)])
            ledger.sort_urns()
            ledger.count_scopes([(R, P)])
        assert list(ledger.pending(R, P)) == sorted({urn(f"{name}{number}") for name in names for number in (1, 2)})
        assert ledger.scopes() == [(R, P, 2 * len(set(names)))]
        ledger.check()


def test_a_load_that_is_cancelled_while_it_sorts_keeps_the_earlier_list(ledger, monkeypatch):
    monkeypatch.setattr(list_writer, "_CACHED_URNS", 1)
    monkeypatch.setattr("inventory.ledger.database._STEPS_BETWEEN_CHECKS", 10)

    def cancel():
        raise InterruptedRunError(2)

    ledger.add_urns([urn("earlier")])
    with pytest.raises(InterruptedRunError), ledger.loading():  # noqa: PT012 - the error comes from the last line
        for name in "cba":
            ledger.add_urns(urn(f"{name}{number}") for number in range(50))
        ledger.sort_urns(cancel)
    assert list(ledger.pending(R, P)) == [urn("earlier")]
    with ledger.loading():
        ledger.add_urns([urn("new")])
    assert list(ledger.pending(R, P)) == [urn("new")]


def test_what_is_settled_is_not_pending(ledger):
    ledger.add_urns(map(urn, "abcd"))
    ledger.record(outcome(urn("a")))
    ledger.record(outcome(urn("b"), "failed"))
    ledger.record(outcome(urn("c"), "not_found"))
    ledger.commit()
    ledger.sort_outcomes()
    assert list(ledger.pending(R, P)) == [urn("d")]
    assert ledger.count_settled() == 3
    ledger.requeue_failures()
    assert list(ledger.pending(R, P)) == [urn("b"), urn("d")]
    assert ledger.count_settled() == 2
    assert [settled and settled.status for _, settled in ledger.rows()] == ["configured", "failed", "not_found", None]
    ledger.record(outcome(urn("b")))
    ledger.commit()
    assert list(ledger.pending(R, P)) == [urn("d")]
    (again,) = [settled for asked, settled in ledger.rows() if asked == urn("b")]
    assert (again.status, again.attempts, again.throttled) == ("configured", 4, 2), "the calls of both sessions count"


def test_a_scope_has_success_after_an_answered_call(ledger):
    ledger.add_urns([urn("a"), urn("b"), urn("a", "p2")])
    ledger.record(outcome(urn("a"), "failed"))
    ledger.record(outcome(urn("a", "p2"), "not_found"))
    ledger.commit()
    ledger.sort_outcomes()
    assert not ledger.has_success(R, P)
    assert ledger.has_success(R, "p2")


def test_a_full_disk_while_loading_has_one_message(path, monkeypatch):
    def fill_up(ledger):
        with ledger.loading():
            ledger._db.execute("PRAGMA max_page_count = 60")
            ledger.add_urns(urn(f"f{number:06}" + "x" * 200) for number in range(5000))

    with Ledger(path) as ledger:
        with pytest.raises(OutputError, match=r"ledger\.sqlite cannot be written: database or disk is full"):
            fill_up(ledger)
        assert list(ledger.rows()) == []


def test_an_outcome_comes_out_as_it_went_in(ledger):
    sent = outcome(urn("b"), "failed", bytes(range(256)))
    ledger.add_urns([urn("b"), urn("a")])
    ledger.record(sent)
    ledger.commit()
    assert list(ledger.rows()) == [(urn("a"), None), (urn("b"), sent)]


def test_an_outcome_that_comes_again_replaces_the_first(ledger):
    ledger.add_urns([urn("a")])
    for status in ("failed", "configured"):
        ledger.record(outcome(urn("a"), status))
        ledger.commit()
        ledger.sort_outcomes()
    assert [settled.status for _, settled in ledger.rows()] == ["configured"]


def test_outcomes_are_committed_in_batches(ledger, path, tmp_path):
    ledger.add_urns(map(urn, "abc"))
    for name in "ab":
        ledger.record(outcome(urn(name)))
    ledger.count_call(R, P, Operation.SHOW_CONFIG, 200)
    assert copied(path, tmp_path / "before") == (0, 0)
    ledger.commit()
    assert copied(path, tmp_path / "after") == (2, 1)


def copied(path, folder) -> tuple[int, int]:
    folder.mkdir()
    for file in path.parent.glob("ledger.sqlite*"):
        shutil.copy(file, folder)
    with Ledger(folder / path.name) as ledger:
        return ledger.count_settled(), sum(answer.calls for answer in ledger.answers())


def test_closing_commits_what_is_left(path):
    with Ledger(path) as ledger:
        ledger.add_urns([urn("a")])
        ledger.record(outcome(urn("a")))
    with Ledger(path) as ledger:
        assert ledger.count_settled() == 1


def test_a_killed_process_loses_only_what_was_not_committed(path):
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path\n"
        "from inventory.ledger.writer import Ledger; import support.ledgers as t\n"
        "ledger = Ledger(Path(sys.argv[1])); ledger.add_urns(map(t.urn, 'abc'))\n"
        "ledger.record(t.outcome(t.urn('a'))); ledger.commit(); ledger.record(t.outcome(t.urn('b'))); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, path, ROOT / "tests"], check=False)
    assert done.returncode == 9
    with Ledger(path) as ledger:
        ledger.sort_outcomes()
        assert list(ledger.pending(R, P)) == [urn("b"), urn("c")]


def test_scopes_with_similar_names_are_separate(ledger):
    scopes = [
        (R, "p"),
        (R, "p2"),
        (R, "p;"),
        (R, "p!"),
        (R, "o"),
        ("cn-north-40", "p"),
        ("cn-north-4;", "p"),
        (R, "pé"),
    ]
    ledger.add_urns(urn("f", project, region) for region, project in scopes)
    ledger.count_scopes(scopes)
    for region, project in scopes:
        assert list(ledger.pending(region, project)) == [urn("f", project, region)]
    assert sorted(ledger.scopes()) == sorted(ScopeCount(region, project, 1) for region, project in scopes)
    assert list(ledger.pending(R, "none")) == []


def test_pending_is_read_in_blocks_while_outcomes_come_in(ledger):
    names = [f"f{n:05d}" for n in range(2000)]
    ledger.add_urns(map(urn, names))
    seen = []
    for pending in ledger.pending(R, P):
        seen.append(pending)
        ledger.record(outcome(pending))
        if len(seen) % 7 == 0:
            ledger.commit()
    assert seen == list(map(urn, names))
    ledger.commit()
    ledger.sort_outcomes()
    assert list(ledger.pending(R, P)) == []


def half_loaded(ledger: Ledger, error: BaseException) -> None:
    with ledger.loading():
        ledger.add_urns([urn("a")])
        ledger.add_rejects([Reject("s", 1, "t", "r")])
        ledger.add_source(SourceRead("s", "00", 2))
        ledger.set_fact("loaded", value=True)
        raise error


def test_loading_is_all_or_nothing(ledger):
    for error in (OutputError("x"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            half_loaded(ledger, error)
    assert list(ledger.rows()) == []
    assert (ledger.count_rejects(), ledger.sources(), ledger.fact("loaded")) == (0, [], None)
    with ledger.loading():
        ledger.add_urns([urn("a")])
    assert len(list(ledger.rows())) == 1


def test_a_new_list_takes_the_place_of_the_old_run(path):
    with Ledger(path) as ledger:
        with ledger.loading():
            ledger.add_urns([urn("old")])
            ledger.count_scopes([(R, P)])
            ledger.set_fact("loaded", value=1)
        ledger.record(outcome(urn("old")))
        ledger.count_call(R, P, Operation.SHOW_CONFIG, 200)
    with Ledger(path, replace=True) as ledger:
        with pytest.raises(OutputError):
            half_loaded(ledger, OutputError("x"))
        assert list(ledger.rows()) == [(urn("old"), outcome(urn("old")))]
        assert (len(ledger.answers()), ledger.fact("loaded")) == (1, 1)
        with ledger.loading():
            ledger.add_urns([urn("new")])
        assert list(ledger.rows()) == [(urn("new"), None)]
        assert (ledger.answers(), ledger.scopes(), ledger.fact("loaded"), ledger.count_settled()) == ([], [], None, 0)


def test_facts(ledger):
    assert ledger.fact("x") is None
    for value in ({"a": [1, None]}, "é", False):
        ledger.set_fact("x", value)
        assert ledger.fact("x") == value


def test_rejects_and_sources_are_sorted(ledger):
    last, first = Reject("b", 1, "x", "r"), Reject("a", 10, "y\0", "r")
    ledger.add_rejects([last, first, Reject("a", 9, "z", "r"), last])
    ledger.add_source(SourceRead("b", "1", 2))
    ledger.add_source(SourceRead("a", "2", 3))
    assert list(ledger.rejects()) == [Reject("a", 9, "z", "r"), first, last, last]
    assert ledger.count_rejects() == 4
    assert ledger.sources() == [SourceRead("a", "2", 3), SourceRead("b", "1", 2)]


def test_calls_add_up_over_sessions(path):
    for _ in range(2):
        with Ledger(path) as ledger:
            for status in (200, 200, 429, 0):
                ledger.count_call(R, P, Operation.SHOW_CONFIG, status)
            ledger.commit()
            ledger.count_call("x", "q", Operation.LIST_CONFIGS, 200)
    with Ledger(path) as ledger:
        assert ledger.answers() == [
            AnswerCount(R, P, Operation.SHOW_CONFIG, 0, 2),
            AnswerCount(R, P, Operation.SHOW_CONFIG, 200, 4),
            AnswerCount(R, P, Operation.SHOW_CONFIG, 429, 2),
            AnswerCount("x", "q", Operation.LIST_CONFIGS, 200, 2),
        ]


def test_a_ledger_of_another_version_is_refused(path):
    of_another_version(path)
    with pytest.raises(OutputError, match=r"ledger 99, not 5.*--overwrite"):
        Ledger(path)


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_file_is_named(path, content):
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"ledger\.sqlite is damaged.*--overwrite"):
        Ledger(path)


def test_damage_behind_the_header_is_named(path):
    damaged_behind_its_header(path)
    with pytest.raises(OutputError, match="damaged"), Ledger(path) as ledger:
        list(ledger.rows())


@pytest.mark.parametrize(
    "spoil", [of_another_version, damaged_behind_its_header, lambda path: path.write_bytes(b"no database" * 100)]
)
def test_overwrite_replaces_an_unusable_ledger(path, spoil):
    spoil(path)
    with Ledger(path, replace=True) as ledger:
        assert list(ledger.rows()) == []
        ledger.add_urns([urn("a")])
    with Ledger(path) as ledger:
        assert list(ledger.pending(R, P)) == [urn("a")]


@pytest.mark.parametrize("name", ["", "missing/ledger.sqlite"])
def test_a_place_that_cannot_be_written_is_named(tmp_path, name):
    with pytest.raises(OutputError, match="cannot be written"):
        Ledger(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_file_is_named(path):
    Ledger(path).close()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    with pytest.raises(OutputError, match="cannot be written"):
        Ledger(path)


def test_a_ledger_in_use_is_named(ledger, path, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr("sqlite3.connect", lambda *args, **more: connect(*args, **{**more, "timeout": 0.0}))
    with pytest.raises(OutputError, match="in use by another inventory process"):
        Ledger(path)
    ledger.add_urns([urn("a")])
    assert list(ledger.pending(R, P)) == [urn("a")]


def test_a_ledger_that_was_only_opened_is_in_use_too(path, monkeypatch):
    connect = sqlite3.connect
    monkeypatch.setattr("sqlite3.connect", lambda *args, **more: connect(*args, **{**more, "timeout": 0.0}))
    Ledger(path).close()
    with Ledger(path) as first:
        assert first.count_settled() == 0
        with pytest.raises(OutputError, match="in use by another inventory process"):
            Ledger(path)


def test_samples_of_pending_urns_are_from_the_end_and_the_middle(ledger):
    with ledger.loading():
        ledger.add_urns(map(urn, "abcdef"))
        ledger.add_urns([urn("z", project="other")])
        ledger.count_scopes([(R, P)])
    assert list(ledger.pending_samples(R, P)) == [urn("f"), urn("c")]
    for name in "ef":
        ledger.record(outcome(urn(name)))
    ledger.commit()
    ledger.sort_outcomes()
    assert list(ledger.pending_samples(R, P)) == [urn("d"), urn("b")]
    assert list(ledger.pending_samples(R, "nothing")) == []


def test_failed_urns_are_counted(ledger):
    load(ledger)
    ledger.record(outcome(urn("b"), "failed"))
    ledger.commit()
    assert ledger.count_failed() == 1
    ledger.requeue_failures()
    ledger.record(outcome(urn("b")))
    ledger.commit()
    assert ledger.count_failed() == 0


def test_counts_of_a_killed_session_are_restored_from_the_outcomes(path):
    with Ledger(path) as ledger:
        with ledger.loading():
            ledger.add_urns(map(urn, "abcd"))
            ledger.count_scopes([(R, P)])
        ledger.count_call(R, P, "Show", 200, of_urn=True)
        ledger.commit()
        settled = outcome(urn("a"))._replace(attempts=1, throttled=0)
        ledger.record(settled)
        ledger.record(settled._replace(urn=urn("b"), attempts=4, throttled=2))
        ledger.record(settled._replace(urn=urn("c"), http_status=404, status="not_found"))
        ledger.count_call(R, P, "List", 200)
        ledger.commit(all_counts=False)
        assert [answer[2:] for answer in ledger.answers()] == [("List", 200, 1), ("Show", 200, 1)]
        ledger.restore_counts("Show")
        assert [answer[2:] for answer in ledger.answers()] == [
            ("List", 200, 1),
            ("Show", 0, 1),
            ("Show", 200, 2),
            ("Show", 404, 1),
            ("Show", 429, 2),
        ]
        before = ledger.answers()
        ledger.restore_counts("Show")
        assert ledger.answers() == before


def test_a_urn_with_two_outcomes_is_damage(ledger):
    ledger.add_urns([urn("a")])
    for _ in range(2):
        ledger.record(outcome(urn("a")))
        ledger.commit()
    with pytest.raises(LedgerUnusableError, match="a URN has two outcomes"):
        ledger.sort_outcomes()


def test_a_ledger_that_stores_outcomes_sorted_is_continued_as_it_is(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.executescript(";".join(statement for _, statement in SCHEMAS[SORTED]))
        database.execute(f"PRAGMA user_version = {SORTED}")
    with Ledger(path) as ledger:
        load(ledger)
        assert ledger.is_sorted
        ledger.record(outcome(urn("b"), "failed"))
        ledger.commit()
        ledger.requeue_failures()
        ledger.record(outcome(urn("b")))
        ledger.commit()
        ledger.check()
        assert [settled and settled.status for _, settled in ledger.rows()] == ["configured", "configured", None]


def test_the_file_has_all_of_the_log_before_it_is_closed(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        load(ledger)
        with ledger.log_moved_meanwhile():
            assert ledger.count_settled() == 1
        copy = Path(shutil.copy(path, tmp_path / "copy"))
        with LedgerView(copy) as view:
            assert (view.count_urns(), view.count_settled()) == (3, 1)
        ledger.record(outcome(urn("b")))
    with LedgerView(path) as view:
        assert view.count_settled() == 2
