from datetime import date

import pytest
from support.reviews import finding, reviewed, table_of
from support.written_runs import config, leading, side, urn, write_run

from inventory.reviews.page import first_screen
from inventory.reviews.page.first_screen import MEANINGS, facts, first_steps, headline, lede, states, trend, unknown
from inventory.reviews.request import Request, review_run
from inventory.reviews.verdicts import REASONS
from inventory.settings import ReviewSettings, Suppression

SAFE = leading(on_failure=side("SMN", {"topic_urn": "urn:smn:cn-north-4:p:t"}))


def rows(**numbers):
    return [
        finding(f"{name}{at}", f"FGA10{len(name)}", name) for name, number in numbers.items() for at in range(number)
    ]


@pytest.mark.parametrize(
    ("findings", "sentence"),
    [
        (rows(critical=1), "1 critical finding to fix first"),
        (rows(critical=2, high=1200, low=3), "2 critical and 1,200 high findings to fix first"),
        (rows(high=3), "3 high findings to fix first"),
        (rows(medium=5, low=4, info=3), "No critical or high finding; 5 medium and 4 low"),
        (rows(info=1), "No critical or high finding; 1 info"),
        ([finding("f", verdict="unknown")], "No finding; 1 check could not be made"),
        ([finding("f", verdict="pass")], "No finding"),
    ],
)
def test_the_headline_is_the_result(findings, sentence):
    assert headline(reviewed(findings)) == sentence


def test_of_new_findings_the_headline_says_so():
    found = [finding("f", state="new"), finding("g", state="unchanged")]
    assert headline(reviewed(found, has_baseline=True, new_only=True)) == "1 high new finding to fix first"


def test_ten_most_severe_findings_stand_under_their_rules_and_say_what_to_do():
    found = rows(critical=3, high=30, low=30)
    steps = first_steps(reviewed(found), table_of(found))
    assert [(step.severity, step.total, len(step.findings)) for step in steps] == [("critical", 3, 3), ("high", 30, 7)]
    assert steps[0].words.fix == "Set on_failure."
    assert steps[0].findings[0] == {
        "id": found[0]["finding_id"],
        "name": "critical0",
        "owner": "default · 012345…abcdef · cn-north-4",
    }
    assert lede(steps) == "Start here: Failed events are lost (3 critical findings). Set on_failure."


def test_a_long_name_is_cut_on_the_first_screen():
    found = [finding("x" * 5000 + "-end")]
    (step,) = first_steps(reviewed(found), table_of(found))
    assert len(step.findings[0]["name"]) == 60
    assert step.findings[0]["name"].endswith("-end")


def test_every_reason_has_a_meaning_and_a_remedy():
    assert list(MEANINGS) == list(REASONS)
    done = reviewed([finding("f", verdict="unknown"), finding("g", verdict="unknown")])
    assert unknown(done) == [
        {
            "reason": "not_answered",
            "number": 2,
            "meaning": "The export got no answer for the URN",
            "fix": "Ask again for the URNs without an answer.",
        }
    ]


def test_the_facts_name_run_regions_accounts_and_statuses():
    done = reviewed([finding("f")], run="output/today", baseline="earlier.json", has_baseline=True)
    scopes = [{"region": f"r{at % 2}", "project_id": f"p{at}", "account": "prod" if at else None} for at in range(5)]
    done.manifest = {"scopes": scopes, "counts": {"status": {"configured": 1, "failed": 0, "not_found": 1200}}}
    found = dict(facts(done))
    assert found["Run"] == "output/today"
    assert found["Finished"] == "2026-11-20 01:00 UTC"
    assert (found["Regions"], found["Projects"], found["Accounts"]) == ("r0, r1", "5", "prod")
    assert found["URNs"].endswith(": 1 configured, 1,200 not_found")
    assert found["Compared with"] == "earlier.json"


def test_states_count_failures_and_what_ended():
    found = [
        finding("a", state="new"),
        finding("b", state="unchanged"),
        finding("c", verdict="pass", state="fixed"),
        finding("d", verdict="unknown", state="unchanged"),
        finding("e", verdict="unknown", state="unknown"),
    ]
    counted = {"new": 1, "changed": 0, "unchanged": 1, "fixed": 1, "gone": 0, "unknown": 1}
    assert states(reviewed(found, has_baseline=True)) == counted
    assert states(reviewed(found)) == {}


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    for day, silent in enumerate((1, 3, 2), 1):
        functions = {urn(f"f{at}"): config() if at < silent else SAFE for at in range(4)}
        write_run(folder / str(day), functions, day=day)
    return folder


def points(folder, **options):
    request = Request(only=("FGA101",), **(options or {"history": str(folder)}))
    with review_run(folder / "3", request) as done:
        return [(row["point"].failures["high"], row["total"], row["largest"]) for row in trend(done)]


def test_a_history_shows_the_open_failures_of_each_run(history):
    assert points(history) == [(1, 1, 3), (3, 3, 3), (2, 2, 3)]


def test_a_run_as_baseline_is_a_point(history):
    assert points(history, baseline=str(history / "2")) == [(3, 3, 3), (2, 2, 3)]


def test_suppressions_apply_to_every_run_of_the_trend(history):
    suppression = Suppression(rule="FGA101", subjects=("*:f0:*",), reason="r", by="b", until=date(2999, 1, 1))
    assert points(history, history=str(history), settings=ReviewSettings(suppress=(suppression,))) == [
        (0, 0, 2),
        (2, 2, 2),
        (1, 1, 2),
    ]


def test_a_long_history_shows_the_first_run_and_the_latest(history, monkeypatch):
    monkeypatch.setattr(first_screen, "_RUNS", 2)
    assert points(history) == [(1, 1, 2), (2, 2, 2)]
