"""The engine: verdicts of any rule, and rules that are broken or hostile."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.reviewed_runs import RULES, call, config, obs, review, run, smn, unreadable, urn, verdicts
from support.runs import call_cli

from inventory.emulator import Emulator, GeneratedCloud
from inventory.errors import UsageError
from inventory.reviews.database import run_tables
from inventory.reviews.request import Request, review_run
from inventory.reviews.rule import read_rule
from inventory.reviews.verdicts import VERDICTS
from inventory.runs.files import open_run
from inventory.settings import SEVERITIES, AssumedDefaults

WORLD = {"a": config(), "b": config(obs()), "x": "failed", "y": "not_attempted", "z": "not_found"}


def rule(query, **header):
    lines = {
        "id": '"MINE001"',
        "name": '"mine"',
        "title": '"t"',
        "area": '"cost"',
        "severity": '"low"',
        "subject": '"urn"',
        "why": '"w"',
        "fix": '"f"',
        "source": '"s"',
        **header,
    }
    return read_rule(
        "\n".join(["/*", *(f"{name} = {value}" for name, value in lines.items()), "*/", query]), "mine.sql"
    )


def test_the_first_line_of_the_table_of_verdicts_decides():
    mine = rule(
        "SELECT subject, CASE retries WHEN 0 THEN NULL ELSE retries = 1 END AS fails, 'not_stated' AS why_unknown "
        "FROM subjects",
        applies='"CASE WHEN age_s > 0 THEN age_s = 1 END"',
    )
    world = {
        "a": config(age=1, retries=0),
        "b": config(age=1, retries=1),
        "c": config(age=1, retries=2),
        "d": config(age=2, retries=1),
        "e": config(age=None, retries=1),
        "x": "failed",
        "z": "not_found",
    }
    assert verdicts(mine, run(world)) == {
        "a:latest": "unknown not_stated",
        "b:latest": "fail",
        "c:latest": "pass",
        "e:latest": "unknown not_stated",
        "x:latest": "unknown not_answered",
    }


def test_a_function_with_an_unknown_qualifier_passes_no_rule():
    mine = rule("SELECT subject, contains(subject, 'bad') AS fails FROM function_list", subject='"function"')
    world = {"f": config(), "f:v1": "failed", "g": config(), "bad": config(), "bad:v1": "not_attempted"}
    everything = ("versions", "aliases")
    assert verdicts(mine, run(world, listed=everything)) == {"f": "unknown not_answered", "g": "pass", "bad": "fail"}
    assert verdicts(mine, run({"g": config()}, listed=("versions",))) == {"g": "unknown not_listed"}
    assert verdicts(mine, run({"g": config()})) == {"g": "unknown not_listed"}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "SELECT subject, false AS fails FROM subjects WHERE status <> 'configured'",
            "returns no row for 2 subjects, such as",
        ),
        (
            "SELECT subject, false AS fails FROM subjects UNION ALL SELECT subject, true FROM subjects",
            "rows more than one",
        ),
        ("SELECT subject, NULL::BOOLEAN AS fails FROM subjects", "why_unknown is None; it must be one of"),
        ("SELECT subject, NULL AS fails, 'maybe' AS why_unknown FROM subjects", "why_unknown is 'maybe'"),
        ("SELECT subject, 1 AS fails FROM subjects", "column fails is INTEGER, not BOOLEAN"),
        ("SELECT subject, 'yes' AS fails FROM subjects", "column fails is VARCHAR, not BOOLEAN"),
        ("SELECT subject FROM subjects", "returns no column fails"),
        ("SELECT true AS fails FROM subjects", "returns no column subject"),
        ("SELECT subject, true AS fails, 'high' AS severity FROM subjects", "severity 'high', which the header lacks"),
        ("SELECT subject, nothing AS fails FROM subjects", "the query fails: Binder Error"),
        ("SELECT subject, error('x') AS fails FROM subjects", "the query fails"),
        ("SELECT subject, true AS fails FROM raw.functions", "the query fails"),
        ("WITH gone AS (DELETE FROM subjects RETURNING *) SELECT subject, true AS fails FROM gone", "the query fails"),
    ],
)
def test_a_broken_rule_is_one_sentence_and_never_a_pass(query, message):
    with pytest.raises(UsageError, match=message) as caught:
        verdicts(rule(query), run(WORLD))
    assert str(caught.value).startswith("mine.sql: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "read_csv('/etc/passwd')",
        "read_text('/etc/passwd')",
        "read_blob('*')",
        "glob('/*')",
        "'/etc/passwd'",
        "read_parquet('s3://bucket/x')",
        "sniff_csv('/etc/passwd')",
    ],
)
def test_a_rule_reads_no_file(source):
    query = f"SELECT subject, (SELECT count(*) FROM {source}) > 0 AS fails FROM subjects"  # noqa: S608 - hostile on purpose
    with pytest.raises(UsageError, match=r"mine.sql: the query fails: \w+ Error"):
        verdicts(rule(query), run(WORLD))


def test_a_rule_that_takes_too_long_is_ended():
    slow = rule(
        "SELECT subject, (SELECT max(a.range * b.range) FROM range(10000000) a, range(10000000) b) > 0 AS fails "
        "FROM subjects"
    )
    with pytest.raises(UsageError, match=r"took longer than --rule-timeout \(0.2 s\)"):
        verdicts(slow, run(WORLD), rule_timeout=0.2)


def test_a_broken_rule_ends_the_queries_of_the_others():
    slow = rule(
        "SELECT subject, (SELECT max(a.range * b.range) FROM range(10000000) a, range(10000000) b) > 0 AS fails "
        "FROM subjects",
        id='"MINE002"',
    )
    broken = rule("SELECT subject, nothing AS fails FROM subjects")
    with pytest.raises(UsageError, match=r"mine.sql: the query fails: Binder Error"):
        review(run(WORLD), {broken.id: broken, slow.id: slow}, rule_timeout=3600)


def test_a_parameter_of_the_condition_alone_is_bound():
    mine = rule(
        "SELECT subject, true AS fails FROM subjects",
        applies='"retries >= $least"',
        **{"parameters.least": '{ default = 2, meaning = "m" }'},
    )
    assert verdicts(mine, run({"a": config(retries=2), "b": config(retries=1)})) == {"a:latest": "fail"}


def test_parameters_are_bound_and_checked():
    mine = rule(
        "SELECT subject, retries >= $most AS fails FROM subjects",
        **{"parameters.most": '{ default = 5, meaning = "m" }'},
    )
    assert verdicts(mine, run({"a": config(retries=3)})) == {"a:latest": "pass"}
    assert verdicts(mine, run({"a": config(retries=3)}), parameters={"MINE001": {"most": 3}}) == {"a:latest": "fail"}
    with pytest.raises(UsageError, match="has no parameter 'least'; its parameters: most"):
        verdicts(mine, run(WORLD), parameters={"MINE001": {"least": 3}})
    for value in ("3", True, [3]):
        with pytest.raises(UsageError, match=r"most is .*; it must be a number"):
            verdicts(mine, run(WORLD), parameters={"MINE001": {"most": value}})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_parameter_is_finite(value):
    mine = rule(
        "SELECT subject, retries > $most AS fails FROM subjects", **{"parameters.most": '{default=5,meaning="m"}'}
    )
    with pytest.raises(UsageError, match="it must be a number"):
        verdicts(mine, run(WORLD), parameters={"MINE001": {"most": value}})


@pytest.mark.parametrize("value", ["cn-north-4", [7], 5])
def test_a_list_is_one_of_texts(value):
    with pytest.raises(UsageError, match="it must be a list of texts"):
        verdicts("FGA403", run(WORLD), parameters={"FGA403": {"allowed_regions": value}})


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63)])
def test_the_largest_numbers_of_the_cloud_end_no_review(number):
    cells = {"timeout": number, "memory_size": number, "fail_count": number, "concurrency": number}
    world = {
        "f": config(call("g"), call("g"), retries=number, age=number),
        "g": config(obs(obs_expires_days=number), retries=number, age=number),
    }
    with review(run(world, facts={"f:latest": cells, "g:latest": {**cells, "timeout": 3}})) as done:
        counts = {row["rule"]: row for row in done.summary.to_pylist()}
        assert all(row["subjects"] == sum(row[v] for v in VERDICTS) for row in counts.values())
        assert [counts[name]["unknown"] for name in ("FGA105", "FGA303", "FGA304")] == [0, 0, 0]
        assert done.exposure.num_rows == done.envelope.num_rows == 2
        assert done.findings.num_rows


def test_assumed_defaults_are_values_of_urns_without_configuration():
    defaults = AssumedDefaults(retries=0, age_s=60, status_log=False)
    world = {"n": "not_configured"}
    assert verdicts("FGA104", run(world), defaults=defaults) == {"n:latest": "fail"}
    assert verdicts("FGA106", run(world), defaults=defaults) == {"n:latest": "fail"}
    assert verdicts("FGA111", run(world), defaults=defaults) == {"n:latest": "fail"}


def test_findings_are_sorted_and_identified():
    with review(run(WORLD)) as done:
        rows = done.findings.to_pylist()
    keys = [(SEVERITIES.index(row["severity"]), row["rule"], row["subject"], row["event"] or "") for row in rows]
    assert keys == sorted(keys)
    first = next(row for row in rows if row["rule"] == "FGA101" and row["verdict"] == "fail")
    assert first["finding_id"] == hashlib.sha256(f"FGA101\n{urn('a:latest')}\n".encode()).hexdigest()[:16]
    assert len({row["finding_id"] for row in rows}) == len(rows)
    assert (first["region"], first["project_id"], first["package"], first["function_name"], first["qualifier"]) == (
        "cn-north-4",
        "p1",
        "default",
        "a",
        "latest",
    )


HOSTILE = [
    "'; DROP TABLE subjects; --",
    "\\",
    '"',
    "$name",
    "{}",
    "%s",
    "\N{RIGHT-TO-LEFT OVERRIDE}",
    "函数",
    "a'||'b",
    "<script>",
]


@given(
    names=st.lists(st.sampled_from(HOSTILE), unique=True, min_size=1, max_size=4),
    params=st.lists(st.text(max_size=20), min_size=1, max_size=3),
)
@settings(max_examples=15, deadline=None)
def test_hostile_names_and_values_are_data(names, params):
    world = {
        name: config(call(urn(name)), smn(params[0]), extra=params[-1], param=None)
        if index % 2
        else config(obs(params[0]))
        for index, name in enumerate(names)
    }
    for cells in world.values():
        cells.pop("param", None)
    with review(run(world)) as done:
        (row,) = [row for row in done.summary.to_pylist() if row["rule"] == "FGA101"]
        assert row["subjects"] == len(names)
        assert {row["function_name"] for row in done.findings.to_pylist() if row["rule"] == "FGA505"} == set()


def small_worlds(prefix):
    # Functions that call only each other: many fit one run, so that one review judges them all.
    name = prefix.__add__
    failures = st.sampled_from([obs(), smn(), call(name("a")), call(name("b:v9")), call(name("a:!p")), unreadable()])
    successes = st.sampled_from([obs(), call(name("c:v2")), call(name("d")), call(name("x")), unreadable("OBS")])
    configs = st.builds(
        config,
        on_failure=st.none() | failures,
        on_success=st.none() | successes,
        retries=st.none() | st.integers(0, 9),
        age=st.none() | st.sampled_from([0, 30, 3600, 86_400]),
        log=st.none() | st.booleans(),
    )
    statuses = st.sampled_from(["not_configured", "failed", "not_attempted", "not_found"])
    names = st.sampled_from(["a", "a:v1", "a:!p", "b", "b:latest", "c:v2", "d"])
    return st.dictionaries(names.map(name), statuses | configs)


def merged(parts):
    return {name: value for part in parts for name, value in part.items()}


@given(
    st.tuples(*(small_worlds(f"{letter}-") for letter in "ABCDEFGH")).map(merged),
    st.none() | st.sampled_from([(), ("versions",), ("versions", "aliases")]),
    st.none()
    | st.dictionaries(
        st.sampled_from(["A-a:latest", "B-a:v1", "C-d:latest"]), st.just({"timeout": 9, "fail_count": 1})
    ),
)
@settings(max_examples=5, deadline=None)
def test_verdicts_of_every_rule_add_up_and_unknown_urns_never_pass(world, listed, facts):
    aliases = {f"{letter}-a:!p": "v1" for letter in "AC"} if listed and "aliases" in listed else None
    with review(run(world, facts=facts, aliases=aliases, listed=listed), keep_passes=True) as done:
        for row in done.summary.to_pylist():
            assert row["subjects"] == sum(row[name] for name in ("pass", "fail", "unknown", "not_applicable")), row
        unknown = {
            urn(name if ":" in name else f"{name}:latest")
            for name, given in world.items()
            if given in ("failed", "not_attempted")
        }
        known = {
            urn(name if ":" in name else f"{name}:latest")
            for name, given in world.items()
            if isinstance(given, dict) or given == "not_configured"
        }
        for row in done.findings.to_pylist():
            if row["subject"] in unknown - known:
                assert (row["verdict"], row["why_unknown"] is None) == ("unknown", False), row
        missing = {"FGA103", "FGA105", "FGA110", "FGA304", "FGA401", "FGA404"} if facts is None else set()
        assert not any(
            row["rule"] in missing and row["verdict"] in ("pass", "fail") for row in done.findings.to_pylist()
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("reviewed") / "run"
    with Emulator(GeneratedCloud(20)).in_thread() as server:
        list_path = path.with_name("urns.txt")
        list_path.write_text("".join(f"{name}\n" for name in server.urns()))
        done = call_cli(
            "export", list_path, "--endpoint", server.url, "--max-per-second", "0", "--output", path, cwd=path.parent
        )
    assert done.returncode == 0, done.stderr
    return path


def of_user(folder, query, **header):
    mine = rule(query, **header)
    return review(run_tables(open_run(folder)), {**RULES, mine.id: mine}, user_rules=frozenset({mine.id}))


def test_rules_of_a_user_run_in_a_process_and_give_the_same_verdicts(folder):
    builtin = RULES["FGA101"]
    with of_user(folder, builtin.sql, applies="\"status = 'configured'\"") as done:
        by_rule = {row["rule"]: row for row in done.summary.to_pylist()}
        names = ("pass", "fail", "unknown", "not_applicable", "subjects")
        assert [by_rule["MINE001"][name] for name in names] == [by_rule["FGA101"][name] for name in names]
        found = {name: [] for name in ("MINE001", "FGA101")}
        for row in done.findings.to_pylist():
            if row["rule"] in found:
                found[row["rule"]].append((row["subject"], row["verdict"], row["evidence"]))
        assert found["MINE001"] == found["FGA101"] != []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "SELECT subject, length(repeat('x', 60000000000)) > 0 AS fails FROM subjects",
            "memory|too large|the query fails",
        ),
        ("SELECT subject, nothing AS fails FROM subjects", "mine.sql: the query fails"),
        ("SELECT subject, true AS fails FROM read_text('/etc/passwd')", "mine.sql: the query fails"),
        ("SELECT subject, true AS fails, {'x': 'nan'::DOUBLE} AS evidence FROM subjects", "evidence .* is no JSON"),
        (
            "SELECT subject, true AS fails, repeat('x', 20000) AS target FROM subjects",
            "target has 20,000 characters; at most 10,000 are kept",
        ),
        (
            "SELECT subject, true AS fails, (repeat('[', 5000) || repeat(']', 5000))::JSON AS evidence FROM subjects",
            "evidence .* is no JSON",
        ),
    ],
)
def test_hostile_rules_of_a_user_are_one_sentence(folder, query, message):
    before = {path: path.read_bytes() for path in Path(folder).iterdir()}
    with pytest.raises(UsageError, match=message):
        of_user(folder, query)
    assert {path: path.read_bytes() for path in Path(folder).iterdir()} == before


def test_rules_of_a_user_run_without_a_limit_of_memory_where_the_system_has_none(folder, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['resource'] = None\n")
    (tmp_path / "own").mkdir()
    text = '/*\nid = "OWN001"\nname = "n"\ntitle = "t"\narea = "cost"\nseverity = "low"\nsubject = "urn"\n'
    text += 'why = "w"\nfix = "f"\nsource = "s"\n*/\nSELECT subject, true AS fails FROM subjects WHERE is_known'
    (tmp_path / "own" / "OWN001.sql").write_text(text)
    request = Request(rules=tmp_path / "own", only=("OWN001",))
    with review_run(folder, request) as limited:
        assert limited.warnings == ()
        failures = limited.count("fail")
        assert failures
    monkeypatch.syspath_prepend(tmp_path)
    with review_run(folder, request) as reviewed:
        assert reviewed.warnings == ("own rules ran without a limit of their memory: this system has none",)
        assert reviewed.count("fail") == failures


def test_files_of_the_working_folder_are_no_modules_of_the_process_of_rules(folder, tmp_path, monkeypatch):
    (tmp_path / "msgspec.py").write_text("raise SystemExit(7)\n")
    monkeypatch.chdir(tmp_path)
    with of_user(folder, "SELECT subject, true AS fails FROM subjects") as done:
        assert done.is_limited
