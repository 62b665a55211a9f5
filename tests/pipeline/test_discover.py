"""Functions, versions and aliases of projects: listed whole, or not at all."""

from __future__ import annotations

import json
import random
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.runs import TOKEN, call_cli, manifest_of, run_cli

from inventory.cloud.accounts import PasswordProvider, TokenProvider
from inventory.cloud.credentials import TokenCredential
from inventory.cloud.iam import IamUser
from inventory.cloud.listed_fields import ListedItem
from inventory.cloud.pages import MAX_ITEMS, FunctionPage
from inventory.cloud.projects import ProjectRef, find_projects
from inventory.emulator import Emulator, FileCloud, GeneratedCloud, Reply, Scope, User
from inventory.errors import InterruptedRunError, ListingError
from inventory.pipeline import discover as discovery
from inventory.pipeline.discover import Discovery, discover
from inventory.pipeline.open_scope import OpenScope
from inventory.progress import ProgressObserver
from inventory.settings import ExportSettings
from inventory.settings_sources.checks import check_settings

ACCOUNT = TokenProvider(TokenCredential(TOKEN, "x"))
P, Q, R = "0" * 32, "1" * 32, "2" * 32
CONFIG = {"max_async_retry_attempts": 1}


def urn(name, project=P, region="cn-north-4"):
    return f"urn:fss:{region}:{project}:function:default:{name}"


async def find(server, *places, account=ACCOUNT, **more):
    given = ExportSettings(endpoint=server.url, iam_endpoint=server.url, max_per_second=0.0, attempts=1)
    return (await discover(Discovery(places, **more), given, account, ProgressObserver())).urns()


@pytest.mark.parametrize("functions", [0, 1, 399, 400, 401, 5000])
async def test_every_function_of_a_project_is_listed(functions):
    cloud = GeneratedCloud(functions, projects=[P])
    async with Emulator(cloud) as server:
        found = await find(server, ProjectRef("cn-north-4", P))
    assert found == sorted(found)
    assert len(found) == len(set(found)) == functions
    assert {one.removesuffix(":latest") for one in found} == {
        str(one) for one in cloud.functions_of(cloud.scopes[0], 0, functions)
    }


async def test_versions_and_aliases_are_listed_where_they_are_asked_for():
    cloud = FileCloud({urn("f:v1.0"): CONFIG, urn("f:!prod"): CONFIG, urn("g:latest"): None})
    async with Emulator(cloud) as server:
        assert await find(server, ProjectRef("cn-north-4", P)) == [urn("f:latest"), urn("g:latest")]
        assert await find(server, ProjectRef("cn-north-4", P), versions=True) == [
            urn("f:latest"),
            urn("f:v1.0"),
            urn("g:latest"),
        ]
        found = await find(server, ProjectRef("cn-north-4", P), versions=True, aliases=True)
        assert found == [urn("f:!prod"), urn("f:latest"), urn("f:v1.0"), urn("g:latest")]


async def test_an_iam_is_asked_once_for_the_projects_of_all_regions():
    regions = [f"region-{number}" for number in range(1000)]
    cloud = FileCloud({f"urn:fss:{region}:{n:032x}:function:default:f": None for n, region in enumerate(regions)})
    cloud.scopes = tuple(Scope(region, f"{n:032x}") for n, region in enumerate(regions))
    async with Emulator(cloud) as server:
        where = check_settings(ExportSettings(endpoint=server.url, iam_endpoint=server.url))
        places = [ProjectRef(region) for region in regions]
        found, unseen = await find_projects(places, where, TokenProvider(TokenCredential("any", "x")))
        assert len(server.requests) == 1
    assert (len(found), unseen) == (1000, [])


async def test_the_projects_of_a_region_are_looked_up():
    cloud = FileCloud({urn("a", P): None, urn("b", Q): None, urn("c", R, "ap-southeast-1"): None})
    cloud.scopes = (Scope("cn-north-4", P), Scope("cn-north-4", Q), Scope("ap-southeast-1", R))
    async with Emulator(cloud, users=[User("reader", "password", "company")]) as server:
        account = PasswordProvider(IamUser("reader", "password", "company"), lambda _region: server.url)
        found = await find(server, ProjectRef("cn-north-4"), account=account)
        assert found == [urn("a:latest", P), urn("b:latest", Q)]
        with pytest.raises(ListingError, match="lists no project of this region: check the spelling"):
            await find(server, ProjectRef("cn-north-9"), account=account)


@pytest.mark.parametrize(("status", "code"), [(401, 3), (500, 5)])
async def test_a_list_that_breaks_off_is_an_error(status, code, monkeypatch):
    body = json.dumps({"error_code": "APIGW.0301" if status == 401 else "FSS.0500", "error_msg": "no"}).encode()
    async with Emulator(GeneratedCloud(1000, projects=[P])) as server:
        answer = server._answer
        pages = []

        def break_off(route, scope, found):
            pages.append(route)
            return answer(route, scope, found) if len(pages) < 3 else Reply(status, body)

        monkeypatch.setattr(server, "_answer", break_off)
        with pytest.raises(
            ListingError, match=rf"cn-north-4/{P}: the list of functions broke off .*no list is"
        ) as caught:
            await find(server, ProjectRef("cn-north-4", P))
    assert caught.value.exit_code == code


async def test_versions_that_cannot_be_listed_are_an_error(monkeypatch):
    async with Emulator(FileCloud({urn("f"): None})) as server:
        answer = server._answer

        def refuse(route, scope, found):
            body = b'{"error_msg":"The API does not exist","error_code":"APIGW.0101"}'
            return answer(route, scope, found) if not route.urn else Reply(404, body)

        monkeypatch.setattr(server, "_answer", refuse)
        with pytest.raises(ListingError, match="the list of versions broke off"):
            await find(server, ProjectRef("cn-north-4", P), versions=True)


async def test_a_stop_ends_the_listing():
    observer = ProgressObserver()
    observer.cancel(15)
    async with Emulator(GeneratedCloud(10, projects=[P])) as server:
        with pytest.raises(InterruptedRunError):
            await discover(
                Discovery([ProjectRef("cn-north-4", P)]), ExportSettings(endpoint=server.url), ACCOUNT, observer
            )


class Listed:
    """A project whose functions come and go between two pages; the service's paging, with any of its odd habits."""

    name = "r/p"

    def __init__(self, functions, change=lambda _functions, _page: None, *, size=MAX_ITEMS, total=True, ignores=False):
        self.functions = list(functions)
        self.change = change
        self.size = size
        self.total = total
        self.ignores = ignores
        self.pages = 0

    async def fetch_page(self, marker):
        self.pages += 1
        if self.pages > 5000:
            raise AssertionError("it never ends")
        self.change(self.functions, self.pages)
        start = 0 if self.ignores else marker
        urns = self.functions[start : start + self.size]
        items = [ListedItem(urn, f'{{"fail_count":{self.pages}}}') for urn in urns]
        return FunctionPage(items, start + len(urns), len(self.functions) if self.total else None)


async def listed(project):
    kept = {}
    functions = await discovery._list_functions(project, ProgressObserver(), lambda _table, items: kept.update(items))
    assert set(kept) == {f"{name}:latest" for name in functions}, "each function has facts"
    return set(functions)


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(0, 1500),
    size=st.sampled_from([3, 10, 100, 400]),
    removed=st.integers(0, 60),
    added=st.integers(0, 60),
)
@settings(max_examples=60, deadline=None)
def test_what_is_there_all_the_time_is_always_listed(seed, count, size, removed, added):
    import asyncio  # noqa: PLC0415

    dice = random.Random(seed)
    staying = {f"s{n}" for n in range(count)}
    functions = [*staying, *(f"gone{n}" for n in range(300))]
    dice.shuffle(functions)

    def change(now, page):
        if page > 30 or size < 100:
            return  # it calms down; and pages too small to overlap are for lists that stand still
        for name in [name for name in now if name.startswith("gone")][:removed]:
            now.remove(name)
        for number in range(added):
            now.insert(dice.randrange(len(now) + 1), f"new{page}-{number}")

    found = asyncio.run(listed(Listed(functions, change, size=size if count > 30 or size > 3 else 100)))
    assert staying <= found


async def test_a_marker_that_is_ignored_is_no_endless_list():
    with pytest.raises(ListingError, match="says it has 900 functions and listed 400"):
        await listed(Listed([f"f{n}" for n in range(900)], ignores=True))


@pytest.mark.parametrize(("count", "size"), [(950, 400), (1200, 400), (950, 100)])
@pytest.mark.parametrize("behind", [1, 200, 600, 949])
async def test_a_count_that_is_too_small_cuts_nothing_off(count, size, behind):
    class Stale(Listed):
        async def fetch_page(self, marker):
            page = await super().fetch_page(marker)
            return page._replace(total=max(page.total - behind, size + 1))

    project = Stale([f"f{n}" for n in range(count)], size=size)
    assert len(await listed(project)) == count
    assert project.pages <= 2 + count // (size - 25)


async def test_a_list_without_a_count_ends_at_its_empty_page():
    assert len(await listed(Listed([f"f{n}" for n in range(950)], total=False))) == 950


def test_discover_writes_a_list_that_export_reads(tmp_path):
    with Emulator(GeneratedCloud(50, projects=[P]), token=TOKEN).in_thread() as server:
        place = ["--region", "cn-north-4", "--project-id", P, "--endpoint", server.url, "--max-per-second", "0"]
        plain = run_cli("discover", *place, "--versions", "--aliases")
        assert plain.returncode == 0, plain.stderr
        assert "never-to-be-exported" not in plain.stdout + plain.stderr
        for suffix in (".txt", ".jsonl", ".parquet"):
            path = tmp_path / f"list{suffix}"
            done = run_cli("discover", *place, "--versions", "--aliases", "--output", path)
            assert (done.returncode, done.stdout) == (0, f"{path}\n"), done.stderr
            assert b"never-to-be-exported" not in path.read_bytes()
            run = tmp_path / f"run{suffix}"
            exported = run_cli("export", path, "--endpoint", server.url, "--max-per-second", "0", "--output", run)
            assert exported.returncode == 0, exported.stderr
            assert manifest_of(run)["input"]["urns"] == len(plain.stdout.splitlines()) > 60
            assert manifest_of(run)["counts"]["status"]["not_found"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "--region is missing"),
        (["--region", "a", "--region", "b", "--project-id", "p"], 2, "--project-id needs exactly one --region"),
        (["--region", "a", "--project-id", "p", "--output", "no/list.txt"], 4, "there is no folder no"),
        (["--region", "a", "--project-id", "p", "--output", "list.csv"], 2, "list.csv: its name must end in .txt"),
        (
            ["--region", "a", "--project-id", "p", "--endpoint", "http://127.0.0.1:1"],
            5,
            "the list of functions broke off",
        ),
        (["--region", "a", "--iam-endpoint", "http://127.0.0.1:1"], 5, "a: its projects cannot be listed"),
    ],
)
def test_a_discovery_that_cannot_be_is_one_sentence(tmp_path, arguments, code, words):
    done = call_cli("discover", *arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_list_keeps_its_old_content_where_the_new_one_breaks_off(tmp_path):
    path = tmp_path / "urns.txt"
    path.write_text("last night\n")
    done = run_cli(
        "discover", "--region", "a", "--project-id", "p", "--endpoint", "http://127.0.0.1:1", "--output", path
    )
    assert done.returncode == 5
    assert path.read_text() == "last night\n"


class Counted(set):
    """URNs that count how often somebody asks how many they are."""

    asked = 0

    def __len__(self):
        Counted.asked += 1
        return super().__len__()


async def test_progress_counts_what_is_new_and_not_all_that_was_found(monkeypatch):
    projects = [f"{number:032x}" for number in range(30)]
    cloud = FileCloud({urn(f"f{n}:v1", project): None for n in range(5) for project in projects})
    reported = []
    monkeypatch.setattr(ProgressObserver, "on_load", lambda _observer, entries: reported.append(entries))
    init = discovery._Project.__init__

    def counted(project, *arguments):
        init(project, *arguments)
        project.urns = Counted()

    monkeypatch.setattr(discovery._Project, "__init__", counted)
    monkeypatch.setattr(Counted, "asked", 0)
    async with Emulator(cloud) as server:
        found = await find(server, *(ProjectRef("cn-north-4", project) for project in projects), versions=True)
    assert max(reported) == len(found) == 300
    assert Counted.asked <= 3 * len(found)


async def test_a_project_is_listed_with_one_token_and_its_scope_is_not_kept(monkeypatch):
    projects = [f"{number:032x}" for number in range(20)]
    cloud = FileCloud({urn(f"f{n}:v1", project): None for n in range(3) for project in projects})
    scopes, counts, start = weakref.WeakSet(), [], OpenScope.start

    def counted_start(*arguments):
        scope = start(*arguments)
        scopes.add(scope)
        counts.append(len(scopes))
        return scope

    monkeypatch.setattr(OpenScope, "start", counted_start)
    async with Emulator(cloud, users=[User("reader", "password", "company")]) as server:
        account = PasswordProvider(IamUser("reader", "password", "company"), lambda _region: server.url)
        given = ExportSettings(endpoint=server.url, max_per_second=0.0, attempts=1, max_workers=4)
        places = [ProjectRef("cn-north-4", project) for project in projects]
        await discover(Discovery(places, versions=True), given, account, ProgressObserver())
        tokens = [request for request in server.requests if request.path.startswith("/v3/auth/tokens")]
    assert len(tokens) == len(projects)
    assert max(counts) <= 6
