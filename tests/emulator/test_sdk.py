"""The vendor's clients run against the emulator."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import huaweicloudsdkfunctiongraph.v2 as models
import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials, GlobalCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkfunctiongraph.v2 import (
    FunctionGraphClient,
    ListFunctionAsyncInvokeConfigRequest,
    ListFunctionsRequest,
    ListFunctionVersionsRequest,
    ListVersionAliasesRequest,
    ShowFunctionAsyncInvokeConfigRequest,
)
from huaweicloudsdkiam.v3 import (
    AuthScope,
    AuthScopeProject,
    IamClient,
    KeystoneCreateUserTokenByPasswordRequest,
    KeystoneCreateUserTokenByPasswordRequestBody,
    KeystoneListProjectsRequest,
    PwdAuth,
    PwdIdentity,
    PwdPassword,
    PwdPasswordUser,
    PwdPasswordUserDomain,
)

from inventory.emulator import Emulator, FileCloud, GeneratedCloud, Keys, Scope, User

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

AK, SK = "AKOFTHETESTS00000001", "SKOFTHETESTS00000000000000000000000000001"
P = "0123456789abcdef0123456789abcdef"
BASE = f"urn:fss:cn-north-4:{P}:function:default:"
CONFIG = {"max_async_retry_attempts": 1, "destination_config": {"on_failure": {"destination": "SMN", "param": "{}"}}}


@pytest.fixture
def server():
    cloud = FileCloud({f"{BASE}f:latest": CONFIG, f"{BASE}f:!prod": CONFIG, f"{BASE}g:v1.0": None})
    emulator = Emulator(cloud, keys=Keys({AK: SK}, now=time.time), users=[User("reader", "password", "company")])
    with emulator.in_thread():
        yield emulator


def functiongraph(server, key=AK, secret=SK):
    builder = FunctionGraphClient.new_builder().with_endpoint(server.url)
    return builder.with_credentials(BasicCredentials(key, secret, P)).build()


def iam(server, key=AK, secret=SK):
    builder = IamClient.new_builder().with_endpoint(server.url)
    return builder.with_credentials(GlobalCredentials(key, secret, "a-domain")).build()


@pytest.mark.parametrize("qualifier", [":latest", ":!prod", ""])
def test_a_valid_key_is_accepted(server, qualifier):
    request = ShowFunctionAsyncInvokeConfigRequest(function_urn=f"{BASE}f{qualifier}")
    shown = functiongraph(server).show_function_async_invoke_config(request)
    assert shown.max_async_retry_attempts == 1
    assert shown.destination_config.on_failure.destination == "SMN"


def test_errors_are_read_as_errors(server):
    request = ShowFunctionAsyncInvokeConfigRequest(function_urn=f"{BASE}h")
    with pytest.raises(ClientRequestException) as caught:
        functiongraph(server).show_function_async_invoke_config(request)
    assert (caught.value.status_code, caught.value.error_code) == (404, "FSS.1051")
    assert caught.value.request_id


@pytest.mark.parametrize("policy", ["user", "ip", "api"])
def test_a_stray_refusal_is_one_429_and_a_limit_names_its_policy(server, policy):
    server.faults, server.limit = "stray=100%", f"3/day:{policy}"
    client, request = functiongraph(server), ShowFunctionAsyncInvokeConfigRequest(function_urn=f"{BASE}f")
    seen = []
    for _ in range(4):
        try:
            client.show_function_async_invoke_config(request)
        except ClientRequestException as error:
            seen.append(error.status_code)
        else:
            seen.append(200)
    assert seen == [429, 200, 200, 429]
    assert [call.fault for call in server.requests] == ["stray", None, None, None]


def test_a_wrong_key_is_refused_and_locked_after_five(server):
    request = ShowFunctionAsyncInvokeConfigRequest(function_urn=f"{BASE}f")
    messages = []
    for _ in range(6):
        with pytest.raises(ClientRequestException) as caught:
            functiongraph(server, secret="wrong").show_function_async_invoke_config(request)
        messages.append(caught.value.error_msg)
    assert all("verify aksk signature fail" in text and AK in text for text in messages)
    with pytest.raises(ClientRequestException, match="AK access failed to reach the limit,forbidden") as caught:
        functiongraph(server).show_function_async_invoke_config(request)
    assert (caught.value.status_code, caught.value.error_code) == (401, "APIGW.0301")
    with pytest.raises(ClientRequestException, match="ak another not exist"):
        functiongraph(server, key="another").show_function_async_invoke_config(request)


def test_a_lock_ends():
    now = time.time()
    times = iter([now] * 14 + [now + 301] * 10)
    emulator = Emulator(FileCloud({f"{BASE}f": CONFIG}))
    emulator.keys = Keys({AK: SK}, now=lambda: next(times))
    request = ShowFunctionAsyncInvokeConfigRequest(function_urn=f"{BASE}f")
    with emulator.in_thread():
        for _ in range(6):
            with pytest.raises(ClientRequestException):
                functiongraph(emulator, secret="wrong").show_function_async_invoke_config(request)
        for reading in times:
            if reading > now:
                break
        assert functiongraph(emulator).show_function_async_invoke_config(request).max_async_retry_attempts == 1


@pytest.mark.parametrize(("skew", "accepted"), [(-890, True), (890, True), (-910, False), (910, False)])
def test_a_clock_may_be_a_quarter_of_an_hour_off(server, skew, accepted):
    server.keys = Keys({AK: SK}, now=lambda: time.time() + skew)
    request = ShowFunctionAsyncInvokeConfigRequest(function_urn=f"{BASE}f")
    if accepted:
        assert functiongraph(server).show_function_async_invoke_config(request)
        return
    with pytest.raises(ClientRequestException, match="signature expired"):
        functiongraph(server).show_function_async_invoke_config(request)


def token_request(password="password", project=P):
    user = PwdPasswordUser(domain=PwdPasswordUserDomain(name="company"), name="reader", password=password)
    identity = PwdIdentity(methods=["password"], password=PwdPassword(user=user))
    auth = PwdAuth(identity=identity, scope=AuthScope(project=AuthScopeProject(id=project)))
    body = KeystoneCreateUserTokenByPasswordRequestBody(auth=auth)
    return KeystoneCreateUserTokenByPasswordRequest(nocatalog="true", body=body)


def test_iam_gives_tokens_and_lists_projects(server):
    issued = iam(server).keystone_create_user_token_by_password(token_request())
    assert issued.x_subject_token in server.iam.tokens
    assert issued.token.expires_at.endswith("Z")
    listed = iam(server).keystone_list_projects(KeystoneListProjectsRequest(name="cn-north-4"))
    assert [(project.id, project.name) for project in listed.projects] == [(P, "cn-north-4")]
    assert iam(server).keystone_list_projects(KeystoneListProjectsRequest(name="nowhere")).projects == []


def test_iam_errors_have_iams_form(server):
    for request in (token_request(password="wrong"), token_request(project="nowhere")):
        with pytest.raises(ClientRequestException) as caught:
            iam(server).keystone_create_user_token_by_password(request)
        assert caught.value.status_code == 401


async def test_a_token_of_iam_is_bound_to_its_project_and_its_end(session):
    now = time.time()
    clock = [now]
    other, sub = "f" * 32, "e" * 32
    cloud = FileCloud({f"{BASE}f:latest": CONFIG})
    cloud.scopes = (Scope("cn-north-4", P), Scope("ap-southeast-1", other), Scope("cn-north-4", sub))
    emulator = Emulator(cloud, users=[User("reader", "password", "company")], now=lambda: clock[0])
    async with emulator:

        async def show_config(project):
            issued = await asyncio.to_thread(
                iam(emulator).keystone_create_user_token_by_password, token_request(project=project)
            )
            url = f"{emulator.url}/v2/{P}/fgs/functions/{BASE}f:latest/async-invoke-config"
            clock[0] += 3600
            results = []
            for _ in range(2):
                async with session.get(url, headers={"X-Auth-Token": issued.x_subject_token}) as response:
                    results.append((response.status, (await response.json()).get("error_code")))
                clock[0] += 86_400
            return results

        assert await show_config(P) == [(200, None), (401, "APIGW.0307")]
        assert (await show_config(other))[0] == (401, "APIGW.0307")
        assert (await show_config(sub))[0] == (403, "FSS.0403")
        url = f"{emulator.url}/v2/{P}/fgs/functions/{BASE}f:latest/async-invoke-config"
        async with session.get(url, headers={"X-Auth-Token": "made-up"}) as response:
            assert response.status == 401


def test_functions_are_paged_by_offset(server):
    server.state = GeneratedCloud(950, projects=[P])
    client = functiongraph(server)
    listed, marker, pages = [], 0, 0
    while True:
        page = client.list_functions(ListFunctionsRequest(marker=str(marker), maxitems="400"))
        listed += [function.func_urn for function in page.functions]
        marker, pages = page.next_marker, pages + 1
        if marker >= page.count:
            break
    assert (len(set(listed)), pages, marker) == (950, 3, 950)
    assert {urn.count(":") for urn in listed} == {6}
    assert client.list_functions(ListFunctionsRequest(marker="950")).functions == []


TYPES = {"str": str, "int": int, "bool": bool, "datetime": datetime, "list[str]": list}


def mistyped(item):
    kinds = {name: TYPES.get(kind) or getattr(models, kind) for name, kind in item.openapi_types.items()}
    return {name for name, kind in kinds.items() if type(getattr(item, name)) is not kind}


def test_every_fact_of_a_list_has_the_type_of_the_vendors_model(server):
    server.state = GeneratedCloud(400, projects=[P])
    client = functiongraph(server)
    functions = client.list_functions(ListFunctionsRequest()).functions
    assert {frozenset(mistyped(item)) for item in functions} == {frozenset()}
    urns = [item.func_urn for item in functions[:60]]
    versions = [
        item
        for urn in urns
        for item in client.list_function_versions(ListFunctionVersionsRequest(function_urn=urn)).versions
    ]
    assert {frozenset(mistyped(item)) for item in versions if item.function_async_config} == {frozenset()}
    configs = [item.function_async_config for item in versions]
    assert {None} < {config and config.max_async_event_age_in_seconds for config in configs}
    assert {item.custom_image.enabled for item in versions} == {True, False}
    bodies = [client.list_version_aliases(ListVersionAliasesRequest(function_urn=urn)).body for urn in urns]
    aliases = [alias for body in bodies for alias in body or ()]  # the SDK reads an empty array as None
    assert {type(alias.last_modified) for alias in aliases} == {datetime}
    assert {type(alias.additional_version_weights) for alias in aliases} == {dict, type(None)}


@pytest.mark.parametrize("query", [{"maxitems": "0"}, {"maxitems": "401"}, {"maxitems": "-1"}, {"marker": "x"}])
def test_invalid_page_sizes_are_refused(server, query):
    with pytest.raises(ClientRequestException) as caught:
        functiongraph(server).list_functions(ListFunctionsRequest(**query))
    assert (caught.value.status_code, caught.value.error_code) == (400, "FSS.0400")


def test_versions_and_aliases_are_listed(server):
    client = functiongraph(server)
    versions = client.list_function_versions(ListFunctionVersionsRequest(function_urn=f"{BASE}g"))
    assert [(version.func_urn, version.version) for version in versions.versions] == [
        (f"{BASE}g", "latest"),
        (f"{BASE}g", "v1.0"),
    ]
    aliases = client.list_version_aliases(ListVersionAliasesRequest(function_urn=f"{BASE}f"))
    assert [alias.alias_urn for alias in aliases.body] == [f"{BASE}f:!prod"]
    for call, request in (
        (client.list_function_versions, ListFunctionVersionsRequest(function_urn=f"{BASE}h")),
        (client.list_version_aliases, ListVersionAliasesRequest(function_urn=f"{BASE}h")),
    ):
        with pytest.raises(ClientRequestException, match=r"FSS\.1051"):
            call(request)


@pytest.mark.parametrize(("aliases", "names"), [(True, ["latest", "!prod"]), (False, ["latest"])])
def test_the_configs_of_a_function_are_listed(server, aliases, names):
    server.lists_aliases = aliases
    client = functiongraph(server)
    listed = client.list_function_async_invoke_config(ListFunctionAsyncInvokeConfigRequest(function_urn=f"{BASE}f"))
    assert [config.func_urn.removeprefix(f"{BASE}f:") for config in listed.async_invoke_configs] == names
    assert (listed.count, listed.page_info.next_marker) == (len(names), 0)
    empty = client.list_function_async_invoke_config(ListFunctionAsyncInvokeConfigRequest(function_urn=f"{BASE}g"))
    assert (empty.async_invoke_configs, empty.count) == (None, 0)


def test_the_configs_of_a_function_are_paged(server):
    server.state = FileCloud({f"{BASE}f:v{number:03}": CONFIG for number in range(250)})
    client = functiongraph(server)

    def list_configs(**query):
        request = ListFunctionAsyncInvokeConfigRequest(function_urn=f"{BASE}f", **query)
        return client.list_function_async_invoke_config(request)

    assert len(list_configs().async_invoke_configs) == 10
    assert len(list_configs(limit="0").async_invoke_configs) == 10
    assert len(list_configs(limit="500").async_invoke_configs) == 100
    last = list_configs(limit="100", marker="200")
    assert (len(last.async_invoke_configs), last.page_info.next_marker, last.count) == (50, 0, 250)
    with pytest.raises(ClientRequestException):
        list_configs(limit="-1")
