"""Facts of a listing by an independent server: what is kept, what never is, and lists that change or repeat."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from support.list_server import BASE, PROJECT, ListServer
from support.runs import TOKEN, rows, run_cli, wait_for

from inventory.emulator import SECRET_PREFIX, Emulator, GeneratedCloud
from inventory.tables.schema import FUNCTION_FACTS

SECRET = "hunter2-hidden"
DROPPED = (
    *(
        "func_id",
        "func_urn_alias",
        "handler",
        "description",
        "user_data",
        "encrypted_user_data",
        "user_data_encrypt_kms_key_id",
    ),
    *("code_url", "code_filename", "extend_config", "initializer_handler", "pre_stop_handler", "pre_stop_timeout"),
    *("custom_image", "mount_config", "func_vpc", "depend_list", "depend_version_list", "dependencies", "domain_names"),
    *("network_controller", "ephemeral_storage", "enable_dynamic_memory", "version_description", "a_new_field"),
    *(
        "USER_DATA",
        "Runtime",
        "runtime ",
        "memory_size2",
        "allow_ephemeral_storage",
        "apig_route_enable",
        "heartbeat_handler",
    ),
)
KEPT = {
    "runtime": "Python3.9",
    "timeout": 30,
    "memory_size": 256,
    "cpu": 300,
    "gpu_memory": 0,
    "xrole": "agency",
    "app_xrole": "app-agency",
    "fail_count": 7,
    "domain_id": "d" * 32,
    "namespace": PROJECT,
    "project_name": "cn-north-4",
    "enterprise_project_id": "0",
    "package": "default",
    "func_vpc_id": "vpc",
    "log_group_id": "group",
    "log_stream_id": "stream",
    "type": "v2",
    "is_bridge_function": False,
    "long_time": True,
    "initializer_timeout": 3,
    "last_modified": "2026-01-02T03:04:05+08:00",
    "digest": "abc",
    "code_size": 2**40,
    "code_type": "zip",
    "image_name": "image",
    "resource_id": "function:x",
}


def item(name, **fields):
    secrets = {field: f"{SECRET}-{field}" for field in DROPPED}
    nested = {"func_code": {"file": SECRET, "link": f"https://x/{SECRET}"}, "tags": [{"value": SECRET}]}
    strategy = {"concurrency": -1, "concurrent_num": 1, "hidden": SECRET, "nested": {"concurrency": SECRET}}
    return {
        "func_urn": f"{BASE}{name}",
        "func_name": name,
        "version": "latest",
        **secrets,
        **nested,
        "strategy_config": strategy,
        **KEPT,
        **fields,
    }


def alias(name, **fields):
    return {"name": name, "version": "v1", "description": SECRET, "alias_urn": SECRET, "other": [SECRET], **fields}


def server_of(*names):
    return ListServer(
        [item(name) for name in names],
        {f"{BASE}{name}": [item(name), item(name, version="v1")] for name in names},
        {f"{BASE}{name}": [alias("prod")] for name in names},
        {"page_note": SECRET, "page_info": {"user_data": SECRET}},
    )


def options(url, *places):
    return [*places, "--region", "cn-north-4", "--project-id", PROJECT, "--endpoint", url, "--iam-endpoint", url]


def export_all(url, run, *more):
    return options(url, "export", "--all", "--versions", "--aliases", "--output", run, "--max-per-second", "0", *more)


BOTH = ("--format", "parquet", "--format", "csv")


def files_of(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def assert_absent(secret, folder, done):
    files = files_of(folder)
    assert {path.name for path in files} >= {"ledger.sqlite"}
    for path in files:
        assert secret.encode() not in path.read_bytes(), path
    assert secret not in done.stdout + done.stderr
    for path in folder.rglob("*.parquet"):  # its pages are compressed
        table = path.parent.name if path.name.startswith("part") else path.stem
        if path.parent.name in (table, "run"):
            assert secret not in repr(rows(path.parent, path.stem) if path.stem == table else path.read_bytes())


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_of_a_list_reaches_a_file_or_a_log(tmp_path, log_format):
    debug = {"PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1"}
    with server_of("a", "b").serving() as url:
        arguments = export_all(url, tmp_path / "run", *BOTH, "--log-format", log_format)
        done = run_cli(*arguments, **debug)
        assert done.returncode == 0, done.stderr
        assert_absent(SECRET, tmp_path, done)
        for form in ("txt", "jsonl", "parquet"):
            listed = run_cli(
                *options(url, "discover", "--versions", "--aliases", "--output", tmp_path / f"list.{form}"), **debug
            )
            assert listed.returncode == 0, listed.stderr
            assert_absent(SECRET, tmp_path, listed)
    facts = rows(tmp_path / "run", "function_facts")
    assert [row["function_urn"].removeprefix(BASE) for row in facts] == ["a:latest", "a:v1", "b:latest", "b:v1"]
    assert {row["concurrency"] for row in facts} == {-1}
    assert all(row["extra"] is None for row in facts)
    expected = {name: value for name, value in KEPT.items() if name != "last_modified"}
    assert all({name: row[name] for name in expected} == expected for row in facts)
    assert {row["last_modified_raw"] for row in facts} == {KEPT["last_modified"]}


def test_no_secret_of_the_emulator_reaches_a_file_or_a_log(tmp_path):
    cloud = GeneratedCloud(40, projects=[PROJECT])
    with Emulator(cloud, token=TOKEN).in_thread() as server:
        done = run_cli(*export_all(server.url, tmp_path / "run", *BOTH, "--rows-per-file", "7"))
        assert done.returncode in (0, 1), done.stderr
        listed = run_cli(
            *options(server.url, "discover", "--versions", "--aliases", "--output", tmp_path / "list.jsonl")
        )
    assert_absent(SECRET_PREFIX, tmp_path, done)
    assert_absent(SECRET_PREFIX, tmp_path, listed)


def test_no_secret_is_in_the_log_of_a_killed_run_which_does_not_list_again(tmp_path):
    lists = server_of("a", "b")
    lists.is_open.clear()
    with lists.serving() as url:
        command = [sys.executable, "-m", "inventory", *map(str, export_all(url, tmp_path / "run"))]
        with subprocess.Popen(command, env={**os.environ, "HW_AUTH_TOKEN": TOKEN}, stderr=subprocess.PIPE) as process:
            wait_for(lambda: any("async-invoke" in path for path in lists.paths))
            process.kill()
            process.wait()
        assert (tmp_path / "run" / "ledger.sqlite-wal").stat().st_size > 0
        for path in files_of(tmp_path):
            assert SECRET.encode() not in path.read_bytes(), path
        lists.is_open.set()
        lists.functions, before = [], len(lists.paths)
        done = run_cli(
            "export",
            "--resume",
            "--output",
            tmp_path / "run",
            "--max-per-second",
            "0",
            "--endpoint",
            url,
            "--iam-endpoint",
            url,
            "--region",
            "cn-north-4",
            "--project-id",
            PROJECT,
        )
        assert done.returncode == 0, done.stderr
        again = lists.paths[before:]
    assert again
    assert not any(path.endswith(("/functions", "/versions", "/aliases")) for path in again)
    assert len(rows(tmp_path / "run", "function_facts")) == 4
    assert len(rows(tmp_path / "run", "aliases")) == 2


ODD = {
    "text for a number": ({"timeout": "30"}, {"timeout": 30}, {"timeout": "30"}),
    "no number": ({"memory_size": "big"}, {"memory_size": None}, {"memory_size": "big"}),
    "a fraction": ({"cpu": 0.5}, {"cpu": None}, {"cpu": 0.5}),
    "beyond 64 bits": ({"code_size": 2**70}, {"code_size": None}, {"code_size": 2**70}),
    "number for a text": ({"runtime": 3}, {"runtime": "3"}, {"runtime": 3}),
    "text for a boolean": ({"long_time": "true"}, {"long_time": True}, {"long_time": "true"}),
    "null": ({"fail_count": None, "xrole": None}, {"fail_count": None, "xrole": None}, None),
    "an empty text": ({"xrole": ""}, {"xrole": ""}, None),
    "a list": ({"domain_id": [1, 2]}, {"domain_id": "[1,2]"}, {"domain_id": [1, 2]}),
    "no object": ({"strategy_config": 5}, {"concurrency": None, "concurrent_num": None}, None),
    "an odd part": ({"strategy_config": {"concurrency": "9"}}, {"concurrency": 9}, {"concurrency": "9"}),
    "a time without a zone": ({"last_modified": "2026-01-02 03:04"}, {"last_modified": None}, None),
    "no text": ({"last_modified": 5}, {"last_modified": None, "last_modified_raw": "5"}, {"last_modified": 5}),
    "a lone surrogate": ({"runtime": "\ud800"}, {}, None),
    "a formula and a null character": ({"runtime": "=cmd()\0"}, {"runtime": "=cmd()\0"}, None),
}


@pytest.mark.parametrize("case", ODD)
def test_values_of_another_type_are_kept_softly(tmp_path, case):
    fields, expected, extra = ODD[case]
    with ListServer([item("a", **fields)]).serving() as url:
        done = run_cli(*export_all(url, tmp_path / "run", *BOTH))
    assert done.returncode == 0, done.stderr
    (row,) = rows(tmp_path / "run", "function_facts")
    assert {name: row[name] for name in expected} == expected
    assert (None if row["extra"] is None else json.loads(row["extra"])) == extra
    assert rows(tmp_path / "run", "function_facts", "csv") == [row]


def test_missing_fields_are_null(tmp_path):
    with ListServer([{"func_urn": f"{BASE}a"}]).serving() as url:
        assert run_cli(*export_all(url, tmp_path / "run")).returncode == 0
    (row,) = rows(tmp_path / "run", "function_facts")
    given = {"function_urn", "region", "project_id", "package", "function_name", "qualifier"}
    assert {column.name for column in FUNCTION_FACTS.columns if row[column.name] is not None} == given


@pytest.mark.parametrize("name", ["v 1", "v:1", "!v1", "ü", "v1\n", "x" * 300, "LATEST", "1.0"])
def test_a_version_or_alias_with_any_name_breaks_nothing(tmp_path, name):
    urn = f"{BASE}a"
    lists = ListServer([item("a")], {urn: [item("a", version=name)]}, {urn: [alias(name)]})
    with lists.serving() as url:
        done = run_cli(*export_all(url, tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    listed = {row["function_urn"] for row in rows(tmp_path / "run")}
    for table in ("function_facts", "aliases"):
        assert {row["function_urn"] for row in rows(tmp_path / "run", table)} <= listed


def test_of_repeated_items_the_last_one_is_kept_and_latest_is_that_of_the_functions(tmp_path):
    functions = [item("a", timeout=1), item("b"), item("a", timeout=2)]
    versions = {f"{BASE}a": [item("a", timeout=3), *(item("a", version="v1", timeout=n) for n in (4, 5))]}
    aliases = {f"{BASE}a": [alias("prod", version=version) for version in ("v1", "v2")]}
    with ListServer(functions, versions, aliases).serving() as url:
        done = run_cli(*export_all(url, tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    facts = {row["function_urn"].removeprefix(BASE): row["timeout"] for row in rows(tmp_path / "run", "function_facts")}
    assert facts == {"a:latest": 2, "a:v1": 5, "b:latest": 30}
    assert [row["version"] for row in rows(tmp_path / "run", "aliases")] == ["v2"]


def test_a_list_that_changes_while_it_is_read_has_facts_for_each_function(tmp_path):
    lists = ListServer([item(f"f{number:04}") for number in range(5000)])
    moved = iter(range(5000, 6000))

    def change(offset):
        if offset and len(lists.paths) < 20:
            del lists.functions[: offset // 40 % 7]
            lists.functions[3:3] = [item(f"f{next(moved):04}", timeout=99) for _ in range(4)]

    lists.before_page = change
    with lists.serving() as url:
        done = run_cli(*options(url, "export", "--all", "--output", tmp_path / "run", "--max-per-second", "0"))
    assert done.returncode == 0, done.stderr
    urns = {row["function_urn"] for row in rows(tmp_path / "run")}
    facts = {row["function_urn"]: row["timeout"] for row in rows(tmp_path / "run", "function_facts")}
    assert set(facts) == urns
    assert {entry["func_urn"] + ":latest" for entry in lists.functions} <= urns
    assert {urn for urn, timeout in facts.items() if timeout == 99} == {urn for urn in urns if urn[-11:-7] >= "5000"}


@pytest.mark.parametrize("broken", ["an item without a URN", "a URN of nothing", "no list", "an item that is a text"])
def test_a_broken_list_is_one_sentence_without_its_content(tmp_path, broken):
    wrong = {
        "an item without a URN": [item("a", func_urn=None)],
        "a URN of nothing": [item("a", func_urn="x")],
        "no list": {"functions": SECRET},
        "an item that is a text": [SECRET],
    }[broken]
    lists = ListServer([])
    lists.answer = lambda _target: (200, {"functions": wrong, "count": 1, "next_marker": 1})
    with lists.serving() as url:
        done = run_cli(*export_all(url, tmp_path / "run"))
    assert done.returncode not in (0, 70)
    assert SECRET not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
