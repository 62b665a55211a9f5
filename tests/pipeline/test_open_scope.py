from __future__ import annotations

import pytest
from support.runs import TOKEN

from inventory.cloud.accounts import TokenProvider
from inventory.cloud.credentials import TokenCredential
from inventory.cloud.transport import open_session
from inventory.emulator import Emulator, FileCloud
from inventory.errors import RateLimit, UrnError
from inventory.pipeline.open_scope import open_scope
from inventory.scheduling.dispatcher import Dispatcher
from inventory.scheduling.limits import Limits
from inventory.settings import AccountSettings, ExportSettings

REGION, PROJECT = "cn-north-4", "p" * 32
URN = f"urn:fss:{REGION}:{PROJECT}:function:default:f:latest"
ACCOUNT = TokenProvider(TokenCredential(TOKEN, "x"))


@pytest.fixture
async def session():
    async with open_session(5.0) as session:
        yield session


@pytest.fixture
async def server():
    async with Emulator(FileCloud({URN: None}), token=TOKEN) as server:
        yield server


def start(opened, limits=None, **options):
    calls = []
    scope = opened.start(lambda *call: calls.append(call), limits or Limits(1.0), Dispatcher(), **options)
    return scope, calls


async def test_a_scope_is_opened_without_a_call(server, session):
    opened = open_scope(session, ExportSettings(endpoint=server.url), ACCOUNT, REGION, PROJECT)
    start(opened)
    assert not server.requests
    assert opened.credential is ACCOUNT.credential(session, REGION, PROJECT)


async def test_calls_go_to_the_endpoint_and_the_project_of_the_scope(server, session):
    opened = open_scope(session, ExportSettings(endpoint=server.url), ACCOUNT, REGION, PROJECT)
    scope, calls = start(opened)
    outcome = await scope.fetch_config(URN)
    (request,) = server.requests
    assert f"/v2/{PROJECT}/fgs/functions/{URN}/async-invoke-config" in request.path
    assert (outcome.status, [status for _, status in calls]) == ("not_configured", [404])


async def test_the_account_of_a_scope_sets_its_endpoint_rate_and_workers(session):
    own = AccountSettings("one", regions=(REGION,), endpoint="https://one.example", max_per_second=7.0, max_workers=3)
    settings = ExportSettings(endpoint="https://all.example", max_per_second=90.0, max_workers=64, accounts=(own,))
    opened = open_scope(session, settings, ACCOUNT, REGION, PROJECT)
    other = open_scope(session, settings, ACCOUNT, "ap-southeast-1", PROJECT)
    assert (opened.settings.endpoint, opened.settings.max_per_second) == ("https://one.example", 7.0)
    assert (other.settings.endpoint, other.settings.max_per_second) == ("https://all.example", 90.0)
    assert [start(each)[0].lane.limit for each in (opened, other)] == [3, 64]


async def test_a_scope_takes_the_limits_that_an_earlier_session_learned(session):
    limits = Limits(1.0, {"scopes": [[REGION, PROJECT, [[5, 60.0]]]], "endpoints": []})
    opened = open_scope(session, ExportSettings(), ACCOUNT, REGION, PROJECT)
    other = open_scope(session, ExportSettings(), ACCOUNT, REGION, "q" * 32)
    assert [limit[0] for limit in start(opened, limits)[0].throttle.pace.limits] == [5]
    assert start(other, limits)[0].throttle.pace.limits == []


async def test_scopes_of_one_endpoint_share_its_limit(session):
    limits = Limits(1.0, {"scopes": [], "endpoints": [["https://one.example", [[5, 60.0]]]]})
    for project in ("p" * 32, "q" * 32):
        opened = open_scope(session, ExportSettings(endpoint="https://one.example"), ACCOUNT, REGION, project)
        start(opened, limits)
    (shared,) = limits.shared()
    assert (shared.limit, len(shared.scopes)) == (RateLimit(5, 60.0), 2)


async def test_a_region_that_cannot_be_part_of_a_host_is_refused(session):
    with pytest.raises(UrnError):
        open_scope(session, ExportSettings(), ACCOUNT, "a/b", PROJECT)
