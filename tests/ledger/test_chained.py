from itertools import pairwise

import pytest
from support.ledgers import R, outcome, urn

from inventory.errors import LedgerUnusableError
from inventory.ledger.chained import ChainedLedger, ChainedView
from inventory.ledger.reader import AFTER_ALL, LedgerView
from inventory.ledger.records import AnswerCount
from inventory.ledger.writer import Ledger

PROJECTS = ("a", "a-b", "ab", "b")
NAMES = ("x", "y", "z")


def write(path, projects, names=NAMES, status="configured"):
    with Ledger(path) as ledger:
        with ledger.loading():
            ledger.add_urns(urn(name, project) for project in projects for name in names)
            ledger.count_scopes([(R, project) for project in projects])
        for number, project in enumerate(projects):
            for name in names[: number + 1] if status else ():
                ledger.record(outcome(urn(name, project), status))
                ledger.count_call(R, project, "Show", 200)
        ledger.commit()
    return path


@pytest.fixture
def whole(tmp_path):
    return write(tmp_path / "whole.sqlite", PROJECTS, status=None)


def test_rows_are_in_the_order_of_urns_whatever_ledger_they_are_in(tmp_path, whole):
    odd, even = write(tmp_path / "odd", ["a", "ab"]), write(tmp_path / "even", ["a-b", "b"])
    with ChainedView(whole) as view:
        assert [row[1] for row in view.rows()] == [None] * 12
        view.attach({(R, "a"): odd, (R, "ab"): odd, (R, "a-b"): even, (R, "b"): even})
        rows = list(view.rows())
        with LedgerView(odd) as one, LedgerView(even) as other:
            assert rows == sorted([*one.rows(), *other.rows()])
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
        assert (view.count_urns(), view.count_settled(), view.count_failed()) == (12, 6, 0)
        assert view.answers() == [
            AnswerCount(R, name, "Show", 200, n) for name, n in zip(PROJECTS, (1, 1, 2, 2), strict=True)
        ]
        assert sum(count.urns for count in view.count_statuses(0)) == 6
        assert view.outcome(urn("x", "ab")) == outcome(urn("x", "ab"))
        assert view.outcome(urn("z", "a")) is None
        assert view.last_finished() == outcome("").finished_at


def test_the_urns_of_a_scope_without_a_ledger_have_no_outcome(tmp_path, whole):
    part = write(tmp_path / "part", ["a-b"])
    with ChainedLedger(whole) as ledger:
        ledger.attach({(R, "a-b"): part})
        rows = list(ledger.rows())
        assert [row[0] for row in rows if row[1] is not None] == [urn("x", "a-b")]
        assert len(rows) == 12
        assert ledger.outcome(urn("x", "b")) is None


@pytest.mark.parametrize("names", [("x", "y"), ("x", "y", "zz"), ("x", "y", "z", "zz"), ("w", "x", "y", "z")])
def test_a_ledger_with_other_urns_is_damage(tmp_path, whole, names):
    part = write(tmp_path / "part", ["a-b"], names)
    with ChainedView(whole) as view:
        view.attach({(R, "a-b"): part})
        with pytest.raises(LedgerUnusableError, match="damaged"):
            list(view.rows())


def test_bodies_are_dropped_in_all_ledgers(tmp_path, whole):
    part = write(tmp_path / "part", ["a-b"])
    with ChainedLedger(whole) as ledger:
        ledger.attach({(R, "a-b"): part})
        ledger.drop_bodies()
    with LedgerView(part) as view:
        assert view.outcome(urn("x", "a-b")).body == b""


def test_blocks_of_chained_ledgers_are_their_rows(tmp_path, whole):
    odd, even = write(tmp_path / "odd", ["a", "ab"]), write(tmp_path / "even", ["a-b"])
    with ChainedLedger(whole) as ledger:
        ledger.attach({(R, "a"): odd, (R, "ab"): odd, (R, "a-b"): even})
        bounds = ["", *ledger.block_starts(2)[1:], AFTER_ALL]
        blocks = [list(ledger.rows_between(*pair)) for pair in pairwise(bounds)]
        assert list(map(len, blocks)) == [2] * 6
        assert [row for block in blocks for row in block] == list(ledger.rows())


def test_more_ledgers_than_are_open_at_a_time_are_read(tmp_path, whole, monkeypatch):
    monkeypatch.setattr("inventory.ledger.chained._OPENED", 1)
    paths = {(R, project): write(tmp_path / project, [project]) for project in PROJECTS}
    with ChainedView(whole) as view:
        view.attach(paths)
        assert sum(outcome is not None for _, outcome in view.rows()) == 4


def test_an_attached_ledger_with_outcomes_of_another_scope_is_damage(tmp_path, whole):
    part = write(tmp_path / "part", ["a", "b"])
    with ChainedView(whole) as view:
        view.attach({(R, "a"): part})
        with pytest.raises(LedgerUnusableError, match="outcomes are sorted"):
            list(view.rows())
