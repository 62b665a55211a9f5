"""Services that accept a connection and never answer do not delay a signal."""

from __future__ import annotations

import signal
import socket
import sys
import threading

import pytest
from support.object_store import BUCKET
from support.processes import CODES, SECONDS, begin, command, run, stopped
from support.runs import TOKEN, manifest_of

from inventory.emulator import Emulator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

PREFIX = "runs/today"
OUTPUT = f"s3://{BUCKET}/{PREFIX}"
WITHOUT_A_TOKEN = ("env", "-u", "HW_AUTH_TOKEN")
ASKING = {
    "export": ("export", "--all", "--region", "cn-north-4", "--output", "run"),
    "discover": ("discover", "--region", "cn-north-4"),
    "check": ("check", "--region", "cn-north-4"),
}


@pytest.fixture
def server():
    with Emulator(functions=20, token=TOKEN).in_thread() as server:
        yield server


@pytest.fixture
def silent():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(30)
        yield listening


@pytest.fixture
def stall(store):
    over = threading.Event()

    def begin_to(method, name):
        reached = threading.Event()

        def fault(request):
            if request["REQUEST_METHOD"] != method or not request["PATH_INFO"].endswith(name):
                return None
            reached.set()
            over.wait(60)
            return (503, "")

        store.fault = fault
        return reached

    yield begin_to
    over.set()


@pytest.mark.parametrize("name", ASKING)
def test_metadata_that_say_nothing_hold_up_no_signal(tmp_path, monkeypatch, silent, name):
    monkeypatch.chdir(tmp_path)
    endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
    script = (
        "from huaweicloudsdkcore.auth.internal import MetadataAccessor; from inventory.__main__ import main\n"
        f"MetadataAccessor._METADATA_ENDPOINT = {endpoint!r}; main()"
    )
    with begin(*ASKING[name], program=("-c", script), before=WITHOUT_A_TOKEN) as process:
        connection, _ = silent.accept()
        words, seconds = stopped(process, signal.SIGTERM)
        connection.close()
    assert (process.returncode, words) == (143, "inventory: stopped by SIGTERM\n")
    assert seconds < SECONDS
    assert not (tmp_path / "run").exists()


def test_a_renewal_that_hangs_holds_up_no_signal(tmp_path, monkeypatch, write_list, server, silent):
    (tmp_path / "token").write_text("an identity")
    monkeypatch.setenv("HUAWEICLOUD_OIDC_PROVIDER_URN", "urn:p")
    monkeypatch.setenv("HUAWEICLOUD_OIDC_AGENCY_URN", "urn:a")
    monkeypatch.setenv("HUAWEICLOUD_OIDC_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("HUAWEICLOUD_SDK_STS_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
    asking = command(server, write_list(server.urns()), tmp_path / "run")
    with begin(*asking, before=WITHOUT_A_TOKEN) as process:
        connection, _ = silent.accept()
        words, seconds = stopped(process, signal.SIGINT)
        connection.close()
    assert (process.returncode, "continue with: " in words, seconds < SECONDS) == (130, True, True), words
    run(*command(server, None, tmp_path / "run", "--resume"))
    assert manifest_of(tmp_path / "run")["complete"]


@pytest.mark.parametrize(
    ("method", "name", "number"),
    [
        ("PUT", "functions.parquet", signal.SIGTERM),
        ("POST", "calls.csv", signal.SIGINT),
        ("POST", "manifest.json", signal.SIGTERM),
    ],
)
def test_a_store_that_stalls_holds_up_no_signal(  # noqa: PLR0913, PLR0917 - three fixtures, three parameters
    tmp_path, write_list, server, store, stall, method, name, number
):
    reached = stall(method, name)
    work = ("--work-dir", tmp_path / "work")
    with begin(*command(server, write_list(server.urns()), OUTPUT, *work)) as process:
        assert reached.wait(60)
        words, seconds = stopped(process, number)
    assert process.returncode == CODES[number]
    assert seconds < SECONDS
    assert "what was answered is kept; continue with: " in words
    assert words.endswith(f"export --resume --output {OUTPUT} --work-dir {tmp_path / 'work'}\n")
    up = {key: content for key, content in store.objects().items() if ".inventory-claim-" not in key}
    assert f"{PREFIX}/manifest.json" not in up
    assert all(content == (tmp_path / "work" / key.rsplit("/", 1)[-1]).read_bytes() for key, content in up.items())
    store.fault = lambda _request: None
    asked = len(server.requests)
    run(*command(server, None, OUTPUT, *work, "--resume"))
    assert len(server.requests) == asked
    assert store.objects()[f"{PREFIX}/manifest.json"] == (tmp_path / "work" / "manifest.json").read_bytes()


def test_a_store_that_stalls_before_anything_is_asked_leaves_nothing(tmp_path, write_list, server, stall):
    reached = stall("GET", BUCKET)
    with begin(*command(server, write_list(server.urns()), OUTPUT, "--work-dir", tmp_path / "work")) as process:
        assert reached.wait(60)
        words, seconds = stopped(process, signal.SIGINT)
    assert (process.returncode, words, seconds < SECONDS) == (130, "inventory: stopped by SIGINT\n", True)
    assert not server.requests
    assert not (tmp_path / "work").exists()
