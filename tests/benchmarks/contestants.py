"""Other HTTP clients that fetch the same list: ``python contestants.py NAME LIST URL WORKERS``.

They call and decode only: no retries, rate limit, ledger or tables. Prints, as JSON, the number of configurations
and the wall time and CPU of the calls, without start-up.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Self

from answers import PROJECT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

TOKEN = "a-token"
HEADERS = {"X-Auth-Token": TOKEN}


class _Phase:
    """Wall time and CPU of the calls."""

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


async def _fetch_all(urns: Iterator[str], workers: int, fetch: Callable[[str], Awaitable[bool]]) -> int:
    """Workers take URNs from one iterator; returns the number of configurations."""

    async def worker() -> int:
        return sum([await fetch(urn) for urn in urns])

    return sum(await asyncio.gather(*(worker() for _ in range(workers))))


def aiohttp_plain(urns: list[str], url: str, workers: int) -> tuple[int, _Phase]:
    """A bare aiohttp loop: default session, ``json.loads``, on uvloop as `inventory` is."""
    import aiohttp  # noqa: PLC0415 - a contestant loads what it needs, and no other's
    import uvloop  # noqa: PLC0415 - the same

    async def main() -> tuple[int, _Phase]:
        connector = aiohttp.TCPConnector(limit=workers)
        async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:

            async def fetch(urn: str) -> bool:
                async with session.get(url + _path(urn)) as response:
                    return response.status == 200 and "func_urn" in json.loads(await response.read())

            with _Phase() as phase:
                answered = await _fetch_all(iter(urns), workers, fetch)
            return answered, phase

    return uvloop.run(main())


def aiohttp_tuned(urns: list[str], url: str, workers: int) -> tuple[int, _Phase]:
    """The same, tuned: msgspec, encoded URLs, no cookies, no timeout."""
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

            async def fetch(urn: str) -> bool:
                target = URL(url + _path(urn), encoded=True)
                async with session.get(target, allow_redirects=False) as response:
                    return response.status == 200 and "func_urn" in msgspec.json.decode(await response.read())

            with _Phase() as phase:
                answered = await _fetch_all(iter(urns), workers, fetch)
            return answered, phase

    return uvloop.run(main())


def httpx_async(urns: list[str], url: str, workers: int) -> tuple[int, _Phase]:
    import httpx  # noqa: PLC0415 - a contestant loads what it needs, and no other's
    import uvloop  # noqa: PLC0415 - the same

    async def main() -> tuple[int, _Phase]:
        limits = httpx.Limits(max_connections=workers, max_keepalive_connections=workers)
        async with httpx.AsyncClient(base_url=url, headers=HEADERS, limits=limits, trust_env=False) as client:

            async def fetch(urn: str) -> bool:
                response = await client.get(_path(urn))
                return response.status_code == 200 and "func_urn" in json.loads(response.content)

            with _Phase() as phase:
                answered = await _fetch_all(iter(urns), workers, fetch)
            return answered, phase

    return uvloop.run(main())


def pyreqwest_async(urns: list[str], url: str, workers: int) -> tuple[int, _Phase]:
    """The client of Rust, with its own threads for the network."""
    import uvloop  # noqa: PLC0415 - a contestant loads what it needs, and no other's
    from pyreqwest.client import ClientBuilder  # noqa: PLC0415 - the same

    async def main() -> tuple[int, _Phase]:
        builder = ClientBuilder().max_connections(workers).default_headers(HEADERS).no_proxy()
        async with builder.build() as client:

            async def fetch(urn: str) -> bool:
                response = await client.get(url + _path(urn)).build().send()
                return response.status == 200 and "func_urn" in json.loads(bytes(await response.bytes()))

            with _Phase() as phase:
                answered = await _fetch_all(iter(urns), workers, fetch)
            return answered, phase

    return uvloop.run(main())


def pycurl_multi(urns: list[str], url: str, workers: int) -> tuple[int, _Phase]:
    """The multi interface of libcurl, one handle for each call in flight."""
    import pycurl  # noqa: PLC0415 - a contestant loads what it needs, and no other's

    multi = pycurl.CurlMulti()
    multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, workers)
    left = iter(urns)
    bodies: dict[object, BytesIO] = {}

    def start(handle: pycurl.Curl) -> None:
        for urn in islice(left, 1):
            bodies[handle] = BytesIO()
            handle.setopt(pycurl.URL, url + _path(urn))
            handle.setopt(pycurl.WRITEDATA, bodies[handle])
            multi.add_handle(handle)

    answered = 0
    handles = [pycurl.Curl() for _ in range(workers)]
    for handle in handles:
        handle.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in HEADERS.items()])
        handle.setopt(pycurl.NOPROXY, "*")
    with _Phase() as phase:
        for handle in handles:
            start(handle)
        while bodies:
            multi.select(1.0)
            multi.perform()
            _, finished, failed = multi.info_read()
            for handle in [*finished, *(handle for handle, *_error in failed)]:
                multi.remove_handle(handle)
                body = bodies.pop(handle).getvalue()
                answered += handle.getinfo(pycurl.RESPONSE_CODE) == 200 and "func_urn" in json.loads(body)
                start(handle)
    return answered, phase


def _credentials_and_settings(workers: int) -> tuple[object, object]:
    from huaweicloudsdkcore.auth.credentials import BasicCredentials  # noqa: PLC0415 - a contestant's own import
    from huaweicloudsdkcore.http.http_config import HttpConfig  # noqa: PLC0415 - the same

    # The default is 10 connections.
    return BasicCredentials("AK", "SK", PROJECT), HttpConfig(pool_connections=workers, pool_maxsize=workers)


def sdk_threads(urns: list[str], url: str, workers: int) -> tuple[int, _Phase]:
    """The vendor's SDK in a pool of threads, with access keys."""
    from huaweicloudsdkfunctiongraph.v2 import (  # noqa: PLC0415 - a contestant loads what it needs, and no other's
        FunctionGraphClient,
        ShowFunctionAsyncInvokeConfigRequest,
    )

    credentials, settings = _credentials_and_settings(workers)
    builder = FunctionGraphClient.new_builder().with_endpoint(url).with_credentials(credentials)
    client = builder.with_http_config(settings).build()

    def fetch(urn: str) -> bool:
        request = ShowFunctionAsyncInvokeConfigRequest(function_urn=urn)
        return client.show_function_async_invoke_config(request).func_urn is not None

    with ThreadPoolExecutor(workers) as pool, _Phase() as phase:
        answered = sum(pool.map(fetch, urns))
    return answered, phase


def sdk_async(urns: list[str], url: str, workers: int) -> tuple[int, _Phase]:
    """The vendor's asynchronous client: futures on its 8 threads."""
    from huaweicloudsdkfunctiongraph.v2 import (  # noqa: PLC0415 - a contestant loads what it needs, and no other's
        FunctionGraphAsyncClient,
        ShowFunctionAsyncInvokeConfigRequest,
    )

    credentials, settings = _credentials_and_settings(workers)
    builder = FunctionGraphAsyncClient.new_builder().with_endpoint(url).with_credentials(credentials)
    client = builder.with_http_config(settings).build()

    def fetch(urn: str) -> object:
        return client.show_function_async_invoke_config_async(ShowFunctionAsyncInvokeConfigRequest(function_urn=urn))

    answered = 0
    left = iter(urns)
    with _Phase() as phase:
        in_flight = deque(fetch(urn) for urn in islice(left, workers))
        while in_flight:
            answered += in_flight.popleft().result().func_urn is not None
            in_flight.extend(fetch(urn) for urn in islice(left, 1))
    return answered, phase


CONTESTANTS = {
    "aiohttp-plain": aiohttp_plain,
    "aiohttp-tuned": aiohttp_tuned,
    "httpx": httpx_async,
    "pyreqwest": pyreqwest_async,
    "pycurl": pycurl_multi,
    "sdk-threads": sdk_threads,
    "sdk-async": sdk_async,
}


def main() -> None:
    name, path, url, workers = sys.argv[1:]
    answered, phase = CONTESTANTS[name](Path(path).read_text(encoding="ascii").split(), url, int(workers))
    sys.stdout.write(json.dumps({"answered": answered, "wall": phase.wall, "cpu": phase.cpu}) + "\n")


if __name__ == "__main__":
    main()
