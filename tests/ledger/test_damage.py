"""Damaged ledgers: refused, or without effect."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing

import pytest
from support.ledgers import P, R, outcome, urn

from inventory.errors import LedgerUnusableError, OutputError
from inventory.ledger.database import is_in_use
from inventory.ledger.reader import LedgerView
from inventory.ledger.records import Reject, SourceRead
from inventory.ledger.writer import Ledger
from inventory.runs.folder import RunFolder
from inventory.storage import file_lock

URNS = [urn(f"f{number:02}", P if number % 3 else "q") for number in range(45)]
STATUSES = ("configured", "not_found", "configured", "failed", "not_configured")
PAGE = 4096
FRAME_HEADER = 24


def answered(asked):
    number = int(asked[-2:])
    return outcome(asked, STATUSES[number % 5], b'{"of":%d,"text":"%s"}' % (number, b"y" * number * 9))


def load(ledger):
    with ledger.loading():
        ledger.set_fact("started", "2026-11-25T00:00:00Z")
        ledger.add_urns(URNS)
        ledger.add_rejects(Reject("list.txt", number, f"text {number}", "no URN") for number in range(6))
        ledger.add_source(SourceRead("list.txt", "00" * 32, 51))
        ledger.count_scopes([(R, P), (R, "q")])
        ledger.set_fact("loaded", {"endpoint": None, "format": ["csv"]})


def ask(ledger, urns):
    for asked in urns:
        ledger.record(answered(asked))
        ledger.count_call(R, P, "Show", 200)
        if int(asked[-2:]) % 4 == 0:
            ledger.commit()
    ledger.commit()


def gone_on_with(path):
    with Ledger(path) as ledger:
        ledger.check()
        if ledger.fact("loaded") is None:  # the list is loaded again; no call was made before
            assert ledger.count_settled() == 0
            load(ledger)
        for scope in ledger.scopes():
            ask(ledger, list(ledger.pending(scope.region, scope.project_id)))
        return (list(ledger.rows()), list(ledger.rejects()), ledger.sources(), ledger.scopes(), ledger.fact("loaded"))


def looked_at(path):
    with LedgerView(path) as view:
        return (list(view.count_statuses(0)), view.count_settled(), view.scopes(), view.answers(), view.fact("started"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "ledger.sqlite"
    with Ledger(path) as ledger:
        load(ledger)
        ask(ledger, URNS[:30])
    return path.read_bytes()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "ledger.sqlite"


def written(path, content, log=None):
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir()
    path.write_bytes(content)
    if log is not None:
        path.with_name("ledger.sqlite-wal").write_bytes(log)
    return path


def refused(read, path, right):
    error = None
    try:
        found = read(path)
    except LedgerUnusableError as caught:
        error = caught
    if error is None:
        assert found == right
        return False
    words = str(error)
    assert (error.exit_code, len(words.splitlines()), str(path) in words) == (4, 1, True)
    assert words.endswith("start again with --overwrite")
    return True


@pytest.mark.parametrize("length", [1, 8, 700])
def test_damage_at_any_place_is_refused_or_changes_nothing(path, whole, length):
    right = gone_on_with(written(path, whole)), looked_at(written(path, whole))
    dice = random.Random(length)
    reported = 0
    for number in range(100):
        at = dice.randrange(100 if number % 5 == 0 else len(whole))  # the header is small but vital
        spoilt = bytearray(whole)
        for place in range(at, min(at + length, len(whole))):
            spoilt[place] ^= dice.randrange(1, 256) if length > 1 else 1 << dice.randrange(8)
        for read, expected in zip((gone_on_with, looked_at), right, strict=True):
            reported += refused(read, written(path, bytes(spoilt)), expected)
    assert reported >= 40


def test_every_changed_byte_of_a_text_is_detected(path, whole):
    texts = (URNS[7], URNS[40], answered(URNS[29]).body, "text 4", "list.txt", "2026-11-25T00", '{"endpoint":', "r-1")
    for text in texts:
        sought = text if isinstance(text, bytes) else text.encode()
        at = whole.find(sought)
        assert at > 0, text
        spoilt = bytearray(whole)
        spoilt[at + len(sought) // 2] ^= 1
        for read in (gone_on_with, looked_at):
            assert refused(read, written(path, bytes(spoilt)), None), text


def test_the_message_names_the_damaged_urn(path, whole):
    written(path, whole.replace(b'{"of":13,', b'{"of":31,'))
    with pytest.raises(LedgerUnusableError, match=rf"damaged \(the outcome of {URNS[13]} was changed"):
        gone_on_with(path)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM urns WHERE urn LIKE '%f40'",
        "DELETE FROM urns WHERE urn LIKE '%f04'",
        "UPDATE scopes SET urns = urns + 1",
        "UPDATE outcomes SET attempts = 'many' WHERE urn LIKE '%f04'",
        "INSERT INTO again SELECT urn FROM outcomes WHERE status = 'configured' LIMIT 1",
        "DROP TABLE listed",
    ],
)
def test_missing_and_additional_rows_are_damage(path, whole, statement):
    written(path, whole)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)
    content = path.read_bytes()
    for read in (gone_on_with, looked_at):
        assert refused(read, written(path, content), None)


def test_a_damaged_log_costs_only_calls(path, tmp_path):
    alive = tmp_path / "alive" / "ledger.sqlite"
    alive.parent.mkdir()
    with Ledger(alive) as ledger:
        load(ledger)
        ledger._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        ask(ledger, URNS[:30])
        base, log = alive.read_bytes(), alive.with_name("ledger.sqlite-wal").read_bytes()
    right = gone_on_with(written(path, base, log))
    assert not refused(gone_on_with, written(path, base), right)
    assert not refused(gone_on_with, written(path, base, b"\xa5" * len(log)), right)
    dice = random.Random(5)
    for _ in range(40):
        spoilt = bytearray(log)
        spoilt[dice.randrange(len(log))] ^= 1 << dice.randrange(8)
        assert not refused(gone_on_with, written(path, base, bytes(spoilt)), right)
    # Worst case: the log is lost during a checkpoint.
    frames = range(32, len(log), PAGE + FRAME_HEADER)
    reported = 0
    for _ in range(40):
        mixed = bytearray(base)
        taken = dice.random()
        for at in frames:
            page = int.from_bytes(log[at : at + 4], "big")
            mixed.extend(bytes(max(0, page * PAGE - len(mixed))))
            if dice.random() < taken:
                mixed[(page - 1) * PAGE : page * PAGE] = log[at + FRAME_HEADER : at + FRAME_HEADER + PAGE]
        reported += refused(gone_on_with, written(path, bytes(mixed)), right)
    assert reported > 0


def test_without_system_locks_a_running_export_is_recognised(path, monkeypatch):
    monkeypatch.setattr(file_lock, "_LOCKS", None)
    path.parent.mkdir()
    with Ledger(path) as ledger:
        load(ledger)
        assert is_in_use(path)
        with pytest.raises(OutputError, match=r"another inventory process works in .*; wait until it ends"):
            RunFolder(path.parent).prepare("new")
        files = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    for name, content in files.items():
        (path.parent / name).write_bytes(content)
    assert not is_in_use(path)
    with pytest.raises(OutputError, match="contains a run already"):
        RunFolder(path.parent).prepare("new")
