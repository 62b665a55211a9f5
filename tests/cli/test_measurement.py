"""Metrics files of export and review."""

import re
import signal
import time

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from support.documents import blocks, table_rows, text_of
from support.otlp_collector import running_collector, spans_of
from support.processes import begin, command
from support.runs import call_cli, wait_for
from support.written_runs import FAILED, config, urn, write_run

from inventory.cli import measurement
from inventory.display.log import Log
from inventory.emulator import Emulator, Faults, GeneratedCloud
from inventory.errors import ExitCode, OutputError
from inventory.telemetry import prometheus

EXPORT = "inventory_export_"
REVIEW = "inventory_review_"


def read(path):
    """The samples of a file by name and labels, without the label of the file."""
    samples = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            assert sample.labels.pop("file") == path.stem
            samples[sample.name, *sample.labels.values()] = sample.value
    return samples


@pytest.fixture
def cloud(tmp_path):
    with Emulator(GeneratedCloud(4)).in_thread() as emulator:
        (tmp_path / "urns.txt").write_text("\n".join([*emulator.urns(), "no urn"]))
        yield emulator


def export(cloud, folder, *more, output="run"):
    arguments = ("urns.txt", "--endpoint", cloud.url, "--output", output, "--metrics-file", "nightly.prom", *more)
    return call_cli("export", *arguments, cwd=folder)


def test_an_export_writes_its_counts(cloud, tmp_path):
    before = time.time()
    done = export(cloud, tmp_path)
    assert done.returncode == 0, done.stderr
    metrics = read(tmp_path / "nightly.prom")
    urns = len(set(cloud.urns()))
    assert sum(value for key, value in metrics.items() if key[0] == f"{EXPORT}urns") == urns
    assert {key[1] for key in metrics if key[0] == f"{EXPORT}urns"} == {
        "configured",
        "not_configured",
        "not_found",
        "failed",
        "not_attempted",
    }
    assert metrics[f"{EXPORT}coverage_ratio",] == 1
    assert metrics[f"{EXPORT}rejects",] == 1
    assert metrics[f"{EXPORT}calls",] == len(cloud.requests)
    assert metrics[f"{EXPORT}refused_calls",] == metrics[f"{EXPORT}retries",] == metrics[f"{EXPORT}exit_code",] == 0
    assert before - 1 <= metrics[f"{EXPORT}last_complete_timestamp_seconds",] <= time.time()
    assert before <= metrics[f"{EXPORT}end_timestamp_seconds",] <= time.time() + 1
    assert metrics[f"{EXPORT}duration_seconds",] > 0


@pytest.mark.parametrize(
    ("more", "code"),
    [(["--token-file", "none.txt"], 3), (["--resume"], 2), (["--region", ""], 2), (["--output", "run"], 4)],
)
def test_the_time_of_the_last_complete_run_survives_a_failing_run(cloud, tmp_path, more, code):
    export(cloud, tmp_path)
    complete = read(tmp_path / "nightly.prom")
    done = export(cloud, tmp_path, *more, output="other")
    assert done.returncode == code, done.stderr
    metrics = read(tmp_path / "nightly.prom")
    assert metrics[f"{EXPORT}exit_code",] == code
    name = (f"{EXPORT}last_complete_timestamp_seconds",)
    assert metrics[name] == complete[name]
    assert metrics[f"{EXPORT}end_timestamp_seconds",] > complete[f"{EXPORT}end_timestamp_seconds",]
    assert not [key for key in metrics if "urns" in key[0] or "coverage" in key[0]]  # nothing is known about them


def test_a_dry_run_writes_no_metrics(cloud, tmp_path):
    assert export(cloud, tmp_path, "--dry-run").returncode == 0
    assert not (tmp_path / "nightly.prom").exists()


def test_a_list_is_not_replaced_and_no_call_is_made(cloud, tmp_path):
    text = (tmp_path / "urns.txt").read_text()
    done = call_cli("export", "urns.txt", "--endpoint", cloud.url, "--metrics-file", "urns.txt", cwd=tmp_path)
    assert done.returncode == 4
    assert "urns.txt is not a file of inventory_export_* metrics" in done.stderr
    assert (tmp_path / "urns.txt").read_text() == text
    assert len(cloud.requests) == 0


def test_a_review_writes_findings_by_severity_and_coverage_by_rule(tmp_path):
    write_run(tmp_path / "run", {urn("silent"): config(), urn("failed"): FAILED})
    arguments = ("--only", "FGA101", "--fail-on", "high", "--metrics-file", "review.prom")
    done = call_cli("review", "run", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    metrics = read(tmp_path / "review.prom")
    assert metrics[f"{REVIEW}findings", "high", "false"] == 1
    assert metrics[f"{REVIEW}findings", "critical", "false"] == metrics[f"{REVIEW}findings", "high", "true"] == 0
    assert metrics[f"{REVIEW}unknown", "high"] == 1
    assert metrics[f"{REVIEW}rule_coverage_ratio", "FGA101"] == metrics[f"{REVIEW}coverage_ratio",] == 0.5
    assert metrics[f"{REVIEW}exit_code",] == 1
    assert metrics[f"{REVIEW}snapshot_timestamp_seconds",] == 1795136400
    done = call_cli("review", "none", "--metrics-file", "review.prom", cwd=tmp_path)
    assert done.returncode == 2
    after = read(tmp_path / "review.prom")
    name = (f"{REVIEW}last_complete_timestamp_seconds",)
    assert (after[f"{REVIEW}exit_code",], after[name]) == (2, metrics[name])
    assert (f"{REVIEW}coverage_ratio",) not in after


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), ExitCode.SIGINT), (AssertionError("x"), ExitCode.BUG)]
)
def test_a_fault_of_the_program_is_measured_and_raised(tmp_path, error, code):
    path = tmp_path / "x.prom"
    with pytest.raises(type(error)), measurement.measured("export", path, Log("text")):
        raise error
    assert read(path)[f"{EXPORT}exit_code",] == code


def test_metrics_that_cannot_be_written_do_not_hide_the_first_error(tmp_path, capsys, monkeypatch):
    def full(*_arguments):
        raise OutputError("the disk is full")

    monkeypatch.setattr(prometheus, "write_metrics_file", full)
    with pytest.raises(AssertionError), measurement.measured("export", tmp_path / "x.prom", Log("text")):
        raise AssertionError
    assert capsys.readouterr().err == "inventory: the disk is full\n"
    with pytest.raises(OutputError, match="full"), measurement.measured("export", tmp_path / "x.prom", Log("text")):
        pass


def test_a_problem_of_otlp_is_a_warning(tmp_path, cloud, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    done = export(cloud, tmp_path)
    assert done.returncode == 0
    assert re.search(r"^inventory: warning: .*OTLP.*OTEL_", done.stderr, re.MULTILINE)
    assert "secret" not in done.stderr


def test_an_export_is_a_trace_of_its_phases(tmp_path, cloud, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        done = call_cli("export", "urns.txt", "--endpoint", cloud.url, "--output", "run", cwd=tmp_path)
    assert (done.returncode, "OTLP" in done.stderr) == (0, False)
    assert set(collector.received) == {"/v1/traces", "/v1/metrics"}
    spans, _ = spans_of(collector)
    assert {"inventory export", "load", "fetch", "build_tables"} <= spans.keys()
    for name in cloud.urns():
        assert name.encode() not in b"".join(collector.received.values())


def test_a_stopped_export_has_its_exit_code(tmp_path):
    with Emulator(GeneratedCloud(200), faults=Faults.parse("latency=200ms")).in_thread() as slow:
        (tmp_path / "urns.txt").write_text("\n".join(slow.urns()))
        arguments = ("--metrics-file", tmp_path / "nightly.prom", "--no-batch")
        with begin(*command(slow, tmp_path / "urns.txt", tmp_path / "run", *arguments)) as process:
            wait_for(lambda: len(slow.requests) > 2)
            process.send_signal(signal.SIGTERM)
            process.communicate()
        assert process.returncode == ExitCode.SIGTERM
    metrics = read(tmp_path / "nightly.prom")
    assert metrics[f"{EXPORT}exit_code",] == ExitCode.SIGTERM
    assert not [key for key in metrics if "last_complete" in key[0] or "urns" in key[0]]


def test_the_alerts_of_the_guide_are_about_metrics_that_exist(cloud, tmp_path):
    export(cloud, tmp_path)
    write_run(tmp_path / "reviewed", {urn("silent"): config()})
    call_cli("review", "reviewed", "--only", "FGA101", "--metrics-file", "review.prom", cwd=tmp_path)
    names = {key[0] for file in ("nightly", "review") for key in read(tmp_path / f"{file}.prom")}
    (block,) = blocks("metrics.md", "yaml")
    rules = yaml.safe_load(block.code)["groups"][0]["rules"]
    used = {name for rule in rules for name in re.findall(r"inventory_\w+", rule["expr"])}
    assert used
    assert used <= names
    shown = {name for row in table_rows(text_of("metrics.md")) for name in re.findall(r"`(inventory_\w+)`", row[0])}
    ends = ("_exit_code", "_end_timestamp_seconds", "_last_complete_timestamp_seconds")
    assert names == shown | {f"inventory_review{end}" for end in ends}
