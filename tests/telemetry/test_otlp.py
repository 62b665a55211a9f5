"""OTLP to a collector on this machine."""

import subprocess
import sys

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from support.otlp_collector import running_collector, spans_of

from inventory.telemetry.metric import Metric, gauge
from inventory.telemetry.otlp import Report, send, signals
from inventory.telemetry.phases import Phase

STARTED = 1_795_000_000_000_000_000
REPORT = Report(
    "export",
    STARTED,
    STARTED + 5_000,
    1,
    [Phase("load", STARTED + 1, STARTED + 2), Phase("fetch", STARTED + 2, STARTED + 4_000)],
    [
        Metric("inventory_export_urns", "URNs.", (({"status": "configured"}, 7), ({"status": "failed"}, 1))),
        gauge("inventory_export_coverage_ratio", "Share.", 0.875),
    ],
)


@pytest.fixture
def collector(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with running_collector() as server:
        yield server


@pytest.fixture
def send_to(collector, monkeypatch):
    def send_report(report=REPORT, **variables):
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **variables}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return send(report, environment)

    return send_report


def test_a_run_is_a_trace_with_its_phases(collector, send_to):
    assert send_to() == ""
    spans, resource = spans_of(collector)
    root = spans["inventory export"]
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (STARTED, STARTED + 5_000)
    assert root.status.message == "exit code 1"
    assert {name: spans[name].parent_span_id for name in ("load", "fetch")} == dict.fromkeys(
        ("load", "fetch"), root.span_id
    )
    assert spans["fetch"].end_time_unix_nano == STARTED + 4_000
    values = {pair.key: pair.value.int_value or pair.value.double_value for pair in root.attributes}
    assert values == {
        "process.exit.code": 1,
        "inventory_export_urns.configured": 7,
        "inventory_export_urns.failed": 1,
        "inventory_export_coverage_ratio": 0.875,
    }
    assert resource["service.name"] == "inventory"


def test_the_gauges_are_those_of_the_metrics_file(collector, send_to):
    send_to()
    request = ExportMetricsServiceRequest.FromString(collector.received["/v1/metrics"])
    (resource,) = request.resource_metrics
    points = {
        (metric.name, *(pair.value.string_value for pair in point.attributes)): point.as_int or point.as_double
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.gauge.data_points
    }
    assert points == {
        ("inventory_export_urns", "configured"): 7,
        ("inventory_export_urns", "failed"): 1,
        ("inventory_export_coverage_ratio",): 0.875,
    }


def test_the_standard_variables_count(collector, send_to):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    variables = {
        "OTEL_SERVICE_NAME": "nightly",
        "OTEL_RESOURCE_ATTRIBUTES": "team=data",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=secret",
        "OTEL_METRICS_EXPORTER": "none",
        "TRACEPARENT": parent,
    }
    assert send_to(**variables) == ""
    spans, resource = spans_of(collector)
    assert (resource["service.name"], resource["team"]) == ("nightly", "data")
    assert spans["inventory export"].trace_id.hex() == parent.split("-")[1]
    assert spans["inventory export"].parent_span_id.hex() == parent.split("-")[2]
    assert collector.headers["/v1/traces"]["x-key"] == "secret"
    assert set(collector.received) == {"/v1/traces"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "u"}, ["TRACES", "METRICS"]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "u"}, ["TRACES"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "u", "OTEL_SDK_DISABLED": "True"}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "u", "OTEL_TRACES_EXPORTER": "console"}, ["METRICS"]),
        ({"OTEL_SERVICE_NAME": "x"}, []),
    ],
)
def test_signals_need_an_endpoint_and_no_other_exporter(variables, expected):
    assert signals(variables) == expected


def test_a_refusal_of_the_collector_is_one_sentence(collector, send_to, caplog):
    collector.status = 400
    message = send_to()
    assert message.startswith("traces were not accepted by the OTLP endpoint; ")
    assert caplog.records == []


def test_nothing_at_the_endpoint_is_one_sentence(send_to):
    closed = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    message = send_to(**closed)
    assert "OTLP" in message
    assert message.endswith(("OTEL_* variables", "OTEL_* variables, or unset them"))


def test_an_endpoint_that_is_no_url_is_not_quoted(send_to):
    message = send_to(OTEL_EXPORTER_OTLP_ENDPOINT="user:secret@host:x/y")
    assert "OTLP" in message
    assert "secret" not in message


def test_an_unknown_protocol_is_one_sentence(send_to):
    assert "'http/json' is not supported; give http/protobuf or grpc" in send_to(
        OTEL_EXPORTER_OTLP_PROTOCOL="http/json"
    )


def test_a_missing_package_is_named_with_the_command(send_to, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert "pip install 'functiongraph-inventory[otel]'" in send_to()


def test_nothing_of_the_extra_is_imported_without_an_endpoint():
    code = (
        "import sys; from inventory.telemetry.otlp import Report, send; "
        "assert send(Report('export', 1, 2, 0, [], []), {}) == ''; "
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'requests', 'google'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
