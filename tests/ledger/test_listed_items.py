"""What lists say of functions and aliases, in the ledger."""

from __future__ import annotations

import sqlite3

import pytest
from support.ledgers import P, R, urn

from inventory.errors import LedgerUnusableError
from inventory.ledger.reader import LedgerView
from inventory.ledger.schema import EARLIER, SCHEMAS, SORTED, ListedTable
from inventory.ledger.writer import Ledger

FACTS, ALIASES = ListedTable.FUNCTION_FACTS, ListedTable.ALIASES
A, B, C = urn("a"), urn("b"), urn("c")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.add_listed_items(FACTS, [(B, "1"), (A, "2"), (B, "3"), ("no URN", "9")])
        ledger.add_listed_items(FACTS, [(A, "4")])
        ledger.add_listed_items(ALIASES, [(C, "5")])
        load(ledger)
    return path


def load(ledger):
    with ledger.loading():
        ledger.add_urns([A, B, C])
        ledger.count_scopes([(R, P)])


def execute(path, statement):
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()


def test_the_last_item_of_a_urn_is_kept_in_order(path):
    with LedgerView(path) as ledger:
        assert list(ledger.listed_items(FACTS)) == [(A, "4"), (B, "3")]
        assert list(ledger.listed_items(ALIASES)) == [(C, "5")]
        assert (ledger.count_listed_items(FACTS), ledger.count_listed_items(ALIASES)) == (2, 1)
        assert ledger.has_listed_items


def test_a_new_list_begins_without_items(path):
    with Ledger(path) as ledger:
        ledger.clear_listed_items()
        load(ledger)
        assert list(ledger.listed_items(FACTS)) == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE function_facts SET kept = '9' WHERE name LIKE '%:a'",
        "UPDATE function_facts SET name = 'z' WHERE name LIKE '%:a'",
        "DELETE FROM function_facts WHERE name LIKE '%:a'",
        "INSERT INTO aliases SELECT * FROM function_facts",
        "DELETE FROM aliases",
    ],
)
def test_damage_is_found(path, damage):
    execute(path, damage)
    with pytest.raises(LedgerUnusableError, match="damaged"):
        LedgerView(path)
    with Ledger(path) as ledger, pytest.raises(LedgerUnusableError, match="damaged"):
        ledger.check()


def earlier(path):
    database = sqlite3.connect(path)
    for table in ListedTable:
        database.execute(f"DROP TABLE {table}")
    database.execute("DROP TABLE outcomes")
    database.execute(dict(SCHEMAS[EARLIER])["outcomes"])
    database.execute("DELETE FROM facts WHERE name = 'listed-items'")
    database.execute(f"PRAGMA user_version = {EARLIER}")
    database.commit()
    database.close()


def test_a_ledger_of_the_earlier_version_is_read_as_it_is(path):
    earlier(path)
    before = path.read_bytes()
    with LedgerView(path) as ledger:
        assert not ledger.has_listed_items
        assert list(ledger.listed_items(FACTS)) == []
        assert ledger.count_urns() == 3
    assert path.read_bytes() == before


def test_a_ledger_of_the_earlier_version_is_completed_when_it_is_written(path):
    earlier(path)
    with Ledger(path) as ledger:
        ledger.check()
        assert not ledger.has_listed_items
        ledger.add_listed_items(FACTS, [(A, "1")])
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (SORTED,)
