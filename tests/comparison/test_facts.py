"""Comparison of what the lists of two runs say: function_facts and aliases."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from support.list_server import BASE, PROJECT, ListServer
from support.runs import call_cli, run_cli

import inventory
from inventory.errors import UsageError


def item(name, **fields):
    return {"func_urn": f"{BASE}{name}", "runtime": "Python3.9", "timeout": 3, "fail_count": 1, **fields}


@pytest.fixture
def run(tmp_path):
    def go(name, functions, aliases=None, form="parquet"):
        listed = {} if aliases is None else {f"{BASE}a": aliases}
        places = ["--region", "cn-north-4", "--project-id", PROJECT, "--output", tmp_path / name, "--format", form]
        more = [] if aliases is None else ["--aliases"]
        with ListServer(functions, {}, listed).serving() as url:
            done = run_cli("export", "--all", *more, *places, "--endpoint", url, "--iam-endpoint", url)
        assert done.returncode == 0, done.stderr
        return tmp_path / name

    return go


def found(old, new, **options):
    table = inventory.diff(old, new, facts=True, **options).table().to_pylist()
    return [(row["function_urn"].removeprefix(BASE), row["field"], row["before"], row["after"]) for row in table]


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_fields_that_differ_are_rows_and_volatile_ones_only_by_name(run, form):
    when = {"last_modified": "2026-01-01T00:00:00Z"}
    old = run("old", [item("a", **when), item("b"), item("c", fail_count="7"), item("gone")], form=form)
    new = run(
        "new",
        [
            item(
                "a", timeout=9, xrole="x", fail_count=5, digest="d", code_size=3, last_modified="2026-02-01T00:00:00Z"
            ),
            item("b", fail_count=2),
            item("c", fail_count="8"),
            item("more"),
        ],
        form=form,
    )
    stable = [
        ("a:latest", "function_facts.timeout", "3", "9"),
        ("a:latest", "function_facts.xrole", None, "x"),
    ]
    facts = [row for row in found(old, new) if row[1]]
    assert facts == stable
    assert [row for row in found(old, new, fields=["fail_count"]) if row[1]] == sorted(
        [
            *stable,
            ("a:latest", "function_facts.fail_count", "1", "5"),
            ("b:latest", "function_facts.fail_count", "1", "2"),
            ("c:latest", "function_facts.extra", '{"fail_count":"7"}', '{"fail_count":"8"}'),
            ("c:latest", "function_facts.fail_count", "7", "8"),
        ],
        key=lambda row: (row[0], list(FIELDS).index(row[1].split(".")[1])),
    )
    named = {row[1] for row in found(old, new, fields=["digest", "code_size", "last_modified"])}
    assert named >= {f"function_facts.{name}" for name in ("digest", "code_size", "last_modified")}
    result = inventory.diff(old, new, facts=True)
    assert (result.counts["facts_changed"], result.counts["unchanged"], result.changed) == (1, 3, True)
    assert result.fields == {"function_facts.timeout": 1, "function_facts.xrole": 1}
    assert "facts_changed" not in inventory.diff(old, new).counts


FIELDS = ("timeout", "xrole", "fail_count", "extra")


def test_the_same_moment_and_the_same_json_are_no_change(run):
    alias, weights = {"name": "p", "version": "v1"}, {"additional_version_weights": {"v2": 5, "v3": 1}}
    old = run("old", [item("a", last_modified="2026-01-01T08:00:00+08:00")], [alias | weights])
    turned = {"additional_version_weights": {"v3": 1, "v2": 5}}
    new = run("new", [item("a", last_modified="2026-01-01T00:00:00Z")], [alias | turned])
    result = inventory.diff(old, new, facts=True, fields=["last_modified"])
    assert (result.counts["facts_changed"], result.changed) == (0, False)


def test_an_alias_that_points_elsewhere_is_a_row(run):
    old = run("old", [item("a")], [{"name": "p", "version": "v1", "additional_version_weights": {"v2": 5}}])
    new = run("new", [item("a")], [{"name": "p", "version": "v2"}])
    assert found(old, new) == [
        ("a:!p", "aliases.version", "v1", "v2"),
        ("a:!p", "aliases.additional_version_weights", '{"v2":5}', None),
    ]


def test_a_table_that_one_run_lacks_is_reported_once(run):
    old, new = run("old", [item("a")]), run("new", [item("a", timeout=9)], [{"name": "p", "version": "v1"}])
    result = inventory.diff(old, new, facts=True)
    assert [text for text in result.warnings if "aliases" in text] == ["aliases is not compared: OLD has no such table"]
    assert result.fields == {"function_facts.timeout": 1}


def test_the_command_shows_facts_in_each_format(run, tmp_path):
    old, new = run("old", [item("a")]), run("new", [item("a", timeout=9)])
    text = call_cli("diff", old, new, "--facts", "--exit-code", cwd=tmp_path)
    assert (text.returncode, "function_facts.timeout: 3 -> 9" in text.stdout) == (1, True), text.stdout
    assert "0 of 1 URN changed; facts of 1 URN changed" in text.stderr
    assert call_cli("diff", old, new, "--exit-code", cwd=tmp_path).returncode == 0
    chosen = call_cli("diff", old, new, "--facts", "--kind", "facts_changed", cwd=tmp_path)
    assert "function_facts.timeout" in chosen.stdout
    document = json.loads(call_cli("diff", old, new, "--facts", "--format", "json", cwd=tmp_path).stdout)
    assert (document["counts"]["facts_changed"], document["changes"][0]["kind"]) == (1, "facts_changed")
    for form in ("csv", "markdown"):
        shown = call_cli("diff", old, new, "--facts", "--format", form, cwd=tmp_path).stdout
        assert "function_facts.timeout" in shown
        assert "facts_changed" in shown
    path = tmp_path / "changes.parquet"
    assert call_cli("diff", old, new, "--facts", "--format", "parquet", "--output", path, cwd=tmp_path).returncode == 0
    assert pq.read_table(path)["field"].to_pylist() == ["function_facts.timeout"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--fields", "digest"), "--fields needs --facts"),
        (("--facts", "--fields", "nothing"), "there is no field 'nothing'"),
        (("--kind", "facts_changed"), "is no kind of change"),
    ],
)
def test_wrong_options_are_one_sentence(run, tmp_path, options, message):
    old = run("old", [item("a")])
    done = call_cli("diff", old, old, *options, cwd=tmp_path)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    with pytest.raises(UsageError):
        inventory.diff(old, old, fields=["digest"])
