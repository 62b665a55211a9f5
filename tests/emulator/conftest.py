from __future__ import annotations

import aiohttp
import pytest
from yarl import URL

from inventory.emulator import Emulator, FileCloud

PROJECT = "p" * 32
TOKEN = "t"
BASE = f"urn:fss:cn-north-4:{PROJECT}:function:default:"
CONFIG = {"func_urn": f"{BASE}f:latest", "max_async_retry_attempts": 1}
STATE = {f"{BASE}f": CONFIG, f"{BASE}f:!prod": {"max_async_retry_attempts": 2}, f"{BASE}g": None}


@pytest.fixture
async def emulator():
    async with Emulator(FileCloud(STATE)) as emulator:
        yield emulator


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def get(emulator, session):
    async def get(urn: str = f"{BASE}f", token: str | None = TOKEN, project: str = PROJECT, **headers: str):
        if token is not None:
            headers["X-Auth-Token"] = token
        url = f"{emulator.url}/v2/{project}/fgs/functions/{urn}/async-invoke-config"
        async with session.get(URL(url, encoded=True), headers=headers, allow_redirects=False) as response:
            return response.status, await response.read(), response.headers

    return get
