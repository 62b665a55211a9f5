import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from support.processes import begin
from support.runs import TOKEN, call_cli, manifest_of, rows, run_cli, wait_for

from inventory.cloud.pages import Operation
from inventory.emulator import Emulator, Faults

URN = "urn:fss:cn-north-4:0123456789abcdef0123456789abcdef:function:default:f:latest"


@pytest.fixture
def server():
    emulator = Emulator(functions=40, token=TOKEN)
    with emulator.in_thread():
        yield emulator


def test_an_export_prints_only_its_folder_on_stdout(tmp_path, write_list, server):
    path = write_list([*server.urns(), "odd"])
    done = run_cli("export", path, "--endpoint", server.url, "--max-per-second", "0", cwd=tmp_path)
    assert done.returncode == 0
    folder = done.stdout.strip()
    assert folder.startswith("output/2")
    assert manifest_of(tmp_path / folder)["input"]["rejects"] == 1
    assert "configured" in done.stderr
    assert "1 reject" in done.stderr
    assert TOKEN not in done.stderr


def test_an_export_says_which_functions_have_no_failure_destination(tmp_path, write_list, server):
    path = write_list(server.urns())
    done = run_cli("export", path, "--endpoint", server.url, "--max-per-second", "0", "--output", tmp_path / "run")
    configured = [row for row in rows(tmp_path / "run") if row["status"] == "configured"]
    silent = [row["function_urn"] for row in configured if row["on_failure_destination"] is None]
    assert 0 < len(silent) < len(configured) / 2
    (line,) = [line for line in done.stderr.splitlines() if "no on_failure destination" in line]
    message, _, command = line.partition("; list them with: ")
    assert message == f"{len(silent)} of {len(configured)} configured functions have no on_failure destination"
    listed = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == ["function_urn", *silent]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "Usage: inventory"),
        (["export"], 2, "no list of URNs; name a file, - for standard input, or --all"),
        (["export", "nowhere.txt"], 2, "nowhere.txt: there is no such file"),
        (["export", "list.xlsx"], 2, "list.xlsx: its name must end in .txt, .csv"),
        (["export", "."], 2, ". is a folder; name the list in it"),
        (["export", "folder.txt"], 2, "folder.txt is a folder"),
        (["export", "urns.txt", "--nonsense"], 2, "--nonsense"),
        (["export", "urns.txt", "--endpoint", "ftp://x"], 2, "--endpoint 'ftp://x' is not a URL such as https://"),
        (
            ["export", "urns.txt", "--endpoint", "http://a..b"],
            2,
            "--endpoint 'http://a..b' is not a URL such as https://",
        ),
        (["export", "urns.txt", "--iam-endpoint", "iam"], 2, "--iam-endpoint 'iam' is not a URL such as https://iam."),
        (["export", "urns.txt", "--max-workers", "0"], 2, "--max-workers 0 cannot be used"),
        (["export", "urns.txt", "--naive-timezone", "Mars"], 2, "--naive-timezone 'Mars' is no time zone"),
        (["export", "urns.txt", "--settings", "none.toml"], 2, "none.toml cannot be read: No such file"),
        (["export", "urns.txt", "--resume"], 2, "--resume needs --output"),
        (["export", "urns.txt", "--resume", "--overwrite", "--output", "x"], 2, "give one of them"),
        (["export", "--resume", "--output", "x"], 2, "--resume: x contains no run"),
        (["export", "-", "-"], 2, "- is given twice: standard input can be read once"),
        (["export", "urns.txt", "--output", "urns.txt"], 4, "urns.txt cannot be written: a file of that name exists"),
        (["export", "urns.txt", "--output", "s3:/bucket/runs"], 2, "'s3:/bucket/runs' is no URL; give s3://bucket"),
        (["export", "urns.txt", "--formt", "csv"], 2, "--format"),
        (["exprot"], 2, "Did you mean 'export'?"),
        (["discover"], 2, "--region is missing; name one, such as --region cn-north-4"),
        (["schema", "nonsense"], 2, "there is no table 'nonsense'; the tables are functions, destinations"),
        (["emulate", "--limit", "many"], 2, "many"),
        (["emulate", "--state", "none.json"], 2, "none.json"),
    ],
)
def test_invalid_input_gives_one_sentence_and_an_exit_code(tmp_path, write_list, arguments, code, message):
    write_list([URN])
    (tmp_path / "folder.txt").mkdir()
    done = call_cli(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr + done.stdout


def test_an_unknown_choice_lists_the_choices():
    done = run_cli("schema", "--format", "xml")
    assert done.returncode == 2
    assert done.stderr == (
        "inventory: invalid value for '--format': 'xml' is not one of 'text', 'json', 'markdown'; "
        "see inventory schema --help\n"
    )


def test_a_missing_token_stops_the_export(tmp_path, write_list):
    done = run_cli("export", write_list([URN]), "--output", tmp_path / "run", token=None)
    assert done.returncode == 3
    assert "set HW_AUTH_TOKEN to an IAM token, or give --token-file" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_refused_token_stops_the_export(tmp_path, write_list, server):
    path = write_list(server.urns())
    done = run_cli("export", path, "--endpoint", server.url, "--output", tmp_path / "run", token="a-dead-token-of-ours")
    assert done.returncode == 3
    assert "APIGW.0301" in done.stderr
    assert "were not attempted" in done.stderr
    assert f"--resume --output {tmp_path / 'run'}" in done.stderr
    assert len(server.requests) <= 3
    assert "a-dead-token-of-ours" not in done.stderr + (tmp_path / "run" / "manifest.json").read_text()


def test_standard_input_is_a_list(tmp_path, server):
    done = run_cli(
        "export", "-", "--endpoint", server.url, "--output", tmp_path / "run", stdin="\n".join(server.urns(5))
    )
    assert done.returncode == 0
    assert len(rows(tmp_path / "run")) == 5


def test_a_dry_run_makes_no_call_and_no_folder(tmp_path, write_list, server):
    path = write_list([*server.urns(20), "odd"])
    done = run_cli(
        "export", path, "--endpoint", server.url, "--max-per-second", "2", "--dry-run", cwd=tmp_path, token=None
    )
    assert done.returncode == 0
    figures = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()[:7]}
    assert figures == {
        "entries": "21",
        "URNs": "20",
        "duplicates": "0",
        "rejects": "1",
        "scopes": "1",
        "calls": "20 (and retries)",
        "time": "10 s at 2 calls per second and scope",
    }
    assert not server.requests
    assert list(tmp_path.iterdir()) == [path]


def test_json_logs_are_json_lines(tmp_path, write_list, server):
    path = write_list(server.urns())
    done = run_cli("export", path, "--endpoint", server.url, "--log-format", "json", "--output", tmp_path / "run")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [event["event"] for event in events][-1] == "summary"
    assert all(event["time"].endswith("Z") for event in events)
    broken = run_cli("export", "nowhere.txt", "--log-format", "json", cwd=tmp_path)
    assert json.loads(broken.stderr)["exit_code"] == 2


def test_quiet_shows_errors_only(tmp_path, write_list, server):
    path = write_list(server.urns(5))
    done = run_cli("export", path, "--endpoint", server.url, "--quiet", "--output", tmp_path / "run")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", f"{tmp_path / 'run'}\n")


def test_a_settings_file_sets_options(tmp_path, write_list, server):
    toml = tmp_path / "inventory.toml"
    toml.write_text(f'endpoint = "{server.url}"\nformat = ["csv"]\nmax-per-second = 0\n')
    done = run_cli("export", write_list(server.urns(5)), "--settings", toml, "--output", tmp_path / "run")
    assert done.returncode == 0
    assert {file.suffix for file in (tmp_path / "run").iterdir()} == {".csv", ".json", ".sqlite"}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_stopped_by_a_signal_can_be_resumed(tmp_path, write_list, number, code):
    with Emulator(functions=80, faults=Faults(latency=0.2)).in_thread() as server:
        path = write_list(server.urns())
        place = ("--endpoint", server.url, "--max-workers", "8", "--output", tmp_path / "run")
        with begin("export", path, *place) as run:
            wait_for(lambda: sum(server.counts.values()) >= 30)
            run.send_signal(number)
            messages = run.communicate()[1]
        assert run.returncode == code, messages
        assert f"inventory export --resume --output {tmp_path / 'run'}" in messages.replace(f"{sys.executable} -m ", "")
        assert not (tmp_path / "run" / "manifest.json").exists()
        before = sum(server.counts.values())
        server.faults = None
        done = run_cli("export", "--resume", "--output", tmp_path / "run")  # as it was advised: it knows the endpoint
        assert done.returncode == 0
        urns = manifest_of(tmp_path / "run")["input"]["urns"]
        assert 30 <= before < urns
        settled = urns + manifest_of(tmp_path / "run")["requests"]["by_operation"].get(Operation.LIST_CONFIGS, 0)
        answered_by_lists = sum(row["operation"] == Operation.LIST_CONFIGS for row in rows(tmp_path / "run", "calls"))
        assert 0 <= sum(server.counts.values()) - settled + answered_by_lists <= 8


def in_shell(line, cwd=None):
    environment = {**os.environ, "I": f"{sys.executable} -m inventory", "HW_AUTH_TOKEN": TOKEN}
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_an_export_that_waits_for_stdin(tmp_path, number, code):
    with begin("export", "-", "--output", tmp_path / "run") as run:
        run.stdin.write(f"{URN}\n")
        run.stdin.flush()
        wait_for((tmp_path / "run" / "ledger.sqlite").exists)
        run.send_signal(number)
        run.wait()
        assert (run.returncode, run.stderr.read()) == (code, f"inventory: stopped by {signal.Signals(number).name}\n")
    assert not (tmp_path / "run").exists()


def test_a_closed_pipe_is_no_error():
    done = in_shell("{ $I schema --format json; echo $? >&2; } | true")
    assert done.stderr == "0\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")  # noqa: PTH110
@pytest.mark.parametrize("command", ["schema", "--help", "--version", "export urns.txt --dry-run"])
def test_a_full_disk_behind_stdout_is_one_sentence(tmp_path, write_list, command):
    write_list([URN])
    done = in_shell(f"$I {command} > /dev/full", tmp_path)
    assert done.returncode == 4
    assert done.stderr.splitlines() == [done.stderr.strip()]
    assert "standard output cannot be written: No space left on device" in done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_error(tmp_path, closed):
    done = in_shell(f"$I demo --functions 5 --output run {closed}", tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert manifest_of(tmp_path / "run")["complete"]
    assert rows(tmp_path / "run")


def test_file_names_may_be_any_bytes(tmp_path, write_list, server):
    path = write_list([*server.urns(5), "odd"], os.fsdecode(b"\xff\xfe.txt"))
    output = tmp_path / os.fsdecode(b"run\xff")
    line = f"$I export '{path}' --endpoint {server.url} --output '{output}' --quiet > out"
    assert in_shell(line, tmp_path).returncode == 0
    assert (tmp_path / "out").read_bytes() == os.fsencode(f"{output}\n")
    assert rows(output, "rejects")[0]["source"].endswith(r"\xff\xfe.txt")


def test_an_unreachable_endpoint_is_reported(tmp_path, write_list):
    done = run_cli("export", write_list([URN]), "--endpoint", "http://127.0.0.1:1", "--attempts", "1", cwd=tmp_path)
    assert done.returncode == 5
    assert "was stopped: connection: no connection to 127.0.0.1:1: Connection refused" in done.stderr
    assert "check that the endpoint is correct and reachable, then export them again with:" in done.stderr


def test_a_list_without_urns_is_an_error(tmp_path, write_list):
    empty = run_cli("export", write_list([]), "--output", "a", cwd=tmp_path)
    odd = run_cli("export", write_list(["odd"]), "--output", "b", cwd=tmp_path)
    assert (empty.returncode, odd.returncode) == (2, 2)
    assert "urns.txt contains no URN; fix the list, then rerun with --overwrite" in empty.stderr
    assert "none of the 1 entry" in odd.stderr
    assert run_cli("export", write_list([]), "--output", "a", "--overwrite", cwd=tmp_path).returncode == 2


def test_emulate_serves_until_a_signal():
    with begin("emulate", "--port", "0", "--functions", "3") as emulate:
        url = emulate.stdout.readline().strip()
        urn = emulate_first_urn(url)
        assert urn.startswith("urn:fss:")
        emulate.send_signal(signal.SIGTERM)
        messages = emulate.communicate()[1]
    assert emulate.returncode == 143
    assert f"--endpoint {url}" in messages


def emulate_first_urn(url):
    with urllib.request.urlopen(f"{url}/emulator/urns") as answer:
        return answer.readline().decode().strip()


def test_the_demo_needs_no_account(tmp_path):
    done = run_cli("demo", "--functions", "60", "--output", tmp_path / "demo", token=None)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'demo'}\n"
    for name in ("functions.parquet", "functions.csv", "manifest.json", "review.html"):
        assert str(tmp_path / "demo" / name) in done.stderr
        assert (tmp_path / "demo" / name).exists()
    page = (tmp_path / "demo" / "review.html").read_text()
    assert re.search(r"Review: (.*)\. Open this page in a browser:", done.stderr)[1] in page
    assert "Try next" in done.stderr
    assert manifest_of(tmp_path / "demo")["counts"]["status"]["configured"] > 50


def test_the_demo_needs_an_empty_folder(tmp_path):
    (tmp_path / "urns.txt").write_text("mine")
    done = run_cli("demo", "--functions", "5", "--output", tmp_path)
    assert done.returncode == 4
    assert done.stderr == f"inventory: {tmp_path} is not empty; give another --output\n"
    assert (tmp_path / "urns.txt").read_text() == "mine"


def test_a_stopped_demo_does_not_suggest_resume(tmp_path):
    with begin("demo", "--functions", "5000", "--output", tmp_path / "run") as demo:
        wait_for((tmp_path / "run" / "ledger.sqlite").exists)
        demo.send_signal(signal.SIGINT)
        messages = demo.communicate()[1]
    assert demo.returncode == 130
    assert "stopped by SIGINT" in messages
    assert "--resume" not in messages


@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_the_data_dictionary_has_every_column(form):
    done = run_cli("schema", "rejects", "--format", form)
    assert done.returncode == 0
    for column in ("source", "line", "text", "reason"):
        assert column in done.stdout
    if form == "json":
        assert json.loads(done.stdout)[0]["name"] == "rejects"


def test_the_version():
    assert run_cli("--version").stdout == "inventory 0.1.0\n"
