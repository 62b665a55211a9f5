"""Whether a 401 of the service means a function that is deleted, or a dead credential."""

from __future__ import annotations

import pytest
from support.runs import by_urn, export, manifest_of

from inventory.emulator import Emulator, FileCloud, Reply
from inventory.emulator.gateway.routes import Operation

P = "0123456789abcdef0123456789abcdef"
REFUSED = Reply(401, b'{"error_code":"FSS.0401","error_msg":"not permit"}')
FORBIDDEN = Reply(403, b'{"error_code":"FSS.0403","error_msg":"no permission to list"}')
BROKEN = Reply(500, b'{"error_code":"FSS.0500","error_msg":"Internal server error."}')
WITH_KEYS = {
    "HW_ACCESS_KEY": "AKOFTHETESTS00000001",
    "HW_SECRET_KEY": "SKOFTHETESTS00000000000000000000000000001",
}


def urn(name, project=P):
    return f"urn:fss:cn-north-4:{project}:function:default:{name}"


def cloud(deleted, alive, projects=(P,)):
    return FileCloud(
        {urn(f"z{n:04}", project): {"max_async_retry_attempts": 1} for n in range(alive) for project in projects},
        {urn(f"a{n:04}", project): REFUSED for n in range(deleted) for project in projects},
    )


def answering(server, monkeypatch, *, listed=None, shown=None):
    answer = server._answer

    def changed(route, scope, found):
        is_list = route.operation is Operation.LIST_FUNCTIONS
        return (listed if is_list else shown) or answer(route, scope, found)

    monkeypatch.setattr(server, "_answer", changed)


def statuses(folder):
    counts = manifest_of(folder)["counts"]
    return {name: n for name, n in (counts["status"] | counts["error_kind"]).items() if n}


def refused(server):
    return server.counts[401]


@pytest.mark.parametrize("environment", [None, WITH_KEYS], ids=["token", "keys"])
@pytest.mark.parametrize("workers", [1, 64])
@pytest.mark.parametrize("listed", [None, FORBIDDEN, BROKEN], ids=["listed", "not-listed", "list-broken"])
async def test_deleted_functions_that_sort_first_stop_nothing(
    tmp_path, write_list, monkeypatch, listed, workers, environment
):
    state = cloud(5, 20)
    async with Emulator(state) as server:
        answering(server, monkeypatch, listed=listed)
        result = await export(
            write_list(state.urns()),
            tmp_path / "run",
            endpoint=server.url,
            max_workers=workers,
            environment=environment,
            attempts=1,
        )
        asked = [request.urn for request in server.requests if request.urn]
    assert statuses(tmp_path / "run") == {"configured": 20, "failed": 5, "refused": 5}
    assert result.exit_code == 1
    assert sorted(asked) == sorted(state.urns())
    assert result.manifest["requests"]["total"] == 26


@pytest.mark.parametrize("workers", [1, 64])
async def test_a_scope_of_deleted_functions_alone_is_asked_to_the_end(tmp_path, write_list, workers):
    state = cloud(250, 0)
    async with Emulator(state) as server:
        result = await export(write_list(state.urns()), tmp_path / "run", endpoint=server.url, max_workers=workers)
    assert statuses(tmp_path / "run") == {"failed": 250, "refused": 250}
    assert result.exit_code == 1


async def test_many_deleted_functions_in_a_row_stop_nothing(tmp_path, write_list, monkeypatch):
    state = cloud(350, 300)
    async with Emulator(state) as server:
        answering(server, monkeypatch, listed=FORBIDDEN)
        await export(write_list(state.urns()), tmp_path / "run", endpoint=server.url)
    assert statuses(tmp_path / "run") == {"configured": 300, "failed": 350, "refused": 350}


@pytest.mark.parametrize("listed", [REFUSED, FORBIDDEN, BROKEN], ids=["refused", "forbidden", "broken"])
@pytest.mark.parametrize("environment", [None, WITH_KEYS], ids=["token", "keys"])
@pytest.mark.parametrize("workers", [1, 64])
async def test_a_dead_credential_is_refused_three_times_by_the_service(
    tmp_path, write_list, monkeypatch, workers, environment, listed
):
    state = cloud(0, 40, (P, P[::-1]) if environment else (P,))
    async with Emulator(state) as server:
        answering(server, monkeypatch, listed=listed, shown=REFUSED)
        result = await export(
            write_list(state.urns()),
            tmp_path / "run",
            endpoint=server.url,
            max_workers=workers,
            environment=environment,
            attempts=1,
        )
        # With keys, an answer that has a code of the service accepts the key: the scopes are then judged apart.
        most = 3 if environment is None or listed is REFUSED else 6
        assert 2 <= refused(server) <= most
    assert result.exit_code == 3
    assert result.manifest["counts"]["status"]["not_attempted"] > 0


@pytest.mark.parametrize("workers", [1, 64])
async def test_trouble_before_the_refusal_leaves_a_place_for_the_second_opinion(tmp_path, write_list, workers):
    state = cloud(10, 20)
    async with Emulator(state) as server:
        server.plan({urn("a0000"): [BROKEN]})
        await export(write_list(state.urns()), tmp_path / "run", endpoint=server.url, max_workers=workers, attempts=1)
    assert statuses(tmp_path / "run") == {
        "configured": 20,
        "failed": 10,
        "refused": 9,
        "server_error": 1,
    }


@pytest.mark.parametrize("workers", [1, 64])
@pytest.mark.parametrize("environment", [None, WITH_KEYS], ids=["token", "keys"])
@pytest.mark.parametrize("listed", [None, FORBIDDEN], ids=["listed", "not-listed"])
async def test_a_resumed_run_gets_past_deleted_functions(
    tmp_path, write_list, monkeypatch, workers, environment, listed
):
    state = cloud(5, 20, (P, P[::-1]))
    async with Emulator(state) as server:
        with monkeypatch.context() as patch:
            answering(server, patch, listed=REFUSED, shown=REFUSED)
            stopped = await export(
                write_list(state.urns()), tmp_path / "run", endpoint=server.url, environment=environment, max_workers=1
            )
        assert stopped.exit_code == 3
        answering(server, monkeypatch, listed=listed)
        for _ in range(2):  # the second one asks for the failures alone
            await export(
                [],
                tmp_path / "run",
                mode="resume",
                endpoint=server.url,
                environment=environment,
                max_workers=workers,
            )
            assert statuses(tmp_path / "run") == {"configured": 40, "failed": 10, "refused": 10}


@pytest.mark.parametrize("workers", [1, 64])
async def test_scopes_that_begin_with_deleted_functions_do_not_use_up_the_trials_of_a_key(
    tmp_path, write_list, workers
):
    projects = [f"{number:032x}" for number in range(10)]
    state = cloud(4, 4, projects)
    async with Emulator(state) as server:
        result = await export(
            write_list(state.urns()),
            tmp_path / "run",
            endpoint=server.url,
            environment=WITH_KEYS,
            max_workers=workers,
        )
    assert statuses(tmp_path / "run") == {"configured": 40, "failed": 40, "refused": 40}
    assert result.exit_code == 1


async def test_a_list_settles_no_urn_that_was_settled_out_of_turn(tmp_path, write_list, monkeypatch):
    names = [f"f:v{number}" for number in range(30)]
    state = FileCloud(
        {urn(name): {"max_async_retry_attempts": 1} for name in names[1:]}, {urn(name): REFUSED for name in names[:1]}
    )
    async with Emulator(state) as server:
        answering(server, monkeypatch, listed=FORBIDDEN)
        result = await export(write_list(state.urns()), tmp_path / "run", endpoint=server.url)
    assert statuses(tmp_path / "run") == {"configured": 29, "failed": 1, "refused": 1}
    assert len(by_urn(tmp_path / "run")) == 30
    assert result.manifest["requests"]["saved_by_lists"] > 20


@pytest.mark.parametrize("environment", [None, WITH_KEYS], ids=["token", "keys"])
@pytest.mark.parametrize("workers", [1, 8])
async def test_a_credential_that_dies_within_a_run_is_refused_a_few_times(
    tmp_path, write_list, monkeypatch, workers, environment
):
    state = cloud(0, 300)
    async with Emulator(state) as server:
        answer = server._answer

        def die(route, scope, found):
            return REFUSED if server.counts[200] >= 100 else answer(route, scope, found)

        monkeypatch.setattr(server, "_answer", die)
        options = {"endpoint": server.url, "environment": environment, "max_workers": workers}
        first = await export(write_list(state.urns()), tmp_path / "run", **options)
        assert refused(server) <= 5 + workers
        before = refused(server)
        again = await export([], tmp_path / "run", mode="resume", **options)
        assert refused(server) - before <= 3
    assert (first.exit_code, again.exit_code) == (3, 3)
    assert again.manifest["counts"]["status"]["not_attempted"] > 150


async def test_deleted_functions_within_a_list_ask_for_few_lists(tmp_path, write_list):
    refusals = {urn(f"f{n:04}"): REFUSED for n in range(600) if (n % 10 and n < 300) or n >= 400}
    state = FileCloud({urn(f"f{n:04}"): {} for n in range(600) if urn(f"f{n:04}") not in refusals}, refusals)
    async with Emulator(state) as server:
        result = await export(write_list(state.urns()), tmp_path / "run", endpoint=server.url, max_workers=1)
        lists = [request for request in server.requests if not request.urn]
    assert len(lists) <= 8
    assert statuses(tmp_path / "run")["refused"] == len(refusals)
    assert result.exit_code == 1


async def test_a_throttled_list_does_not_hold_up_the_scope(tmp_path, write_list, monkeypatch):
    state = cloud(3, 20)
    busy = Reply(429, b'{"error_code":"APIGW.0308","error_msg":"busy"}', {"Retry-After": "0"})
    async with Emulator(state) as server:
        answering(server, monkeypatch, listed=busy)
        await export(write_list(state.urns()), tmp_path / "run", endpoint=server.url, max_workers=1)
        assert server.counts[429] == 1
    assert statuses(tmp_path / "run") == {"configured": 20, "failed": 3, "refused": 3}
