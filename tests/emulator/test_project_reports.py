"""Top functions, reserved instances and quotas of the emulator, read by the vendor's SDK."""

from __future__ import annotations

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkfunctiongraph.v2 import (
    FunctionGraphClient,
    ListFunctionAsMetricRequest,
    ListFunctionReservedInstancesRequest,
    ListFunctionsRequest,
    ListQuotasRequest,
    ListReservedInstanceConfigsRequest,
)

from inventory.emulator import Emulator, GeneratedCloud, Reply

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")

P = "0123456789abcdef0123456789abcdef"
NOW = 1_790_000_000


@pytest.fixture(scope="module")
def server():
    with Emulator(GeneratedCloud(600, projects=[P]), now=lambda: NOW) as emulator:
        yield emulator


@pytest.fixture
def client(server):
    server.clear()
    builder = FunctionGraphClient.new_builder().with_endpoint(server.url)
    return builder.with_credentials(BasicCredentials("any", "any", P)).build()


def listed_failures(client):
    pages = [client.list_functions(ListFunctionsRequest(marker=marker)) for marker in ("0", "400")]
    return {item.func_urn: item.fail_count for page in pages for item in page.functions}


def top(client, **query):
    return [
        (item.key, item.value) for item in client.list_function_as_metric(ListFunctionAsMetricRequest(**query)).values
    ]


def test_the_top_functions_have_the_most_failures_of_the_list(client):
    failures = listed_failures(client)
    values = top(client)
    assert [value for _, value in values] == sorted(failures.values(), reverse=True)[:10]
    assert values == [(urn, failures[urn]) for urn, _ in values]
    assert len(top(client, limit="5")) == 5
    assert len(top(client, limit="100", type="failcount")) == 20


@pytest.mark.parametrize("unit", [1, 1000])
def test_failures_grow_with_the_time_span(client, unit):
    day = [value for _, value in top(client, start_time=str((NOW - 86_400) * unit), end_time=str(NOW * unit))]
    week = [value for _, value in top(client, start_time=str((NOW - 7 * 86_400) * unit), end_time=str(NOW * unit))]
    assert day == [value for _, value in top(client)]
    assert week == [7 * value for value in day]
    assert top(client, start_time=str(NOW), end_time=str(NOW)) == []


@pytest.mark.parametrize(
    "query",
    [
        *({"limit": "3"}, {"limit": "0"}, {"limit": "-5"}, {"type": "duration"}, {"start_time": "x"}),
        *({"end_time": "2026-11-28"}, {"start_time": str(NOW), "end_time": str(NOW - 1)}),
    ],
)
def test_a_wrong_report_is_refused(client, query):
    with pytest.raises(ClientRequestException, match=r"FSS\.0400"):
        top(client, **query)


def test_reserved_instances_are_listed_in_pages_that_end_empty(client):
    items, marker, sizes = [], 0, []
    while True:
        request = ListReservedInstanceConfigsRequest(marker=str(marker), limit="10")
        page = client.list_reserved_instance_configs(request)
        sizes.append(page.page_info.current_count)
        if not page.reserved_instances:
            break
        items += page.reserved_instances
        marker = page.page_info.next_marker
    assert len(items) == page.count == marker
    assert sizes[0] == 10
    assert len({item.function_urn for item in items}) == len(items) < 600 / 10
    assert {item.qualifier_type for item in items} == {"version", "alias"}
    assert {item.idle_mode for item in items} == {True, False}
    crons = [cron for item in items for cron in item.tactics_config.cron_configs or ()]
    metrics = [metric for item in items for metric in item.tactics_config.metric_configs or ()]
    assert crons
    assert metrics
    assert {type(item.count) for item in crons} == {type(item.threshold) for item in metrics} == {int}
    one = client.list_reserved_instance_configs(ListReservedInstanceConfigsRequest(function_urn=items[3].function_urn))
    assert [item.function_urn for item in one.reserved_instances] == [items[3].function_urn]


def test_the_numbers_of_reserved_instances_are_those_of_the_configs(client):
    configs = client.list_reserved_instance_configs(ListReservedInstanceConfigsRequest()).reserved_instances
    page = client.list_function_reserved_instances(ListFunctionReservedInstancesRequest())
    marks = {"alias": "!", "version": ""}
    assert [(item.func_urn, item.count) for item in page.reservedinstances] == [
        (f"{item.function_urn}:{marks[item.qualifier_type]}{item.qualifier_name}", item.min_count) for item in configs
    ]
    urn = page.reservedinstances[0].func_urn
    one = client.list_function_reserved_instances(ListFunctionReservedInstancesRequest(urn=urn))
    assert [item.func_urn for item in one.reservedinstances] == [urn]


@pytest.mark.parametrize("query", [{"marker": "x"}, {"marker": "-1"}, {"limit": "-1"}, {"limit": "x"}])
def test_wrong_pages_are_refused(client, query):
    with pytest.raises(ClientRequestException, match=r"FSS\.0400"):
        client.list_reserved_instance_configs(ListReservedInstanceConfigsRequest(**query))
    with pytest.raises(ClientRequestException, match=r"FSS\.0400"):
        client.list_function_reserved_instances(ListFunctionReservedInstancesRequest(**query))


def test_quotas_have_the_documented_types_and_the_number_of_functions(client):
    quotas = {item.type: item for item in client.list_quotas(ListQuotasRequest()).quotas.resources}
    assert set(quotas) == {
        *("fgs_func_scale_down_timeout", "fgs_func_occurs", "fgs_func_pat_idle_time", "fgs_func_num"),
        *("fgs_func_code_size", "fgs_workflow_num", "fgs_on_demand_instance_limit", "fgs_func_qos_limit"),
    }
    assert (quotas["fgs_func_num"].used, quotas["fgs_func_num"].quota) == (600, 600)
    assert {item.type for item in quotas.values() if item.unit} == {"fgs_func_code_size"}
    assert all(0 <= item.used <= item.quota for item in quotas.values())


@pytest.mark.parametrize(
    ("path", "method", "request_type"),
    [
        ("quotas", "list_quotas", ListQuotasRequest),
        ("function/report", "list_function_as_metric", ListFunctionAsMetricRequest),
        ("functions/reservedinstanceconfigs", "list_reserved_instance_configs", ListReservedInstanceConfigsRequest),
        ("functions", "list_functions", ListFunctionsRequest),
    ],
)
def test_a_call_without_a_urn_is_planned_by_its_path(server, client, path, method, request_type):
    server.plan({path: [Reply(403, b'{"error_code":"FSS.0403","error_msg":"no permission"}')]})
    with pytest.raises(ClientRequestException) as caught:
        getattr(client, method)(request_type())
    assert caught.value.status_code == 403
    assert getattr(client, method)(request_type())


def test_a_function_plans_urns_only(server, client):
    server.plan(lambda urn, calls: Reply(500, b"") if urn or not calls else None)
    assert client.list_quotas(ListQuotasRequest()).quotas
