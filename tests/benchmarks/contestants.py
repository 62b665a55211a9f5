"""Other ways to ask for the same list, each in a process of its own: ``python contestants.py NAME LIST URL WORKERS``.

Owns the loops that `inventory` is held against. None of them keeps an answer, retries, waits or writes a table: they
only ask and decode. Prints, as JSON, how many configs came, and time and CPU of the asking alone (without start-up).
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

from answers import PROJECT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

TOKEN = "a-token"
HEADERS = {"X-Auth-Token": TOKEN}


class _Phase:
    """Wall time and CPU of the asking."""

    def __enter__(self) -> Self:
        self.began, self.cpu_before = time.perf_counter(), _cpu()
        return self

    def __exit__(self, *_error: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self.began, _cpu() - self.cpu_before


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _path(urn: str) -> str:
    return f"/v2/{PROJECT}/fgs/functions/{urn}/async-invoke-config"


async def _work_off(urns: Iterator[str], workers: int, ask: Callable[[str], Awaitable[bool]]) -> int:
    """As many workers as are wanted take URNs from one iterator; returns how many configs came."""

    async def worker() -> int:
        return sum([await ask(urn) for urn in urns])

    return sum(await asyncio.gather(*(worker() for _ in range(workers))))


def aiohttp_plain(urns: list[str], url: str, workers: int) -> tuple[int, _Phase]:
    """A bare aiohttp loop as one writes it: default session, ``json.loads``; on uvloop, as `inventory` is."""
    import aiohttp  # noqa: PLC0415 - a contestant loads what it needs, and no other's
    import uvloop  # noqa: PLC0415 - the same

    async def main() -> tuple[int, _Phase]:
        connector = aiohttp.TCPConnector(limit=workers)
        async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:

            async def ask(urn: str) -> bool:
                async with session.get(url + _path(urn)) as response:
                    return response.status == 200 and "func_urn" in json.loads(await response.read())

            with _Phase() as phase:
                answered = await _work_off(iter(urns), workers, ask)
            return answered, phase

    return uvloop.run(main())


def aiohttp_tuned(urns: list[str], url: str, workers: int) -> tuple[int, _Phase]:
    """The same with all that makes it quicker: msgspec, URLs not parsed again, no cookies, no timeout."""
    import aiohttp  # noqa: PLC0415 - a contestant loads what it needs, and no other's
    import msgspec  # noqa: PLC0415 - the same
    import uvloop  # noqa: PLC0415 - the same
    from yarl import URL  # noqa: PLC0415 - the same

    async def main() -> tuple[int, _Phase]:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers=HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        ) as session:

            async def ask(urn: str) -> bool:
                target = URL(url + _path(urn), encoded=True)
                async with session.get(target, allow_redirects=False) as response:
                    return response.status == 200 and "func_urn" in msgspec.json.decode(await response.read())

            with _Phase() as phase:
                answered = await _work_off(iter(urns), workers, ask)
            return answered, phase

    return uvloop.run(main())


def httpx_async(urns: list[str], url: str, workers: int) -> tuple[int, _Phase]:
    import httpx  # noqa: PLC0415 - a contestant loads what it needs, and no other's
    import uvloop  # noqa: PLC0415 - the same

    async def main() -> tuple[int, _Phase]:
        limits = httpx.Limits(max_connections=workers, max_keepalive_connections=workers)
        async with httpx.AsyncClient(base_url=url, headers=HEADERS, limits=limits, trust_env=False) as client:

            async def ask(urn: str) -> bool:
                response = await client.get(_path(urn))
                return response.status_code == 200 and "func_urn" in json.loads(response.content)

            with _Phase() as phase:
                answered = await _work_off(iter(urns), workers, ask)
            return answered, phase

    return uvloop.run(main())


def _credentials_and_settings(workers: int) -> tuple[object, object]:
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415 - a contestant's own import
    from huaweicloudsdkcore.http.http_config import HttpConfig  # noqa: PLC0415 - the same

    # Its own default keeps 10 connections; as many as threads are fairer.
    return BasicCredentials("AK", "SK", PROJECT), HttpConfig(pool_connections=workers, pool_maxsize=workers)


def sdk_threads(urns: list[str], url: str, workers: int) -> tuple[int, _Phase]:
    """The vendor's SDK in a pool of threads, with access keys, as its documentation shows it."""
    from huaweicloudsdkfunctiongraph.v2 import (  # noqa: PLC0415 - a contestant loads what it needs, and no other's
        FunctionGraphClient,
        ShowFunctionAsyncInvokeConfigRequest,
    )

    credentials, settings = _credentials_and_settings(workers)
    builder = FunctionGraphClient.new_builder().with_endpoint(url).with_credentials(credentials)
    client = builder.with_http_config(settings).build()

    def ask(urn: str) -> bool:
        request = ShowFunctionAsyncInvokeConfigRequest(function_urn=urn)
        return client.show_function_async_invoke_config(request).func_urn is not None

    with ThreadPoolExecutor(workers) as pool, _Phase() as phase:
        answered = sum(pool.map(ask, urns))
    return answered, phase


def sdk_async(urns: list[str], url: str, workers: int) -> tuple[int, _Phase]:
    """The vendor's asynchronous client (futures, on 8 threads of its own) with as many calls under way as workers."""
    from huaweicloudsdkfunctiongraph.v2 import (  # noqa: PLC0415 - a contestant loads what it needs, and no other's
        FunctionGraphAsyncClient,
        ShowFunctionAsyncInvokeConfigRequest,
    )

    credentials, settings = _credentials_and_settings(workers)
    builder = FunctionGraphAsyncClient.new_builder().with_endpoint(url).with_credentials(credentials)
    client = builder.with_http_config(settings).build()

    def ask(urn: str) -> object:
        return client.show_function_async_invoke_config_async(ShowFunctionAsyncInvokeConfigRequest(function_urn=urn))

    answered = 0
    left = iter(urns)
    with _Phase() as phase:
        under_way = deque(ask(urn) for urn in islice(left, workers))
        while under_way:
            answered += under_way.popleft().result().func_urn is not None
            under_way.extend(ask(urn) for urn in islice(left, 1))
    return answered, phase


CONTESTANTS = {
    "aiohttp-plain": aiohttp_plain,
    "aiohttp-tuned": aiohttp_tuned,
    "httpx": httpx_async,
    "sdk-threads": sdk_threads,
    "sdk-async": sdk_async,
}


def main() -> None:
    name, path, url, workers = sys.argv[1:]
    answered, phase = CONTESTANTS[name](Path(path).read_text(encoding="ascii").split(), url, int(workers))
    sys.stdout.write(json.dumps({"answered": answered, "wall": phase.wall, "cpu": phase.cpu}) + "\n")


if __name__ == "__main__":
    main()
