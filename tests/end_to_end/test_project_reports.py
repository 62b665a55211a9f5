"""``export --all --with``: tables of reports about projects."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.runs import TOKEN, call_cli, manifest_of, rows

import inventory
from inventory.cloud.projects import ProjectRef
from inventory.emulator import Emulator, Fault, GeneratedCloud, Reply
from inventory.errors import SettingsError, UsageError
from inventory.ledger.schema import ListedTable
from inventory.pipeline import export as pipeline
from inventory.pipeline import project_reports
from inventory.pipeline.discover import Discovery
from inventory.pipeline.rebuild import rebuild_tables
from inventory.progress import ProgressObserver
from inventory.runs.output import Output
from inventory.settings import REPORT_NAMES, ExportSettings

P, Q = "0" * 32, "1" * 32
NORTH, SOUTH = "cn-north-4", "ap-southeast-1"
NO_FAILURES = {"failing_functions": [], "reserved_instances": [], "quotas": []}
TABLES = {"failures": "failing_functions", "reserved": "reserved_instances", "quotas": "quotas"}
PATHS = {"failures": "function/report", "reserved": "functions/reservedinstanceconfigs", "quotas": "quotas"}
F = f"urn:fss:{NORTH}:{P}:function:default:f"


async def export(server, output, *, reports=REPORT_NAMES, places=((NORTH, P),), resume=False, **settings):
    return await pipeline.export(
        () if resume else Discovery([ProjectRef(*place) for place in places], reports=reports),
        Output(output),
        ExportSettings(**{"endpoint": server.url, "iam_endpoint": server.url, "max_per_second": 0.0, **settings}),
        mode="resume" if resume else "new",
        environment={"HW_AUTH_TOKEN": TOKEN},
        observer=ProgressObserver(),
    )


def failures(folder):
    return manifest_of(folder)["input"]["listed"]["failed_reports"]


def report_bytes(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and any(name in str(path.relative_to(folder)) for name in TABLES.values())
    }


def reply(document, status=200):
    return Reply(status, json.dumps(document).encode())


@pytest.mark.parametrize("rows_per_file", [0, 3])
async def test_reports_are_tables_with_the_same_bytes(tmp_path, rows_per_file):
    options = {"format": ("parquet", "csv"), "rows_per_file": rows_per_file, "places": ((NORTH, P), (SOUTH, Q))}
    async with Emulator(GeneratedCloud(80, regions=(NORTH, SOUTH), projects=[P, Q])) as server:
        result = await export(server, tmp_path / "one", **options, max_workers=1)
        await export(server, tmp_path / "two", **options, max_workers=64)
        assert result.manifest["requests"]["total"] * 2 == len(server.requests)
    assert result.exit_code == 0
    assert report_bytes(tmp_path / "one") == report_bytes(tmp_path / "two")
    assert failures(tmp_path / "one") == NO_FAILURES
    snapshot = inventory.open_snapshot(tmp_path / "one")
    listed = set(snapshot.functions.function_urn)
    assert set(snapshot.failing_functions.function_urn) <= listed
    facts = snapshot.function_facts.set_index("function_urn").fail_count
    reported = snapshot.failing_functions.set_index("function_urn").fail_count
    assert len(reported)
    assert (reported == facts[reported.index]).all()
    assert set(snapshot.quotas.project_id) == {P, Q}
    assert snapshot.quotas.query("type == 'fgs_func_num'").used.sum() == len(listed) == 80
    assert snapshot.reserved_instances.min_count.min() >= 1


async def test_only_the_reports_that_are_asked_for_are_called_and_exported(tmp_path):
    async with Emulator(GeneratedCloud(5, projects=[P])) as server:
        result = await export(server, tmp_path / "run", reports=("quotas",))
        calls = result.manifest["requests"]["by_operation"]
    assert calls == {"ListFunctions": 1, "ListQuotas": 1, "ShowFunctionAsyncInvokeConfig": 5}
    assert failures(tmp_path / "run") == {"quotas": []}
    with pytest.raises(UsageError, match="only runs of export --all --with failures"):
        inventory.open_snapshot(tmp_path / "run").failing_functions  # noqa: B018 - a property


async def test_reports_survive_a_rebuild_dropped_bodies_and_a_resumed_run_without_calls(tmp_path):
    folder = tmp_path / "run"
    refused = Reply(400, b'{"error_code":"FSS.0400","error_msg":"no"}')
    async with Emulator(GeneratedCloud(20, projects=[P])) as server:
        server.plan({"quotas": [refused]})
        await export(server, folder)
        before, listed = report_bytes(folder), manifest_of(folder)["input"]["listed"]
        assert [failure["http_status"] for failure in listed["failed_reports"]["quotas"]] == [400]
        rebuild_tables(folder, {}, ProgressObserver())
        assert report_bytes(folder) == before
        server.clear()
        (folder / "manifest.json").unlink()
        await export(server, folder, resume=True, drop_bodies=True)
        assert not server.requests
    assert report_bytes(folder) == before
    assert manifest_of(folder)["input"]["listed"] == listed


FORBIDDEN = Reply(403, b'{"error_code":"FSS.0403","error_msg":"no permission"}')
REFUSALS = {
    "forbidden by the service": (FORBIDDEN, "forbidden", 403),
    "forbidden by the gateway": (Reply(403, b'{"error_code":"APIGW.0302","error_msg":"no"}'), "forbidden", 403),
    "refused": (Reply(401, b'{"error_code":"APIGW.0301","error_msg":"Incorrect IAM"}'), "refused", 401),
    "not found": (Reply(404, b'{"error_code":"FSS.0404","error_msg":"no"}'), "not_found", 404),
    "no such API": (Reply(404, b'{"error_code":"APIGW.0101","error_msg":"no API"}'), "wrong_endpoint", 404),
    "bad request": (Reply(400, b'{"error_code":"FSS.0400","error_msg":"limit"}'), "bad_request", 400),
    "server error": (Reply(500, b'{"error_code":"FSS.0500","error_msg":"oops"}'), "server_error", 500),
    "another form": (Reply(200, b'{"value": []}'), "bad_answer", 200),
    "no JSON": (Reply(200, b"<html>hello</html>"), "bad_answer", 200),
}


@pytest.mark.parametrize("name", REPORT_NAMES)
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
async def test_a_report_that_fails_is_recorded_and_fails_nothing_else(tmp_path, name, refusal):
    answer, kind, status = refusal
    async with Emulator(GeneratedCloud(40, projects=[P])) as server:
        server.plan({PATHS[name]: [answer] * 9})
        result = await export(server, tmp_path / "run", attempts=1)
    assert result.exit_code == 0
    assert result.manifest["counts"]["status"]["failed"] == 0
    failed = failures(tmp_path / "run")
    assert [
        (failure["project"], failure["error_kind"], failure["http_status"]) for failure in failed[TABLES[name]]
    ] == [(f"{NORTH}/{P}", kind, status)]
    assert [failure["message"] for failure in failed[TABLES[name]]] != [""]
    assert rows(tmp_path / "run", TABLES[name]) == []
    others = set(TABLES.values()) - {TABLES[name]}
    assert all(failed[table] == [] for table in others)
    assert all(rows(tmp_path / "run", table) for table in others)


async def test_a_project_without_permission_does_not_hide_another(tmp_path):
    async with Emulator(GeneratedCloud(20, regions=(NORTH, SOUTH), projects=[P, Q])) as server:
        server.plan({"quotas": [FORBIDDEN]})
        await export(server, tmp_path / "run", places=((NORTH, P), (SOUTH, Q)), reports=("quotas",))
    (failure,) = failures(tmp_path / "run")["quotas"]
    failed = failure["project"].split("/")[1]
    assert {row["project_id"] for row in rows(tmp_path / "run", "quotas")} == {P, Q} - {failed}


@pytest.mark.parametrize(
    ("answer", "status"), [(Reply(429, b'{"error_code":"APIGW.0308","error_msg":"slow"}'), 429), (Fault.STALLED, None)]
)
async def test_a_report_without_an_answer_ends(tmp_path, monkeypatch, answer, status):
    monkeypatch.setattr(project_reports, "MAX_SECONDS", 0.3)
    async with Emulator(GeneratedCloud(40, projects=[P])) as server:
        server.plan({"quotas": [answer] * 99})
        result = await export(server, tmp_path / "run", reports=("quotas",))
    assert result.exit_code == 0
    (failure,) = failures(tmp_path / "run")["quotas"]
    assert (failure["error_kind"], failure["http_status"]) == ("timeout", status)


async def test_a_timeout_of_the_call_is_recorded_and_fails_nothing_else(tmp_path):
    async with Emulator(GeneratedCloud(40, projects=[P])) as server:
        server.plan({"quotas": [Fault.STALLED]})
        result = await export(server, tmp_path / "run", timeout=1.0, attempts=1)
    assert result.exit_code == 0
    assert [failure["error_kind"] for failure in failures(tmp_path / "run")["quotas"]] == ["timeout"]
    assert rows(tmp_path / "run", "failing_functions")


async def test_reports_end_with_the_time_of_the_run(tmp_path):
    async with Emulator(GeneratedCloud(3, projects=[P])) as server:
        server.plan({"quotas": [Reply(429, b"{}", {"Retry-After": "60"})] * 99})
        await asyncio.wait_for(export(server, tmp_path / "run", max_time=2.0), 30)
    assert [failure["error_kind"] for failure in failures(tmp_path / "run")["quotas"]] == ["timeout"]


async def test_all_pages_are_read(tmp_path):
    names = [f"{F}{number}" for number in range(5)]

    def page(items, marker):
        instances = [{"function_urn": name, "qualifier_type": "version", "qualifier_name": "latest"} for name in items]
        return reply({"reserved_instances": instances, "page_info": {"next_marker": marker}, "count": len(items)})

    async with Emulator(GeneratedCloud(3, projects=[P])) as server:
        server.plan({PATHS["reserved"]: [page(names[:2], 2), page(names[2:4], 4), page(names[4:], 5), page([], 5)]})
        await export(server, tmp_path / "run", reports=("reserved",))
    assert [row["function_urn"] for row in rows(tmp_path / "run", "reserved_instances")] == [
        f"{n}:latest" for n in names
    ]


async def test_a_list_that_breaks_off_has_no_rows(tmp_path):
    first = reply({"reserved_instances": [{"function_urn": F}], "page_info": {"next_marker": 1}})
    async with Emulator(GeneratedCloud(3, projects=[P])) as server:
        server.plan({PATHS["reserved"]: [first, FORBIDDEN]})
        await export(server, tmp_path / "run", reports=("reserved",))
    assert rows(tmp_path / "run", "reserved_instances") == []
    assert len(failures(tmp_path / "run")["reserved_instances"]) == 1


async def test_a_list_without_an_end_is_given_up(tmp_path):
    pages = [
        reply({"reserved_instances": [{"function_urn": f"{F}{n}"}], "page_info": {"next_marker": n + 1}})
        for n in range(200)
    ]
    async with Emulator(GeneratedCloud(3, projects=[P])) as server:
        server.plan({PATHS["reserved"]: pages})
        await export(server, tmp_path / "run", reports=("reserved",))
    (failure,) = failures(tmp_path / "run")["reserved_instances"]
    assert (failure["error_kind"], failure["message"]) == ("bad_answer", "more than 100 pages")
    assert rows(tmp_path / "run", "reserved_instances") == []


async def test_fields_off_the_whitelist_are_in_no_file(tmp_path, capfd):
    secret = "S3CR3T-of-the-account"
    hidden = {"description": secret, "user_data": {"key": secret}, "env": [secret], "next": secret}
    policy = {"name": secret, "cron": "0 0 8 * * ?", "count": 2, **hidden}
    metric = {"name": secret, "type": "Concurrency", "threshold": 5, "min": {"value": secret}, **hidden}
    tactics = {"cron_configs": [policy, secret], "metric_configs": [metric], **hidden}
    reserved = {"function_urn": F, "min_count": "2", "idle_mode": 1, "tactics_config": tactics, **hidden}
    quota = {"type": "odd \ud800 \t 型\n", "quota": 1.5, "used": None, **hidden}
    async with Emulator(GeneratedCloud(3, projects=[P])) as server:
        server.plan(
            {
                PATHS["failures"]: [reply({"values": [{"key": F, "value": 7, **hidden}], **hidden})],
                PATHS["reserved"]: [reply({"reserved_instances": [reserved], "page_info": {"x": secret}, **hidden})],
                "quotas": [reply({"quotas": {"resources": [quota], **hidden}, **hidden})],
            }
        )
        result = await export(server, tmp_path / "run", format=("parquet", "csv"))
    assert failures(tmp_path / "run") == NO_FAILURES
    assert all(len(rows(tmp_path / "run", table)) == 1 for table in TABLES.values())
    kept = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    assert b"fgs" not in secret.encode()
    assert secret.encode() not in kept
    output = capfd.readouterr()
    assert secret not in output.out + output.err + repr(result)


def test_the_command_prints_one_line_for_a_table_with_missing_rows(tmp_path):
    with Emulator(GeneratedCloud(20, regions=(NORTH, SOUTH), projects=[P, Q])) as server:
        server.plan({"quotas": [Reply(403, b'{"error_code":"FSS.0403","error_msg":"no \\u001b[31m permission"}')] * 2})
        places = ["--region", NORTH, "--project-id", P, "--project-id", Q, "--endpoint", server.url]
        done = call_cli(
            "export", "--all", *places, "--with", "quotas", "--with", "reserved", "--output", "run", cwd=tmp_path
        )
    assert done.returncode == 0
    (line,) = [line for line in done.stderr.splitlines() if "table quotas" in line]
    assert line.startswith(f"inventory: table quotas lacks 2 projects, such as {NORTH}/{P}: forbidden: 403 FSS.0403 no")
    assert "\x1b" not in done.stderr


def test_python_names_the_reports_and_warns(tmp_path):
    with Emulator(GeneratedCloud(5, projects=[P])) as server:
        server.plan({"quotas": [FORBIDDEN]})
        options = {"all": True, "region": NORTH, "project_id": P, "endpoint": server.url}
        token = tmp_path / "token"
        token.write_text(TOKEN)
        with pytest.warns(UserWarning, match="table quotas lacks 1 project"):
            snapshot = inventory.export(
                output=tmp_path / "run",
                include=["quotas", "failures", "quotas"],
                token_file=token,
                check=True,
                **options,
            )
    assert snapshot.quotas.empty
    assert len(snapshot.failing_functions)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"include": "quota"}, SettingsError, "include 'quota' cannot be used; give one of failures, reserved, quotas"),
        ({"include": 7}, SettingsError, "include must be a text or a list of texts, not int"),
        ({"include": "quotas", "all": False}, UsageError, "include needs all=True"),
    ],
)
def test_python_refuses_what_cannot_be_reported(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        inventory.export(output=tmp_path / "run", **{"all": True, "region": NORTH, **options})


def test_a_run_without_reports_has_none_in_its_manifest(tmp_path):
    with Emulator(GeneratedCloud(2, projects=[P])) as server:
        asyncio.run(export(server, tmp_path / "run", reports=()))
    assert failures(tmp_path / "run") == {}
    assert not report_bytes(tmp_path / "run")
    assert {table["name"] for table in manifest_of(tmp_path / "run")["tables"]}.isdisjoint(
        {ListedTable.QUOTAS, ListedTable.FAILING_FUNCTIONS, ListedTable.RESERVED_INSTANCES}
    )
