"""Sends traces and metrics of a command by OTLP; needs the extra `otel`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from inventory.telemetry.metric import Metric
    from inventory.telemetry.phases import Phase

_HTTP: Final = "http/protobuf"
_PACKAGES: Final = {_HTTP: "http", "grpc": "grpc"}
_SIGNALS: Final = ("TRACES", "METRICS")


class Report(NamedTuple):
    """What is sent of a command: a span, a span for each phase, gauges.

    Units: nanoseconds since 1970-01-01 UTC.
    """

    command: str
    started: int
    ended: int
    exit_code: int
    phases: Sequence[Phase]
    metrics: Sequence[Metric]


def signals(environment: Mapping[str, str]) -> list[str]:
    """Returns the signals that the standard variables ask for: none without an endpoint."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    return [
        signal
        for signal in _SIGNALS
        if environment.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() in {"", "otlp"}
        and _setting(signal, "ENDPOINT", environment)
    ]


def send(report: Report, environment: Mapping[str, str]) -> str:
    """Sends a report after the command; returns what went wrong, or nothing. It never fails the command."""
    wanted = signals(environment)
    if not wanted:
        return ""
    import logging  # noqa: PLC0415 - of no use without OTLP

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)  # one sentence instead
    try:
        for signal in wanted:
            if (protocol := _setting(signal, "PROTOCOL", environment) or _HTTP) not in _PACKAGES:
                return f"OTEL_EXPORTER_OTLP_PROTOCOL {protocol!r} is not supported; give {_HTTP} or grpc"
            if not _SEND[signal](report, _exporter(signal, protocol), environment):
                return f"{signal.lower()} were not accepted by the OTLP endpoint; check or unset the OTEL_* variables"
    except ImportError as error:
        return (
            f"OTLP is asked for by OTEL_* variables, but the package {error.name} is missing; "
            "run pip install 'functiongraph-inventory[otel]', or set OTEL_SDK_DISABLED=true"
        )
    except (OSError, ValueError, RuntimeError) as error:  # its text may have the endpoint's password
        return f"OTLP failed ({type(error).__name__}); check the OTEL_* variables, or unset them"
    return ""


def _setting(signal: str, name: str, environment: Mapping[str, str]) -> str:
    """A variable of one signal, or else of all."""
    own, common = f"OTEL_EXPORTER_OTLP_{signal}_{name}", f"OTEL_EXPORTER_OTLP_{name}"
    return environment.get(own) or environment.get(common) or ""


def _exporter(signal: str, protocol: str) -> Any:  # noqa: ANN401 - of a package that may be missing
    module, name = {"TRACES": ("trace", "Span"), "METRICS": ("metric", "Metric")}[signal]
    exporters = import_module(f"opentelemetry.exporter.otlp.proto.{_PACKAGES[protocol]}.{module}_exporter")
    return getattr(exporters, f"OTLP{name}Exporter")()


def _resource(environment: Mapping[str, str]) -> Any:  # noqa: ANN401 - as above
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - the extra may be missing

    has_name = "OTEL_SERVICE_NAME" in environment or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    defaults = (
        {"service.version": __version__} if has_name else {"service.version": __version__, "service.name": "inventory"}
    )
    return Resource.create(defaults)


def _send_traces(report: Report, exporter: Any, environment: Mapping[str, str]) -> bool:  # noqa: ANN401 - as above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - the extra may be missing
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult  # noqa: PLC0415 - as above
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter  # noqa: PLC0415 - as above
    from opentelemetry.trace import Status, StatusCode, set_span_in_context  # noqa: PLC0415 - as above
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - as above

    spans = InMemorySpanExporter()
    provider = TracerProvider(resource=_resource(environment), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    tracer = provider.get_tracer("inventory", __version__)
    carrier = {name: environment.get(name.upper(), "") for name in ("traceparent", "tracestate")}
    context = TraceContextTextMapPropagator().extract(carrier)
    attributes: dict[str, Any] = {"process.exit.code": report.exit_code}
    for metric in report.metrics:
        attributes |= {".".join([metric.name, *labels.values()]): value for labels, value in metric.samples}
    root = tracer.start_span(f"inventory {report.command}", context, attributes=attributes, start_time=report.started)
    for phase in report.phases:
        span = tracer.start_span(phase.name, set_span_in_context(root), start_time=phase.started)
        span.end(phase.ended)
    if report.exit_code:
        root.set_status(Status(StatusCode.ERROR, f"exit code {report.exit_code}"))
    root.end(report.ended)
    finished = spans.get_finished_spans()  # none if the sampler drops them
    return not finished or exporter.export(finished) is SpanExportResult.SUCCESS


def _send_metrics(report: Report, exporter: Any, environment: Mapping[str, str]) -> bool:  # noqa: ANN401 - as above
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - the extra may be missing
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult  # noqa: PLC0415 - as above

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=_resource(environment), shutdown_on_exit=False)
    meter = provider.get_meter("inventory", __version__)
    for metric in report.metrics:
        instrument = meter.create_gauge(metric.name, description=metric.help)
        for labels, value in metric.samples:
            instrument.set(value, dict(labels))
    data = reader.get_metrics_data()
    return data is None or exporter.export(data) is MetricExportResult.SUCCESS


_SEND: Final = {"TRACES": _send_traces, "METRICS": _send_metrics}
