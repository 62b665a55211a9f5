from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
from urllib.request import Request, urlopen

import pytest

from inventory.emulator import Emulator, Fault, Faults, FileCloud, Scope
from inventory.errors import SettingsError

PROJECT = "p" * 32
BASE = f"urn:fss:cn-north-4:{PROJECT}:function:default:"
CONFIG = {"func_urn": f"{BASE}f:latest", "max_async_retry_attempts": 1}


async def test_the_log_contains_each_request(emulator, get):
    emulator.plan(lambda _urn, _calls: Fault.NULL)
    await get(f"{BASE}g")
    (request,) = emulator.requests
    assert (request.number, request.method, request.urn) == (1, "GET", f"{BASE}g")
    assert request.scope == Scope("cn-north-4", PROJECT)
    assert request.path.endswith("/async-invoke-config")
    emulator.clear()
    assert (list(emulator.requests), dict(emulator.counts)) == ([], {})
    assert (await get())[1] != b"null"


async def test_the_log_is_bounded_and_the_counters_are_not(session):
    async with Emulator(FileCloud({f"{BASE}f": CONFIG}), log_size=2) as emulator:
        for _ in range(5):
            async with session.get(emulator.url):
                pass
        assert [request.number for request in emulator.requests] == [4, 5]
        assert emulator.counts == {404: 5}


async def test_no_token_is_shown(emulator, session, get):
    emulator.token = "secret-1"
    emulator.expired_tokens.add("secret-2")
    bodies = [(await get(token=token))[1] for token in ("secret-1", "secret-2", "secret-3")]
    async with session.get(f"{emulator.url}/emulator/requests") as response:
        bodies.append(await response.read())
    assert "secret" not in f"{emulator!r}{emulator.requests!r}{bodies!r}"


async def test_debug_pages_show_list_and_log(emulator, session, get):
    await get()
    async with session.get(f"{emulator.url}/emulator/urns") as response:
        assert (await response.text()).splitlines() == list(emulator.urns())
    async with session.get(f"{emulator.url}/emulator/requests") as response:
        (line,) = (await response.text()).splitlines()
    assert json.loads(line)["urn"] == f"{BASE}f"
    async with session.post(f"{emulator.url}/emulator/urns") as response:
        assert response.status == 404
    assert len(emulator.requests) == 1


async def test_the_list_page_streams(session):
    async with Emulator(functions=3000, seed=2) as emulator, session.get(f"{emulator.url}/emulator/urns") as response:
        assert (await response.text()).splitlines() == list(emulator.urns())


async def test_stop_ends_connections_and_tasks(session):
    before = asyncio.all_tasks()
    async with Emulator(functions=100_000, faults=Faults(latency=3600)) as emulator:
        port = int(emulator.url.rpartition(":")[2])
        _, idle = await asyncio.open_connection("127.0.0.1", port)
        _, waiting = await asyncio.open_connection("127.0.0.1", port)
        reader, unread = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        waiting.write(b"GET /v2/p/fgs/functions/f/async-invoke-config HTTP/1.1\r\nHost: x\r\n\r\n")
        unread.write(b"GET /emulator/urns HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readline()
        while not emulator._number:  # noqa: ASYNC110 - the arrival has no event to wait for
            await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    for writer in (idle, waiting, unread):
        writer.transport.abort()
    await asyncio.sleep(0)
    gc.collect()


async def test_it_can_be_started_again():
    emulator = Emulator(functions=1)
    for _ in range(2):
        async with emulator:
            assert emulator.url.startswith("http://127.0.0.1:")


def test_in_thread_serves_synchronous_code():
    before = set(threading.enumerate())
    with Emulator(FileCloud({f"{BASE}f": CONFIG})).in_thread() as emulator:
        url = f"{emulator.url}/v2/{PROJECT}/fgs/functions/f/async-invoke-config"
        with urlopen(Request(url, headers={"X-Auth-Token": "t"})) as response:
            assert json.load(response) == CONFIG
        assert emulator.counts == {200: 1}
    assert set(threading.enumerate()) <= before  # a thread of an earlier test may have ended


async def test_a_port_in_use_is_a_clear_error(emulator):
    port = int(emulator.url.rpartition(":")[2])
    before = set(threading.enumerate())
    with pytest.raises(SettingsError, match=rf"port {port} of 127\.0\.0\.1 is in use"):
        await Emulator(port=port).start()
    with pytest.raises(SettingsError, match="is in use"), Emulator(port=port).in_thread():
        pass
    assert set(threading.enumerate()) <= before  # a thread of an earlier test may have ended


async def test_a_foreign_address_is_a_clear_error():
    with pytest.raises(SettingsError, match=r"cannot listen on port 0 of 192\.0\.2\.1"):
        await Emulator(host="192.0.2.1").start()


@pytest.mark.parametrize("wrong", [{"port": 65536}, {"port": -1}, {"log_size": -1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingsError):
        Emulator(**wrong)


def test_importing_the_package_loads_no_web_server():
    code = "import sys, inventory.emulator as e; print(hasattr(e, 'x'), e.Limit.__name__, 'aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False Limit False\n", "")
