from __future__ import annotations

from functools import partial

import pytest
from support.ledgers import outcome

from inventory.errors import InterruptedRunError, LedgerUnusableError, SettingsError, SourceError, UsageError
from inventory.ledger.reader import BODIES_DROPPED
from inventory.ledger.records import AnswerCount, Reject, ScopeCount
from inventory.ledger.writer import Ledger
from inventory.pipeline.listing import Discovered
from inventory.pipeline.load import check_same_run, load, load_sources
from inventory.progress import ProgressObserver
from inventory.runs.facts import RunFacts
from inventory.runs.folder import RunFolder
from inventory.runs.listing_coverage import ListingCoverage
from inventory.settings import ExportSettings
from inventory.sources.files import Source

A = "urn:fss:cn-north-4:p:function:default:a"
B = "urn:fss:eu-de:q:function:default:b:!prod"
FIXED = ExportSettings(endpoint="http://127.0.0.1:1")


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture
def source(tmp_path):
    def source(*lines: str, name: str = "l.txt") -> Source:
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return Source(str(path))

    return source


def urns(ledger: Ledger) -> list[str]:
    return [urn for urn, _ in ledger.rows()]


def test_every_entry_is_a_urn_a_duplicate_or_a_reject(ledger, source):
    first = source(A, "# comment", B, A, "no urn at all", name="1.txt")
    second = source(B, "", f"{A}:latest", "urn:fss:r:p:workflow:d:w", name="2.txt")
    load([first, second], ledger, FIXED, ProgressObserver())
    assert urns(ledger) == [A, f"{A}:latest", B]
    assert [(reject.line, reject.text) for reject in ledger.rejects()] == [
        (5, "no urn at all"),
        (4, "urn:fss:r:p:workflow:d:w"),
    ]
    entries = sum(read.entries for read in ledger.sources())
    assert (entries, ledger.count_urns(), ledger.count_rejects()) == (7, 3, 2)
    assert ledger.scopes() == [ScopeCount("cn-north-4", "p", 2), ScopeCount("eu-de", "q", 1)]


def test_invisible_characters_are_cleaned_at_the_ends_and_rejected_inside(ledger, source):
    inside = A.replace("default", "def\u200bault")
    load(
        [source(f"\ufeff{A}", f"{A}\u2060", f"\ufeff{inside}", inside, A, f"{B}\xa0")],
        ledger,
        FIXED,
        ProgressObserver(),
    )
    assert urns(ledger) == [A, B]
    assert [reject.reason for reject in ledger.rejects()] == [
        "character U+200B ZERO WIDTH SPACE at position 34 is not allowed in a function URN"
    ] * 2
    assert (RunFacts(ledger).cleaned, ledger.sources()[0].entries) == (3, 6)


def test_the_same_list_twice_is_duplicates(ledger, source):
    read = source(A, B)
    load([read, Source(read.name)], ledger, FIXED, ProgressObserver())
    assert (len(urns(ledger)), sum(read.entries for read in ledger.sources())) == (2, 4)


def test_short_forms_are_completed(ledger, source):
    settings = ExportSettings(region="cn-north-4", project_id="p", endpoint="http://127.0.0.1:1")
    load([source("a", "default:a", "p:default:a", A)], ledger, settings, ProgressObserver())
    assert urns(ledger) == [A]


def test_short_forms_without_a_region_are_rejects_that_say_what_to_give(ledger, source):
    load([source("a", A)], ledger, FIXED, ProgressObserver())
    assert urns(ledger) == [A]
    assert "--region" in next(ledger.rejects()).reason


def test_a_region_that_could_lead_elsewhere_is_a_reject(ledger, source):
    evil = A.replace("cn-north-4", "x@evil.com")
    load([source(evil, A, evil)], ledger, ExportSettings(), ProgressObserver())
    assert urns(ledger) == [A]
    assert [(reject.line, reject.text) for reject in ledger.rejects()] == [(1, evil), (3, evil)]
    assert [scope.region for scope in ledger.scopes()] == ["cn-north-4"]


def test_a_reject_keeps_a_thousand_characters(ledger, source):
    load([source("x" * 5000)], ledger, FIXED, ProgressObserver())
    (reject,) = ledger.rejects()
    assert (reject.line, reject.text) == (1, "x" * 1000)
    assert "5000" in reject.reason


@pytest.mark.parametrize("line", ['"urn:fss:r:p:function:d:\\ud800"', '{"urn": "\\udfff"}', '["\\ud800"]'])
def test_an_entry_that_no_file_can_hold_is_a_reject(ledger, source, line):
    load([source(line, f'"{A}"', name="l.jsonl")], ledger, FIXED, ProgressObserver())
    assert urns(ledger) == [A]
    assert [reject.line for reject in ledger.rejects()] == [1]


def test_a_list_that_breaks_off_leaves_nothing(ledger, tmp_path, source):
    path = tmp_path / "broken.json"
    path.write_text(f'["{A}"')
    with pytest.raises(SourceError, match=r"broken\.json"):
        load([source(B), Source(str(path))], ledger, FIXED, ProgressObserver())
    assert (urns(ledger), list(ledger.rejects()), ledger.sources(), RunFacts(ledger).settings) == ([], [], [], None)


def test_a_stop_while_loading_leaves_nothing(ledger, source):
    observer = ProgressObserver()
    observer.cancel(2)
    with pytest.raises(InterruptedRunError):
        load([source(*(f"{A}{n}" for n in range(5000)))], ledger, FIXED, observer)
    assert urns(ledger) == []


def test_more_than_a_block_of_entries(ledger, source):
    lines = [f"{A}{n:05d}" if n % 10 else f"reject {n}" for n in range(9000)]
    load([source(*lines)], ledger, FIXED, ProgressObserver())
    assert (len(urns(ledger)), ledger.count_rejects()) == (8100, 900)


def test_a_resumed_run_needs_the_same_list(ledger, source):
    first, second = source(A, name="1.txt"), source(B, name="2.txt")
    load([first, second], ledger, FIXED, ProgressObserver())
    check_same_run([Source(second.name), Source(first.name)], ledger, FIXED)
    check_same_run([], ledger, FIXED)
    for changed in ([Source(first.name)], [source(B, A, name="3.txt"), Source(first.name)]):
        with pytest.raises(SourceError, match=r"not the list that this run began with"):
            check_same_run(changed, ledger, FIXED)


@pytest.mark.parametrize(
    ("changed", "option"),
    [
        ({"endpoint": "http://127.0.0.1:2"}, "--endpoint"),
        ({"endpoint": "http://127.0.0.1:1", "region": "r"}, "--region"),
        ({"endpoint": "http://127.0.0.1:1", "project_id": "p"}, "--project-id"),
    ],
)
def test_a_resumed_run_needs_the_settings_that_answers_depend_on(ledger, source, changed, option):
    load([source(A)], ledger, FIXED, ProgressObserver())
    with pytest.raises(SettingsError, match=f"^{option} "):
        check_same_run([], ledger, ExportSettings(**changed))


def test_a_resumed_run_may_change_its_speed(ledger, source):
    load([source(A)], ledger, FIXED, ProgressObserver())
    check_same_run(
        [],
        ledger,
        ExportSettings(endpoint="http://127.0.0.1:1", max_workers=1, max_per_second=1.0, attempts=9, format=("csv",)),
    )


def test_rejects_know_their_source(ledger, source):
    read = source("not a urn")
    load([read], ledger, FIXED, ProgressObserver())
    (reject,) = ledger.rejects()
    assert reject[:3] == Reject(read.name, 1, "not a urn", "")[:3]


def test_progress_comes_once_a_block_and_at_the_end(ledger, source, monkeypatch):
    monkeypatch.setattr("inventory.pipeline.load._BLOCK", 2)
    seen = []
    observer = ProgressObserver()
    observer.on_load = seen.append
    load([source(*(f"{A}{number}" for number in range(5)))], ledger, FIXED, observer)
    assert seen == [2, 4, 5]


async def test_a_resumed_run_checks_its_ledger_and_its_bodies_first(tmp_path, ledger, source):
    load([source(A)], ledger, FIXED, ProgressObserver())
    ledger.record(outcome(A, "failed"))
    ledger.commit()
    resume = partial(load_sources, [], ledger, RunFolder(tmp_path), FIXED, "resume", ProgressObserver(), None)
    await resume()
    ledger.set_fact(BODIES_DROPPED, "compact")
    with pytest.raises(UsageError, match="its 1 failed URN cannot be retried here"):
        await resume()
    ledger._db.execute("UPDATE outcomes SET attempts = 7")
    with pytest.raises(LedgerUnusableError, match=f"the outcome of {A} was changed"):
        await resume()


def test_the_calls_of_a_discovery_are_counted(ledger):
    calls = [AnswerCount("cn-north-4", "p", "ListFunctions", 200, 3)]
    load([], ledger, FIXED, ProgressObserver(), Discovered([], calls, "2026-01-01T00:00:00Z", ListingCoverage()))
    assert ledger.answers() == calls
    assert RunFacts(ledger).started == "2026-01-01T00:00:00Z"
