"""Ledgers for tests: URNs, outcomes, files of other versions, damaged files."""

import contextlib
import sqlite3

from inventory.ledger.writer import Ledger
from inventory.outcome import Outcome

R, P = "cn-north-4", "p"


def urn(name: str, project: str = P, region: str = R) -> str:
    """A full URN."""
    return f"urn:fss:{region}:{project}:function:default:{name}"


def outcome(of: str, status: str = "configured", body: bytes = b"{}") -> Outcome:
    """How a URN was settled."""
    kind = "timeout" if status == "failed" else None
    return Outcome(of, status, kind, 200, None, "m\0é", body, "Show", 2, 1, "r-1", 1.25, 1_700_000_000_000_000)


def of_another_version(path):
    Ledger(path).close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")


def damaged_behind_its_header(path):
    with Ledger(path) as ledger:
        ledger.add_urns(urn(f"f{n}") for n in range(3000))
    content = path.read_bytes()
    path.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))


def load(ledger: Ledger) -> None:
    """Three URNs, of which one is settled."""
    with ledger.loading():
        ledger.add_urns(map(urn, "abc"))
        ledger.count_scopes([(R, P)])
    ledger.record(outcome(urn("a")))
    ledger.commit()


def failing(number):
    def fail(*_any):
        raise OSError(number, "x")

    return fail
