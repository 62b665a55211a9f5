"""``export --all``: listing and export in one run."""

from __future__ import annotations

import signal

import pytest
from support.processes import begin
from support.runs import TOKEN, by_urn, call_cli, manifest_of, run_cli, wait_for

import inventory
from inventory.cloud.projects import ProjectRef, select_projects
from inventory.emulator import Emulator, Faults, FileCloud, GeneratedCloud, Limit, Reply, Scope, User
from inventory.emulator.gateway.routes import Operation
from inventory.errors import ListingError, OutOfTimeError, UsageError
from inventory.ledger.schema import ListedTable
from inventory.ledger.writer import Ledger
from inventory.pipeline import export as pipeline
from inventory.pipeline.discover import Discovery
from inventory.progress import ProgressObserver
from inventory.runs.output import Output
from inventory.settings import AccountSettings, ExportSettings
from inventory.settings_sources.checks import check_settings

P, Q, R = "0" * 32, "1" * 32, "2" * 32
NORTH, SOUTH = "cn-north-4", "ap-southeast-1"


def urn(name, project=P, region=NORTH):
    return f"urn:fss:{region}:{project}:function:default:{name}"


async def export_all(server, output, *places, mode="new", environment=None, search=None, **settings):
    reported = check_settings(
        ExportSettings(**{"endpoint": server.url, "iam_endpoint": server.url, "max_per_second": 0.0, **settings})
    )
    return await pipeline.export(
        Discovery(places, **search or {}),
        Output(output),
        reported,
        mode=mode,
        environment=environment or {"HW_AUTH_TOKEN": TOKEN},
        observer=ProgressObserver(),
    )


@pytest.mark.parametrize("pieces", [pytest.param((1,), marks=pytest.mark.slow), (17,), (300, 1, 5)])
async def test_answers_in_pieces_are_read_as_those_that_come_at_once(tmp_path, pieces):
    cloud = GeneratedCloud(3, regions=(NORTH, SOUTH))
    variables = {"HW_USER_NAME": "reader", "HW_USER_PASSWORD": "a-long-password-1", "HW_DOMAIN_NAME": "company"}
    tables = []
    for sizes in ((), pieces):
        async with Emulator(cloud, users=[User("reader", "a-long-password-1", "company")], pieces=sizes) as server:
            folder = tmp_path / str(len(sizes))
            result = await export_all(
                server,
                folder,
                ProjectRef(NORTH),
                ProjectRef(SOUTH),
                search={"versions": True, "aliases": True},
                environment=variables,
                max_workers=64,
            )
            assert set(server.counts) <= {200, 201, 404}
        assert result.exit_code == 0
        asked = ("duration_ms", "finished_at", "request_id")
        tables.append([{k: v for k, v in row.items() if k not in asked} for row in by_urn(folder).values()])
    assert tables[0] == tables[1]
    assert tables[0]


async def test_all_functions_are_listed_and_asked_for(tmp_path):
    cloud = GeneratedCloud(300, projects=[P])
    async with Emulator(cloud) as server:
        result = await export_all(
            server, tmp_path / "run", ProjectRef(NORTH, P), search={"versions": True, "aliases": True}
        )
        manifest = result.manifest
        assert manifest["requests"]["total"] == len(server.requests)
    calls = manifest["requests"]["by_operation"]
    assert (calls["ListFunctions"], calls["ListFunctionVersions"], calls["ListVersionAliases"]) == (1, 300, 300)
    assert manifest["scopes"][0]["requests"] == manifest["requests"]["total"]
    found = by_urn(tmp_path / "run")
    there = set()
    for function in cloud.functions_of(Scope(NORTH, P), 0, 300):
        names = cloud.qualifiers_of(function)
        there |= {f"{function}:{name}" for name in ("latest", *names.versions, *(f"!{one}" for one in names.aliases))}
    assert set(found) == there
    assert {row["function_exists"] for row in found.values()} == {True}
    assert {row["status"] for row in found.values()} == {"configured", "not_configured"}
    assert manifest["input"]["files"][0] | {"sha256": ""} == {
        "path": f"{NORTH}/{P}",
        "sha256": "",
        "entries": len(found),
    }


@pytest.mark.parametrize("rows_per_file", [0, 3])
async def test_facts_and_aliases_are_tables(tmp_path, rows_per_file):
    cloud = GeneratedCloud(12, projects=[P])
    search = {"versions": True, "aliases": True}
    async with Emulator(cloud) as server:
        options = {"format": ("parquet", "csv"), "rows_per_file": rows_per_file}
        for name in ("one", "two"):
            await export_all(server, tmp_path / name, ProjectRef(NORTH, P), search=search, **options)
    snapshot = inventory.open_snapshot(tmp_path / "two")
    listed = set(snapshot.functions.query("qualifier_type == 'version'").function_urn)
    assert set(snapshot.function_facts.function_urn) == listed
    assert set(snapshot.aliases.function_urn) == set(snapshot.functions.query("qualifier_type == 'alias'").function_urn)
    assert snapshot.function_facts["timeout"].notna().all()
    for path in (tmp_path / "two").rglob("*"):
        if path.is_file() and path.name.startswith(("function_facts", "aliases", "part")) and "calls" not in str(path):
            assert path.read_bytes() == (tmp_path / "one" / path.relative_to(tmp_path / "two")).read_bytes()


async def test_a_run_without_versions_and_aliases_has_facts_of_latest_only(tmp_path):
    async with Emulator(GeneratedCloud(12, projects=[P])) as server:
        await export_all(server, tmp_path / "run", ProjectRef(NORTH, P))
    snapshot = inventory.open_snapshot(tmp_path / "run")
    assert set(snapshot.function_facts.qualifier) == {"latest"}
    assert len(snapshot.function_facts) == 12
    with pytest.raises(UsageError, match="no table aliases"):
        snapshot.aliases  # noqa: B018 - a property


async def test_facts_survive_a_rebuild_and_dropped_bodies(tmp_path):
    folder = tmp_path / "run"
    async with Emulator(GeneratedCloud(12, projects=[P])) as server:
        await export_all(
            server, folder, ProjectRef(NORTH, P), search={"versions": True, "aliases": True}, drop_bodies=True
        )
    with Ledger(folder / "ledger.sqlite") as ledger:
        kept = {table: list(ledger.listed_items(table)) for table in ListedTable}
    assert len(kept[ListedTable.FUNCTION_FACTS]) > 12
    assert kept[ListedTable.ALIASES]
    assert len(inventory.open_snapshot(folder).function_facts) == len(kept[ListedTable.FUNCTION_FACTS])


async def test_a_function_that_goes_between_list_and_call_exists_no_more(tmp_path):
    gone = Reply(404, b'{"error_code":"FSS.1051","error_msg":"Not found the function"}')
    cloud = FileCloud({urn("f:latest"): None, urn("g:latest"): None}, {urn("g:latest"): gone})
    async with Emulator(cloud) as server:
        await export_all(server, tmp_path / "run", ProjectRef(NORTH, P))
    found = by_urn(tmp_path / "run")
    assert {name[-8:]: (row["status"], row["function_exists"]) for name, row in found.items()} == {
        "f:latest": ("not_configured", True),
        "g:latest": ("not_found", False),
    }


async def test_projects_are_looked_up_and_a_resumed_run_lists_nothing(tmp_path):
    cloud = FileCloud({urn("a"): None, urn("b", Q): None, urn("c", R, SOUTH): None})
    cloud.scopes = (Scope(NORTH, P), Scope(NORTH, Q), Scope(SOUTH, R))
    environment = {"HW_USER_NAME": "reader", "HW_USER_PASSWORD": "password", "HW_DOMAIN_NAME": "company"}
    async with Emulator(cloud, users=[User("reader", "password", "company")]) as server:
        server.plan(lambda one, _times: Reply(401, b"{}") if Q in one else None)
        result = await export_all(
            server, tmp_path / "run", ProjectRef(NORTH), ProjectRef(SOUTH), environment=environment, attempts=1
        )
        assert result.manifest["counts"]["status"]["failed"] == 1
        server.plan(None)
        before = len([1 for request in server.requests if "maxitems" in request.path])
        again = await pipeline.export(
            [], Output(tmp_path / "run"), ExportSettings(endpoint=server.url, iam_endpoint=server.url), mode="resume",
            environment=environment, observer=ProgressObserver(),
        )  # fmt: skip
        assert len([1 for request in server.requests if "maxitems" in request.path]) == before
    assert again.exit_code == 0
    assert {row["function_exists"] for row in by_urn(tmp_path / "run").values()} == {True}
    assert len(by_urn(tmp_path / "run")) == 3


async def test_a_list_that_breaks_off_leaves_no_run(tmp_path, monkeypatch):
    cloud = GeneratedCloud(500, projects=[P])
    async with Emulator(cloud) as server:
        await export_all(server, tmp_path / "old", ProjectRef(NORTH, P))
        old = sorted((path.name, path.stat().st_size) for path in (tmp_path / "old").iterdir())
        answer = server._answer

        def break_off(route, scope, found):
            second = route.operation is Operation.LIST_FUNCTIONS and route.query["marker"] != "0"
            return Reply(500, b"") if second else answer(route, scope, found)

        monkeypatch.setattr(server, "_answer", break_off)
        for folder, mode in (("new", "new"), ("old", "overwrite")):
            with pytest.raises(ListingError, match="broke off"):
                await export_all(server, tmp_path / folder, ProjectRef(NORTH, P), mode=mode, attempts=1)
    assert not (tmp_path / "new").exists()
    assert sorted((path.name, path.stat().st_size) for path in (tmp_path / "old").iterdir()) == old


async def test_the_time_of_a_run_is_that_of_its_listing_too(tmp_path):
    async with Emulator(GeneratedCloud(30, projects=[P]), faults=Faults(latency=30.0)) as server:
        with pytest.raises(OutOfTimeError, match="before all functions were listed; no list is written") as caught:
            await export_all(server, tmp_path / "run", ProjectRef(NORTH, P), max_time=0.3)
    assert caught.value.exit_code == 5
    assert not (tmp_path / "run").exists()


async def test_a_limit_that_the_listing_learnt_is_kept_by_the_export(tmp_path):
    async with Emulator(GeneratedCloud(30, projects=[P]), limit=Limit.parse("20/second")) as server:
        result = await export_all(server, tmp_path / "run", ProjectRef(NORTH, P), search={"versions": True})
        refused = server.counts[429]
    assert result.manifest["scopes"][0]["limit_learnt"] == {"calls": 20, "seconds": 1.0, "policy": "user"}
    assert result.manifest["started"] < result.manifest["finished"], "the run began with the listing"
    assert result.exit_code == 0
    assert 0 < refused <= 64, "the calls that were in flight when the limit was met first, and no others"


def test_the_command_does_both(tmp_path):
    cloud = GeneratedCloud(20, projects=[P])
    with Emulator(cloud, token=TOKEN).in_thread() as server:
        place = ["--region", NORTH, "--project-id", P, "--endpoint", server.url, "--max-per-second", "0"]
        done = run_cli("export", "--all", *place, "--output", tmp_path / "run")
        assert done.returncode == 0, done.stderr
        assert "20 entries read: 20 URNs" in done.stderr
        assert manifest_of(tmp_path / "run")["settings"]["region"] == NORTH
        place[3] = Q
        done = run_cli("export", "--all", *place, "--output", tmp_path / "empty")
        assert done.returncode == 2
        assert f"{NORTH}/{Q}: the project has no functions; if this is wrong, check --region and" in done.stderr
        assert "fix the list" not in done.stderr
        assert "the project has no functions" in run_cli("status", tmp_path / "empty").stdout


def test_a_signal_during_the_listing_leaves_nothing(tmp_path):
    with Emulator(GeneratedCloud(2000, projects=[P]), limit=Limit.parse("2/minute")).in_thread() as server:
        place = ["--region", NORTH, "--project-id", P, "--endpoint", server.url]
        with begin("export", "--all", *place, "--output", str(tmp_path / "run")) as run:
            wait_for(lambda: server.counts[429] > 0)
            run.send_signal(signal.SIGTERM)
            words = run.communicate()[1]
    assert (run.returncode, "Traceback" in words) == (143, False), words
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--all"], "--region is missing"),
        (["--all", "urns.txt", "--region", "r"], "--all finds the list itself"),
        (["--all", "--region", "r", "--dry-run"], "--all needs calls, and --dry-run makes none"),
        (["--all", "--region", "r", "--resume", "--output", "run"], "contains no run"),
        (["urns.txt", "--versions"], "--versions and --aliases need --all"),
        (["urns.txt", "--region", "a", "--region", "b"], "--region has 2 values: several go with --all"),
        (["--all", "--region", "a", "--region", "b", "--project-id", "p"], "--project-id needs exactly one --region"),
    ],
)
def test_what_does_not_go_with_all_is_one_sentence(tmp_path, arguments, words):
    (tmp_path / "urns.txt").write_text(f"{urn('f')}\n")
    done = call_cli("export", *arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["urns.txt"]


ACCOUNTS = (
    AccountSettings("one", environment="ONE", regions=(NORTH, SOUTH), projects=(P, R)),
    AccountSettings("two", environment="TWO", regions=(NORTH,)),
)


async def test_each_account_of_a_region_is_listed(tmp_path):
    cloud = FileCloud({urn("a"): None, urn("b", Q): None, urn("c", R, SOUTH): None})
    cloud.scopes = (Scope(NORTH, P), Scope(NORTH, Q), Scope(SOUTH, R))
    environment = {
        f"{name}_{variable}": value
        for name in ("ONE", "TWO")
        for variable, value in {"USER_NAME": name, "USER_PASSWORD": "x", "DOMAIN_NAME": "company"}.items()
    }
    async with Emulator(cloud, users=[User("ONE", "x", "company"), User("TWO", "x", "company")]) as server:
        settings = ExportSettings(accounts=ACCOUNTS)
        places = select_projects(settings, None, None)
        assert places == [ProjectRef(NORTH), ProjectRef(SOUTH)]
        result = await export_all(server, tmp_path / "run", *places, accounts=ACCOUNTS, environment=environment)
        bodies = [request for request in server.requests if request.path.startswith("/v3/auth/tokens")]
    assert result.exit_code == 0
    assert sorted(name.split(":")[3] for name in by_urn(tmp_path / "run")) == [P, Q, R]
    assert len(bodies) >= 5  # a domain token for each account and region, and one for each project


def test_places_are_said_or_are_those_of_the_settings():
    reported = ExportSettings(region="r", accounts=ACCOUNTS)
    assert select_projects(reported, ["a", "b"], None) == [ProjectRef("a"), ProjectRef("b")]
    assert select_projects(reported, None, None) == [ProjectRef("r")]
    assert select_projects(ExportSettings(region="r", project_id="p"), None, None) == [ProjectRef("r", "p")]
    assert select_projects(ExportSettings(region="r"), None, ["p", "q"]) == [ProjectRef("r", "p"), ProjectRef("r", "q")]
    with pytest.raises(UsageError):
        select_projects(ExportSettings(), None, None)


def test_a_run_that_was_killed_while_it_listed_goes_on(tmp_path):
    with Emulator(GeneratedCloud(900, projects=[P]), limit=Limit.parse("2/minute")).in_thread() as server:
        command = ["export", "--all", "--region", NORTH, "--project-id", P, "--endpoint", server.url]
        command += ["--output", str(tmp_path / "run"), "--max-per-second", "0"]
        with begin(*command) as run:
            wait_for(lambda: server.counts[429] > 0)
            run.kill()
    with Emulator(GeneratedCloud(900, projects=[P])).in_thread() as server:
        command[7] = server.url
        done = run_cli("export", "--resume", "--output", tmp_path / "run")
        assert (done.returncode, "give it again, or --all" in done.stderr) == (2, True), done.stderr
        done = run_cli(*command, "--resume")
        assert done.returncode == 0, done.stderr
        assert manifest_of(tmp_path / "run")["input"]["urns"] == 900
        done = run_cli(*command, "--resume")
        assert (done.returncode, "omit --all" in done.stderr) == (2, True), done.stderr
