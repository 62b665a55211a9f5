import io
import itertools
import json
import signal
import sys

import pytest
from support.processes import SECONDS, begin, repeated, run, stopped
from support.runs import TOKEN, manifest_of, run_cli, wait_for

from inventory.emulator import Emulator, Fault, GeneratedCloud
from inventory.errors import UsageError
from inventory.scheduling.commands import last_message
from inventory.sharding.engines import find_engine, shard_command

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture(scope="module")
def server():
    cloud = GeneratedCloud(40, seed=3, regions=("cn-north-4", "ap-southeast-1"))
    with Emulator(cloud, token=TOKEN).in_thread() as server:
        yield server


@pytest.fixture
def words(tmp_path, write_list, server):
    server.clear()
    server.plan(None)
    source = write_list(server.urns())
    common = ("--output", tmp_path / "run", "--endpoint", server.url, "--max-per-second", "0", "--quiet")
    return [str(word) for word in ("export", source, *common, "--engine", "processes", "--urns-per-shard", "1")]


def stalled_after(number):
    calls = itertools.count(1)
    return lambda _urn, _times: Fault.STALLED if next(calls) > number else None


def test_a_signal_stops_all_processes_which_deliver_and_the_run_continues(tmp_path, server, words):
    server.plan(stalled_after(40))
    before = server._number
    with begin(*words, "--processes", "2") as process:
        wait_for(lambda: server._number > before + 45 and (tmp_path / "run/progress/00001.json").exists())
        said, seconds = stopped(process, signal.SIGTERM)
    assert process.returncode == 143
    assert seconds < SECONDS
    assert "export --resume --output" in said
    records = [json.loads(path.read_text()) for path in (tmp_path / "run/shards").glob("*[0-9].json")]
    assert len(records) == 2
    assert not (tmp_path / "run/manifest.json").exists()
    server.plan(None)
    before = len(server.requests)
    run("export", "--resume", "--output", str(tmp_path / "run"), "--quiet")
    assert manifest_of(tmp_path / "run")["complete"]
    assert manifest_of(tmp_path / "run")["requests"]["total"] == len(server.requests)
    assert len(server.requests) > before


def test_the_processes_of_a_killed_run_end_and_it_continues(tmp_path, server, words):
    server.plan(stalled_after(40))
    before = server._number
    with begin(*words) as process:
        wait_for(lambda: server._number > before + 45)
        process.kill()
    server.plan(None)
    run("export", "--resume", "--output", str(tmp_path / "run"), "--quiet")
    assert manifest_of(tmp_path / "run")["complete"]
    assert repeated(server) <= 2 * 64


def test_no_secret_is_in_the_plan_the_deliveries_and_the_messages(tmp_path, server, words):
    done = run_cli(*words, token="secret-of-this-test")
    assert done.returncode == 3
    assert "secret-of-this-test" not in done.stdout + done.stderr
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if b"secret-of-this-test" in path.read_bytes()]
    assert "secret-of-this-test" not in " ".join(shard_command("place", 1, ["--endpoint-share", "1"]))


def test_a_wrong_key_costs_at_most_three_calls_with_a_hundred_processes(tmp_path, server, words, write_list):
    words[1] = str(
        write_list([f"urn:fss:cn-north-4:{number:032}:function:default:f" for number in range(100)], "many.txt")
    )
    done = run_cli(*words, "--processes", "100", token="a-wrong-token")
    assert done.returncode == 3
    assert 1 <= len(server.requests) <= 3
    assert manifest_of(tmp_path / "run")["counts"]["status"]["not_attempted"] >= 97


def test_an_unknown_engine_is_refused():
    with pytest.raises(UsageError, match="--engine 'spark' is no engine; give one of processes"):
        find_engine("spark")


@pytest.mark.parametrize(
    ("stderr", "message"),
    [
        (b"", ""),
        (b'{"message": "first"}\n{"event": "error", "message": "last"}\n', "last"),
        (b"Traceback ...\nValueError: odd\n\n", "ValueError: odd"),
        (b'["message"]\n', '["message"]'),
        (b"\xff\n", "\ufffd"),
    ],
)
def test_the_last_message_of_a_command_is_told(stderr, message):
    assert last_message(io.BytesIO(stderr)) == message


def test_one_part_is_the_default_of_an_indexed_job(tmp_path, server, words):
    position = words.index("--engine")
    done = run_cli(*words[:position], "--plan-only", "--urns-per-shard", "1")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'run'}\n")
    place = str(tmp_path / "run")
    done = run_cli("shard", place, "--of", "2", "--work-dir", str(tmp_path / "pod"), JOB_COMPLETION_INDEX="1")
    assert done.returncode == 0, done.stderr
    status = json.loads(run_cli("status", place, "--format", "json").stdout)
    assert status["shards"] == {"waiting": 1, "running": 0, "delivered": 1, "failed": 0}
    assert 0 < status["left"] < status["urns"]
    assert "shards: 1 waiting, 0 running, 1 delivered, 0 failed" in run_cli("status", place).stdout
    assert run_cli("gather", place).returncode == 5
    assert run_cli("shard", place, "0").returncode == 0
    done = run_cli("gather", place)
    assert (done.returncode, done.stdout) == (0, f"{place}\n")
    before = (tmp_path / "run/functions.parquet").read_bytes()
    assert run_cli("tables", place, "--format", "csv").returncode == 0
    assert (tmp_path / "run/functions.parquet").read_bytes() == before
    assert manifest_of(tmp_path / "run")["shards"]["number"] == 2
    assert run_cli("status", place).stdout.splitlines()[0].endswith("complete, exit code 0 at " + _finished(tmp_path))


def _finished(tmp_path):
    return manifest_of(tmp_path / "run")["finished"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shard", "nowhere", "1"], "nowhere contains no plan.json: make it with inventory export --plan-only"),
        (["gather", "nowhere"], "nowhere contains no run"),
        (["export", "l.txt", "--engine", "ray"], "--engine 'ray' is no engine"),
        (["export", "l.txt", "--processes", "2"], "--processes needs --engine"),
        (["export", "l.txt", "--plan-only", "--engine", "processes"], "omit --engine"),
        (["export", "l.txt", "--engine", "processes", "--processes", "0"], "--processes"),
        (["export", "l.txt", "--engine", "processes", "--endpoint-share", "2"], "--endpoint-share"),
    ],
)
def test_wrong_options_are_refused(tmp_path, arguments, message):
    (tmp_path / "l.txt").write_text("urn:fss:cn-north-4:p:function:default:f\n")
    done = run_cli(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["l.txt"]
