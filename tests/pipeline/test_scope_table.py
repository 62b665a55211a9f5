"""The table of scopes: what each account was asked and answered, over all sessions of a run."""

from __future__ import annotations

import pytest
from support.clouds import CONFIG, OTHER, P, cloud_of, contents
from support.runs import TOKEN, export, manifest_of, rows

from inventory.cloud.projects import ProjectRef
from inventory.emulator import Emulator, FileCloud, GeneratedCloud, Limit, Reply, Scope
from inventory.errors import ExitCode
from inventory.ledger.writer import Ledger
from inventory.pipeline import export as pipeline
from inventory.pipeline.discover import Discovery
from inventory.pipeline.rebuild import rebuild_tables
from inventory.progress import ProgressObserver
from inventory.runs.output import Output
from inventory.settings import AccountSettings, ExportSettings
from inventory.settings_sources.checks import check_settings

NORTH, SOUTH = P.split(":")[2:4], OTHER.split(":")[2:4]


def scopes_of(folder):
    return {row["region"]: row for row in rows(folder, "scopes")}


@pytest.fixture
def accounts(tmp_path):
    (tmp_path / "good").write_text(TOKEN)
    (tmp_path / "bad").write_text("another-token")
    return (
        AccountSettings("good", token_file=str(tmp_path / "good"), regions=("cn-north-4",)),
        AccountSettings("bad", token_file=str(tmp_path / "bad"), regions=("ap-southeast-1",)),
    )


async def test_the_account_that_failed_is_a_row_with_its_reason(tmp_path, write_list, accounts):
    cloud = FileCloud({f"{P}a:latest": CONFIG, f"{P}b:latest": None, f"{OTHER}c:latest": CONFIG})
    entries = [*cloud.urns(), f"{P}gone:latest"]
    async with Emulator(cloud, token=TOKEN) as server:
        await export(write_list(entries), tmp_path / "run", endpoint=server.url, accounts=accounts, token=None)
    north, south = scopes_of(tmp_path / "run")["cn-north-4"], scopes_of(tmp_path / "run")["ap-southeast-1"]
    assert (north["account"], north["endpoint"], north["stopped"]) == ("good", server.url, None)
    assert [north[name] for name in ("urns", "configured", "not_configured", "not_found", "failed")] == [3, 1, 1, 1, 0]
    assert (south["account"], south["urns"], south["configured"]) == ("bad", 1, 0)
    assert south["failed"] + south["not_attempted"] == 1
    assert "401" in south["stopped"]
    assert {scope["account"] for scope in manifest_of(tmp_path / "run")["scopes"]} == {"good", "bad"}


async def test_counts_are_sums_over_all_sessions(tmp_path, write_list):
    cloud = cloud_of(9)
    answers = {f"{P}f000:latest": [Reply(503, b"{}")] * 2}
    async with Emulator(FileCloud(dict.fromkeys(cloud.urns(), CONFIG), answers=answers), token=TOKEN) as server:
        options = {"endpoint": server.url, "attempts": 1, "batch": False}
        first = await export(write_list(cloud.urns()), tmp_path / "run", **options)
        assert first.exit_code == ExitCode.SOME_FAILED
        assert scopes_of(tmp_path / "run")["cn-north-4"]["calls"] == len(server.requests)
        await export([], tmp_path / "run", mode="resume", **options)
        second = scopes_of(tmp_path / "run")["cn-north-4"]
    assert second["calls"] == len(server.requests) == 10
    assert (second["urns"], second["configured"] + second["failed"]) == (9, 9)


@pytest.mark.parametrize(
    ("policy", "kind", "other"), [("user", "limit", "shared_limit"), ("ip", "shared_limit", "limit")]
)
async def test_a_learned_limit_is_that_of_the_scope_or_shared(tmp_path, write_list, policy, kind, other):
    async with Emulator(cloud_of(40), limit=Limit(25, policy=policy), token=TOKEN) as server:
        await export(write_list(server.urns()), tmp_path / "run", endpoint=server.url)
    row = scopes_of(tmp_path / "run")["cn-north-4"]
    assert (row[f"{kind}_calls"], row[f"{kind}_seconds"]) == (25, 1.0)
    assert row[f"{other}_calls"] is None
    assert row["refused"] == manifest_of(tmp_path / "run")["requests"]["throttled"] > 0


async def test_a_killed_session_keeps_counts_and_limits_but_not_the_reason(tmp_path, write_list):
    run = tmp_path / "run"
    async with Emulator(cloud_of(40), limit=Limit(25), token=TOKEN) as server:
        await export(write_list(server.urns()), run, endpoint=server.url)
    (before,) = rows(run, "scopes")
    with Ledger(run / "ledger.sqlite") as ledger:
        ledger.set_fact("ended", None)  # as while a session works
    (run / "manifest.json").unlink()
    rebuild_tables(run, {}, ProgressObserver())
    (after,) = rows(run, "scopes")
    assert before["limit_calls"] == 25
    assert after == {**before, "limit_used": None}


async def test_rebuilt_tables_have_the_same_scopes(tmp_path, write_list, accounts):
    run = tmp_path / "run"
    async with Emulator(cloud_of(5), token=TOKEN) as server:
        await export(
            write_list([*server.urns(), f"{OTHER}a:latest"]), run, endpoint=server.url, accounts=accounts, token=None
        )
    before = contents(run)
    (run / "scopes.parquet").unlink()
    rebuild_tables(run, {}, ProgressObserver())
    assert contents(run) == before
    assert {row["account"] for row in rows(run, "scopes", "csv")} == {"good", "bad"}


async def test_a_run_of_rejects_has_no_scope(tmp_path, write_list):
    await export(write_list(["odd"]), tmp_path / "run")
    assert rows(tmp_path / "run", "scopes") == []


async def test_a_listed_project_has_a_row_also_without_functions_and_its_name(tmp_path):
    cloud = GeneratedCloud(3, projects=[NORTH[1]])
    options = {"max_per_second": 0.0, "format": ("parquet",)}
    async with Emulator(cloud, token=TOKEN) as server:
        cloud.scopes = (*cloud.scopes, Scope("cn-north-4", "f" * 32))
        places = [ProjectRef("cn-north-4", project) for project in (NORTH[1], "f" * 32)]
        await pipeline.export(
            Discovery(places),
            Output(tmp_path / "run"),
            check_settings(ExportSettings(endpoint=server.url, iam_endpoint=server.url, **options)),
            mode="new",
            environment={"HW_AUTH_TOKEN": TOKEN},
            observer=ProgressObserver(),
        )
    names = {row["project_name"] for row in rows(tmp_path / "run", "function_facts")}
    first, second = rows(tmp_path / "run", "scopes")
    assert ({first["project_name"]}, second["project_name"]) == (names, None)
    assert (second["project_id"], second["urns"], second["endpoint"]) == ("f" * 32, 0, first["endpoint"])
    assert second["calls"] > 0
