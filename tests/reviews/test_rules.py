"""Cases of each rule: what it must find, what must pass, and what is unknown, with the reason."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from support.reviewed_runs import FINISHED, RULES, call, config, dis, obs, review, run, smn, unreadable, urn, verdicts

ALL = ("versions", "aliases")
FAILED = {"x": "failed", "y": "not_attempted", "z": "not_found"}
GAPS = {"x:latest": "unknown not_answered", "y:latest": "unknown not_attempted"}
OLD = int((FINISHED - timedelta(days=90)).timestamp() * 1_000_000)
NOT_CONFIGURED = {"n": "not_configured"}

CASES = {
    "FGA101": [
        (run({"f": config(), "g": config(obs()), **NOT_CONFIGURED, **FAILED}), {"f": "fail", "g": "pass", **GAPS}),
        (run({"f": "failed", "f:latest": config()}), {"f": "fail"}),
        (run({"f": config(obs()), "f:latest": "failed"}), {"f": "pass"}),
    ],
    "FGA102": [
        (run({**NOT_CONFIGURED, "f": config(), **FAILED}), {"n": "fail", **GAPS}),
    ],
    "FGA103": [
        (
            run(
                {"a": config(), "b": config(), "c": config(obs()), "d": "not_configured", "e": config(), **FAILED},
                facts={
                    "a:latest": {"fail_count": 3},
                    "b:latest": {"fail_count": 0},
                    "d:latest": {"fail_count": 1},
                    "e:latest": {},
                },
            ),
            {"a": "fail", "b": "pass", "c": "pass", "d": "fail", "e": "unknown not_stated", **GAPS},
        ),
        (run({"a": config()}, facts={}), {"a": "unknown facts_missing"}),
        (run({"a": config(obs())}), {"a": "unknown facts_missing"}),
        (
            run({"a:!p": config()}, facts={"a:v1": {"fail_count": 2}}, aliases={"a:!p": "v1"}, listed=ALL),
            {"a:!p": "fail"},
        ),
    ],
    "FGA104": [
        (
            run(
                {"f": config(retries=0), "g": config(retries=1), "h": config(retries=None), **NOT_CONFIGURED, **FAILED}
            ),
            {"f": "fail", "g": "pass", "h": "unknown not_stated", "n": "unknown default_unknown", **GAPS},
        ),
    ],
    "FGA105": [
        (
            run(
                {
                    "f": config(age=119, retries=1),
                    "g": config(age=120, retries=1),
                    "h": config(age=None),
                    "i": config(),
                    "j": config(),
                    **NOT_CONFIGURED,
                },
                facts={
                    "f:latest": {"timeout": 60},
                    "g:latest": {"timeout": 60},
                    "i:latest": {},
                    "n:latest": {"timeout": 1},
                },
            ),
            {
                "f": "fail",
                "g": "pass",
                "h": "unknown not_stated",
                "i": "unknown not_stated",
                "j": "unknown facts_missing",
                "n": "unknown default_unknown",
            },
        ),
    ],
    "FGA106": [
        (
            run({"f": config(age=299), "g": config(age=300), "h": config(age=None), **NOT_CONFIGURED, **FAILED}),
            {"f": "fail", "g": "pass", "h": "unknown not_stated", "n": "unknown default_unknown", **GAPS},
        ),
    ],
    "FGA107": [
        (
            run(
                {
                    "f": config(obs("b", "p"), obs("b", "p")),
                    "g": config(obs("b", "p"), obs("b", "q")),
                    "h": config(obs(), smn()),
                    "i": config(call("t"), call("t:latest")),
                    "j": config(unreadable("OBS"), obs()),
                    "k": config(unreadable("OBS"), smn()),
                    "l": config(obs()),
                    **NOT_CONFIGURED,
                    **FAILED,
                }
            ),
            {"f": "fail", "g": "pass", "h": "pass", "i": "fail", "j": "unknown param_unreadable", "k": "pass", **GAPS},
        ),
    ],
    "FGA108": [
        (
            run(
                {
                    "a": config(call("z")),
                    "b": config(call("a")),
                    "c": config(call("o")),
                    "d": config(call("x")),
                    "e": config(call("n")),
                    "f": config(unreadable()),
                    "g": config(obs()),
                    "h": config(None, call("z")),
                    "i": config(call("a:!prod")),
                    **NOT_CONFIGURED,
                    **FAILED,
                }
            ),
            {
                "a on_failure": "fail",
                "b on_failure": "pass",
                "c on_failure": "unknown not_listed",
                "d on_failure": "unknown not_answered",
                "e on_failure": "unknown existence_unknown",
                "f on_failure": "unknown param_unreadable",
                "i on_failure": "unknown alias_unresolved",
                **GAPS,
            },
        ),
        (
            run({"a": config(call("o")), "b": config(call("a:v7")), "c": config(call("a:!no"))}, listed=ALL),
            {"a on_failure": "fail", "b on_failure": "fail", "c on_failure": "fail"},
        ),
        (
            run(
                {"a": config(call("o")), "b": config(call("a:v7")), "c": config(call("urn:fss:r:p:function:q:h"))},
                listed=(),
            ),
            {"a on_failure": "fail", "b on_failure": "unknown not_listed", "c on_failure": "unknown not_listed"},
        ),
    ],
    "FGA109": [
        (
            run({"a": config(None, call("z")), "b": config(None, call("a")), "c": config(call("z")), **FAILED}),
            {"a on_success": "fail", "b on_success": "pass", **GAPS},
        ),
    ],
    "FGA110": [
        (
            run(
                {
                    "a": config(call("off")),
                    "b": config(call("on")),
                    "c": config(call("o")),
                    "d": config(call("z")),
                    "e": config(unreadable()),
                    "f": config(call("some")),
                    "g": config(call("off:!p")),
                    "off": config(),
                    "on": config(),
                    "some": config(),
                    **FAILED,
                },
                facts={"off:latest": {"concurrency": 0}, "on:latest": {"concurrency": -1}, "some:latest": {}},
            ),
            {
                "a on_failure": "fail",
                "b on_failure": "pass",
                "c on_failure": "unknown not_listed",
                "d on_failure": "pass",
                "e on_failure": "unknown param_unreadable",
                "f on_failure": "unknown not_stated",
                "g on_failure": "unknown alias_unresolved",
                **GAPS,
            },
        ),
    ],
    "FGA111": [
        (
            run(
                {
                    "f": config(log=False),
                    "g": config(log=True),
                    "h": config(obs()),
                    "i": config(log=None),
                    **NOT_CONFIGURED,
                    **FAILED,
                }
            ),
            {
                "f": "fail",
                "g": "pass",
                "h": "pass",
                "i": "unknown not_stated",
                "n": "unknown default_unknown",
                **GAPS,
            },
        ),
        (
            run(
                {"f": config(), "g": config()},
                facts={"f:latest": {"log_group_id": "l"}, "g:latest": {"log_group_id": ""}},
            ),
            {"f": "pass", "g": "fail"},
        ),
    ],
    "FGA112": [
        (
            run(
                {
                    "f:v1": config(call("t")),
                    "g:v1": config(call("t:v2")),
                    "h": config(call("t")),
                    "i:!p": config(call("t")),
                    "j:v1": config(unreadable()),
                }
            ),
            {
                "f:v1 on_failure": "fail",
                "g:v1 on_failure": "pass",
                "j:v1 on_failure": "unknown param_unreadable",
            },
        ),
    ],
    "FGA113": [
        (
            run(
                {
                    "a:latest": config(obs()),
                    "a:v1": config(),
                    "b:latest": config(obs()),
                    "b:v1": config(smn()),
                    "c:latest": config(),
                    "c:v1": config(),
                    "d:latest": config(obs()),
                    "d:v1": "failed",
                    "e:latest": "failed",
                    "e:v1": config(),
                    "f:latest": config(obs()),
                    "g:latest": config(obs()),
                    "g:v1": "failed",
                    "g:v2": config(),
                    **{f"{name}:!p": config(obs()) for name in "abcdefg"},
                },
                aliases={
                    **{f"{name}:!p": "v1" for name in "abcde"},
                    "f:!p": "v9",
                    "g:!p": ("v1", '{"v2":5}'),
                },
                listed=ALL,
            ),
            {
                "a": "fail",
                "b": "pass",
                "c": "pass",
                "d": "unknown not_answered",
                "e": "unknown not_answered",
                "f": "unknown not_listed",
                "g": "fail",
            },
        ),
        (run({"a": config(obs())}), {"a": "unknown alias_unresolved"}),
    ],
    "FGA114": [
        (
            run(
                {
                    "a": config(call("h")),
                    "b": config(call("a")),
                    "c": config(call("x")),
                    "d": config(call("o")),
                    "e": config(call("z")),
                    "f": config(unreadable()),
                    "g": config(call("n")),
                    "h": config(),
                    **NOT_CONFIGURED,
                    **FAILED,
                }
            ),
            {
                "a on_failure": "fail",
                "b on_failure": "pass",
                "c on_failure": "unknown not_answered",
                "d on_failure": "unknown not_listed",
                "e on_failure": "pass",
                "f on_failure": "unknown param_unreadable",
                "g on_failure": "fail",
                **GAPS,
            },
        ),
    ],
    "FGA115": [
        (
            run(
                {
                    **{f"f{number}": config(smn()) for number in range(51)},
                    "g": config(obs()),
                    "h": config(unreadable("OBS")),
                }
            ),
            {
                **{f"f{number} on_failure": "fail" for number in range(51)},
                "g on_failure": "pass",
                "h on_failure": "unknown param_unreadable",
            },
        ),
        (
            run({**{f"f{number}": config(smn()) for number in range(50)}, "x": "failed"}),
            {**{f"f{number} on_failure": "unknown not_answered" for number in range(50)}, "x": "unknown not_answered"},
        ),
        (
            run({f"f{number}": config(smn()) for number in range(50)}),
            {f"f{number} on_failure": "pass" for number in range(50)},
        ),
    ],
    "FGA116": [
        (
            run(
                {
                    "a": config(unreadable("OBS")),
                    "b": config(obs(None)),
                    "c": config(smn(None)),
                    "d": config(dis(None)),
                    "e": config(call(None)),
                    "f": config(call("urn:smn:r:p:t")),
                    "g": config(obs(), smn()),
                    "h": config(dis(), call("a")),
                    "i": config({"destination": "RocketMQ", "param_valid": False}),
                    **FAILED,
                }
            ),
            {
                **{f"{name} on_failure": "fail" for name in "abcdef"},
                "g on_failure": "pass",
                "g on_success": "pass",
                "h on_failure": "pass",
                "h on_success": "pass",
                **GAPS,
            },
        ),
    ],
    "FGA201": [
        (
            run(
                {
                    "a": config(None, call("b")),
                    "b": config(None, call("a")),
                    "c": config(None, call("a")),
                    "d": config(None, call("x")),
                    "e": config(None, call("d")),
                    "f": config(None, call("o")),
                    "g": config(call("x"), obs()),
                    "h": config(None, call("h")),
                    "i": config(None, unreadable()),
                    "j": config(None, call("z")),
                    "k": config(None, call("a:!p")),
                    **NOT_CONFIGURED,
                    **FAILED,
                }
            ),
            {
                "a": "fail",
                "c": "pass",
                "d": "unknown not_answered",
                "e": "unknown not_answered",
                "f": "unknown not_listed",
                "g": "pass",
                "h": "fail",
                "i": "unknown param_unreadable",
                "j": "pass",
                "k": "unknown alias_unresolved",
                "n": "pass",
                **GAPS,
            },
        ),
        (
            run(
                {"a:v1": config(None, call("b:!p")), "b:v1": config(None, call("a:v1")), "b:!p": "not_configured"},
                aliases={"b:!p": "v1"},
                listed=ALL,
            ),
            {"a:v1": "fail"},
        ),
    ],
    "FGA202": [
        (
            run(
                {
                    "a": config(call("b")),
                    "b": config(call("a")),
                    "c": config(None, call("d")),
                    "d": config(call("c")),
                    "e": config(None, call("f")),
                    "f": config(None, call("e")),
                    "g": config(call("x")),
                    **FAILED,
                }
            ),
            {
                "a": "fail",
                "c": "fail",
                "e": "pass",
                "f": "pass",
                "g": "unknown not_answered",
                **GAPS,
            },
        ),
    ],
    "FGA203": [
        (run({"a": config(None, call("x")), **FAILED}), {"a": "unknown not_answered", **GAPS}),
        (
            run(
                {
                    "a:v1": config(None, call("b:!p")),
                    "b:v1": config(None, call("a:v1")),
                    "b:v2": config(),
                    "c": config(),
                }
            ),
            {"a:v1": "fail", "b:v2": "pass", "c": "pass"},
        ),
        (
            run(
                {
                    "a:v1": config(None, call("b:!p")),
                    "b:v1": config(None, call("a:v1")),
                    "b:v2": config(),
                    "b:!p": config(),
                },
                aliases={"b:!p": "v2"},
                listed=ALL,
            ),
            {"a:v1": "pass", "b:v1": "pass", "b:v2": "pass", "b:!p": "pass"},
        ),
    ],
    "FGA204": [
        (
            run(
                {
                    "a": config(None, call("b")),
                    "b": config(call("c")),
                    "c": config(None, call("d")),
                    "d": config(obs()),
                    "e": config(None, call("x")),
                    **FAILED,
                }
            ),
            {"a": "fail", "b": "pass", "c": "pass", "d": "pass", "e": "unknown not_answered", **GAPS},
        ),
    ],
    "FGA301": [
        (
            run(
                {
                    "a": config(obs(obs_expires_days=0)),
                    "b": config(obs(obs_expires_days=1)),
                    "c": config(obs()),
                    "d": config(unreadable("OBS")),
                    "e": config(smn()),
                    **FAILED,
                }
            ),
            {
                "a on_failure": "fail",
                "b on_failure": "pass",
                "c on_failure": "unknown not_stated",
                "d on_failure": "unknown param_unreadable",
                **GAPS,
            },
        ),
    ],
    "FGA302": [
        (
            run({"a": config(obs()), "b": config(obs(obs_expires_days=0)), "c": config(unreadable("OBS"))}),
            {"a on_failure": "fail", "b on_failure": "pass", "c on_failure": "unknown param_unreadable"},
        ),
    ],
    "FGA303": [
        (
            run(
                {
                    "a": config(call("b"), retries=99),
                    "b": config(retries=0),
                    "c": config(None, call("c")),
                    "d": config(None, call("x")),
                    "e": config(retries=None),
                    "f": config(None, call("n")),
                    "g": config(call("b"), retries=98),
                    **NOT_CONFIGURED,
                    **FAILED,
                }
            ),
            {
                "a": "fail",
                "b": "pass",
                "c": "fail",
                "d": "unknown not_answered",
                "e": "unknown not_stated",
                "g": "pass",
                "f": "unknown default_unknown",
                "n": "unknown default_unknown",
                **GAPS,
            },
        ),
    ],
    "FGA304": [
        (
            run(
                {"a": config(retries=1), "b": config(retries=1), "c": config(retries=1), **NOT_CONFIGURED},
                facts={
                    "a:latest": {"timeout": 51, "memory_size": 1024},
                    "b:latest": {"timeout": 50, "memory_size": 1024},
                    "c:latest": {"timeout": 50},
                    "n:latest": {"timeout": 50, "memory_size": 1024},
                },
            ),
            {"a": "fail", "b": "pass", "c": "unknown not_stated", "n": "unknown default_unknown"},
        ),
    ],
    "FGA305": [
        (
            run(
                {**{f"f{number}": config(obs()) for number in range(20)}, "g": config(unreadable("OBS")), "x": "failed"}
            ),
            {
                **{f"f{number} on_failure": "unknown not_answered" for number in range(20)},
                "g on_failure": "unknown param_unreadable",
                "x": "unknown not_answered",
            },
        ),
        (
            run(
                {
                    **{f"f{number}": config(obs()) for number in range(21)},
                    "g": config(obs("b", "q")),
                    "h": config(smn()),
                }
            ),
            {**{f"f{number} on_failure": "fail" for number in range(21)}, "g on_failure": "pass"},
        ),
        (
            run({f"f{number}": config(obs()) for number in range(20)}),
            {f"f{number} on_failure": "pass" for number in range(20)},
        ),
    ],
    "FGA401": [
        (
            run(
                {
                    "a": config(obs()),
                    "b": config(None, smn()),
                    "c": config(obs()),
                    "d": config(obs()),
                    "e": config(),
                    **FAILED,
                },
                facts={"a:latest": {"xrole": ""}, "b:latest": {"xrole": "agency"}, "c:latest": {}},
            ),
            {"a": "fail", "b": "pass", "c": "unknown not_stated", "d": "unknown facts_missing", **GAPS},
        ),
    ],
    "FGA402": [
        (
            run(
                {
                    "a": config(smn("urn:smn:cn-north-4:p2:t")),
                    "b": config(smn()),
                    "c": config(call(urn("f", "p2"))),
                    "d": config(call("a")),
                    "e": config(unreadable("SMN")),
                    "f": config(obs()),
                    **FAILED,
                }
            ),
            {
                "a on_failure": "fail",
                "b on_failure": "pass",
                "c on_failure": "fail",
                "d on_failure": "pass",
                "e on_failure": "unknown param_unreadable",
                **GAPS,
            },
        ),
    ],
    "FGA403": [
        (run({"a": config(smn("urn:smn:far:p1:t"))}), {}),
    ],
    "FGA404": [
        (
            run(
                {
                    "a": config({"destination": "RocketMQ"}),
                    "b": config({"destination": "ROCKETMQ_V5"}),
                    "c": config({"destination": "rocketmq"}),
                    "d": config(obs()),
                    "e": config({"destination": "RocketMQ"}),
                },
                facts={"a:latest": {"func_vpc_id": ""}, "b:latest": {"func_vpc_id": "vpc"}, "c:latest": {}},
            ),
            {
                "a on_failure": "fail",
                "b on_failure": "pass",
                "c on_failure": "unknown not_stated",
                "e on_failure": "unknown facts_missing",
            },
        ),
    ],
    "FGA501": [
        (
            run(
                {
                    "a": config(age=0),
                    "b": config(age=30),
                    "c": config(age=60, retries=3),
                    "d": config(retries=4),
                    "e": config(age=86_401),
                    "f": config(age=None),
                    "g": config(age=None, retries=9),
                    "h": config(age=86_400),
                    **NOT_CONFIGURED,
                    **FAILED,
                }
            ),
            {
                "a": "fail",
                "b": "fail",
                "c": "pass",
                "d": "fail",
                "e": "fail",
                "f": "unknown not_stated",
                "g": "fail",
                "h": "pass",
                **GAPS,
            },
        ),
    ],
    "FGA502": [
        (
            run(
                {
                    "a": config(extra='{"new":1}'),
                    "b": config({"destination": "RocketMQ"}),
                    "c": config(obs(extra='{"new":1}')),
                    "d": config(obs()),
                    **NOT_CONFIGURED,
                    **FAILED,
                }
            ),
            {"a": "fail", "b": "fail", "c": "fail", "d": "pass", **GAPS},
        ),
    ],
    "FGA503": [
        (
            run({"a": config(age=86_400), "b": config(age=86_399), "c": config(age=None), **NOT_CONFIGURED, **FAILED}),
            {"a": "fail", "b": "pass", "c": "unknown not_stated", "n": "unknown default_unknown", **GAPS},
        ),
    ],
    "FGA504": [
        (
            run(
                {
                    "a:v1": config(last_modified=1_700_000_000_000_000),
                    "b:v1": config(last_modified=1_700_000_000_000_000),
                    "c:v1": config(last_modified=1_764_000_000_000_000 + 30_000_000_000_000),
                    "d:v1": config(),
                    "g:v1": config(last_modified=OLD),
                    "h:v1": config(last_modified=OLD - 1),
                    "e": config(last_modified=1_700_000_000_000_000),
                    "f:v1": "failed",
                },
                aliases={"b:!p": "v1"},
                listed=ALL,
            ),
            {
                "a:v1": "fail",
                "b:v1": "pass",
                "c:v1": "pass",
                "d:v1": "unknown not_stated",
                "g:v1": "pass",
                "h:v1": "fail",
                "f:v1": "unknown not_answered",
            },
        ),
        (run({"a:v1": config()}), {"a:v1": "unknown alias_unresolved"}),
    ],
    "FGA505": [
        (
            run(
                {
                    "a": "not_configured",
                    "b": {"status": "not_configured", "function_exists": True},
                    "c": config(),
                    **FAILED,
                }
            ),
            {"a": "fail", "b": "pass", **GAPS},
        ),
    ],
}


def full(name, rule):
    """Adds ``:latest`` to the names of cases, where the subject is a URN."""
    first, space, event = name.partition(" ")
    is_whole = ":" in first or RULES[rule].subject == "function"
    return f"{first if is_whole else f'{first}:latest'}{space}{event}"


@pytest.mark.parametrize(
    ("rule", "number"), [(rule, number) for rule, cases in CASES.items() for number in range(len(cases))]
)
def test_each_case_has_its_verdict(rule, number):
    tables, expected = CASES[rule][number]
    assert verdicts(rule, tables) == {full(name, rule): verdict for name, verdict in expected.items()}


def test_each_rule_has_cases_that_fail_pass_and_are_unknown():
    assert set(CASES) == set(RULES)
    expected = {
        rule: {verdict.split()[0] for _, case in cases for verdict in case.values()} for rule, cases in CASES.items()
    }
    never = {rule: {"fail", "pass", "unknown"} - found for rule, found in expected.items()}
    assert {rule: missing for rule, missing in never.items() if missing} == {
        "FGA102": {"pass"},
        "FGA403": {"fail", "pass", "unknown"},
    }


def test_a_missing_configuration_is_severe_for_a_function_that_others_call():
    tables = run({"n": "not_configured", "m": "not_configured", "f": config(call("n"))})
    with review(tables, {"FGA102": RULES["FGA102"]}) as done:
        found = {row["subject"]: row["severity"] for row in done.findings.to_pylist()}
    assert found == {urn("n:latest"): "high", urn("m:latest"): "medium"}


def test_allowed_regions_turn_the_rule_on():
    tables = run(
        {"a": config(smn("urn:smn:far:p1:t")), "b": config(smn()), "c": config(obs()), "d": config(unreadable("SMN"))}
    )
    found = verdicts("FGA403", tables, parameters={"FGA403": {"allowed_regions": ["cn-north-4"]}})
    assert found == {
        "a:latest on_failure": "fail",
        "b:latest on_failure": "pass",
        "d:latest on_failure": "unknown param_unreadable",
    }


@pytest.mark.parametrize(
    ("age", "retries", "pages"),
    [
        (0, 0, ["API reference of the PUT", "API reference of the GET"]),
        (1, 0, ["API reference of the GET"]),
        (86_401, 0, ["API reference of the PUT", "API reference of the GET"]),
        (60, 8, ["API reference of the PUT and console"]),
        (60, 9, ["API reference of the GET", "API reference of the PUT and console"]),
    ],
)
def test_a_value_outside_a_range_names_the_pages_whose_range_it_is(age, retries, pages):
    with review(run({"f": config(age=age, retries=retries)}), {"FGA501": RULES["FGA501"]}) as done:
        (finding,) = done.findings.to_pylist()
    outside = json.loads(finding["evidence"])["outside_of"]
    assert [page.partition(": ")[2].rpartition(", ")[0] for page in outside] == pages


def test_a_cycle_is_one_finding_with_its_urns():
    tables = run({"a": config(None, call("b")), "b": config(None, call("c")), "c": config(None, call("a"))})
    with review(tables, {"FGA201": RULES["FGA201"]}) as done:
        (finding,) = done.findings.to_pylist()
        (summary,) = done.summary.to_pylist()
    assert summary["fail"] == 3
    assert finding["subject"] == urn("a:latest")
    evidence = json.loads(finding["evidence"])
    assert (evidence["urns"], evidence["size"]) == ([urn(f"{name}:latest") for name in "abc"], 3)


def test_every_rule_is_worded_for_a_person():
    for rule in RULES.values():
        assert rule.title
        assert not rule.title.endswith(".")
        assert rule.why.endswith("."), rule.id
        assert rule.fix.endswith("."), rule.id
        assert "read 20" in rule.source or "facts" in rule.source, rule.id
