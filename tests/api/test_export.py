import asyncio
import subprocess
import sys
import threading

import numpy as np
import pytest
from support.runs import TOKEN

import inventory
from inventory.api.arguments import Options
from inventory.errors import OutputError, SettingsError, SourceError, UsageError


@pytest.fixture(autouse=True)
def _token(monkeypatch):
    monkeypatch.setenv("HW_AUTH_TOKEN", TOKEN)


@pytest.fixture
def server():
    with inventory.Emulator(functions=30) as served:
        yield served


async def test_an_export_in_a_running_loop_gives_a_snapshot(tmp_path, write_list):
    async with inventory.Emulator(functions=30, token=TOKEN) as server:
        snapshot = await inventory.export_async(
            write_list(server.urns()), tmp_path / "run", endpoint=server.url, max_per_second=0, format="csv"
        )
    with inventory.Emulator(functions=30, token=TOKEN) as server:
        same = inventory.export(server.urns(), tmp_path / "same", endpoint=server.url, max_per_second=0, no_batch=True)
    assert len(snapshot.functions) == snapshot.manifest["input"]["urns"] > 30
    assert same.table("functions").equals(snapshot.table("functions"))
    assert repr(snapshot).startswith(f"Snapshot({str(tmp_path / 'run')!r}: ")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("inventory", "emulator"))]


def test_an_export_without_a_loop_takes_any_iterable(tmp_path, server):
    urns = list(server.urns())
    one = {"output": tmp_path / "run", "endpoint": server.url, "max_per_second": 0}
    snapshot = inventory.export(iter([*urns, None]), **one)
    assert snapshot.rejects.to_dict("records") == [
        {"source": "<list_iterator>", "line": len(urns) + 1, "text": "", "reason": "no value (null)"}
    ]
    assert snapshot.manifest["input"]["files"][0]["path"] == "<list_iterator>"
    for source in (None, [*urns, None]):
        assert inventory.export(source, resume=True, **one).manifest == snapshot.manifest
    with pytest.raises(SourceError, match="<list>: not the list that this run began with"):
        inventory.export(urns, resume=True, **one)


def test_all_functions_of_a_region_are_exported(tmp_path, server):
    scope = next(iter(server.state.scopes))
    one = {"endpoint": server.url, "region": [scope.region], "project_id": scope.project_id}
    plain = inventory.export(output=tmp_path / "run", all=True, **one)
    more = inventory.export(output=tmp_path / "more", all=True, versions=True, aliases=True, **one)
    assert 0 < len(plain.functions) < len(more.functions)


def test_unanswered_urns_are_a_warning(tmp_path, server):
    urns = list(server.urns())
    server.plan({urns[0]: [inventory.emulator.Fault.HTML] * 9})
    with pytest.warns(inventory.UnansweredWarning, match=r"1 URN failed \(1 bad_answer\).*resume=True\)") as warned:
        snapshot = inventory.export(urns, tmp_path / "run", endpoint=server.url, attempts=1, no_batch=True)
    assert warned[0].filename == __file__
    assert snapshot.manifest["exit_code"] == 1
    server.clear()
    assert inventory.export(output=snapshot.path, resume=True).unknown() == []


async def test_a_cancelled_export_can_be_resumed(tmp_path):
    called = asyncio.Event()
    async with inventory.Emulator(functions=300) as server:
        urns = list(server.urns())

        def first_calls(_urn, _count):
            called.set()

        server.plan(first_calls)
        task = asyncio.create_task(
            inventory.export_async(urns, tmp_path / "run", endpoint=server.url, max_per_second=100, progress=False)
        )
        await called.wait()
        others = asyncio.all_tasks()
        task.cancel()
        with pytest.raises(
            asyncio.CancelledError, match=r"continue with: inventory\.export\(output='.*', resume=True\)"
        ):
            await task
        assert asyncio.all_tasks() < others
        server.plan(None)
        snapshot = await inventory.export_async(output=tmp_path / "run", resume=True, max_per_second=0)
        assert snapshot.manifest["complete"]
        assert snapshot.manifest["requests"]["total"] <= len(set(urns)) + 64


_SCRIPT = """
import asyncio, inventory, os, signal, sys, threading
with inventory.Emulator(functions=300) as cloud:
    calls = []
    def interrupt(urn, count):
        calls.append(urn)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
    def export():
        cloud.plan(interrupt)
        try:
            inventory.export(cloud.urns(), sys.argv[1], endpoint=cloud.url, max_per_second=100, overwrite=True)
        except KeyboardInterrupt as stop:
            print(stop)
    export()
    async def beside():
        calls.clear()
        export()
    asyncio.run(beside())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    cloud.plan(None)
    print(inventory.export(output=sys.argv[1], resume=True, max_per_second=0).unknown())
print([one.name for one in threading.enumerate()])
"""


def test_ctrl_c_stops_an_export_that_can_be_resumed(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, "run"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    message = (
        "the export was stopped; what was answered is kept; continue with: inventory.export(output='run', resume=True)"
    )
    assert done.stdout.splitlines() == [message, message, "[]", "['MainThread']"], done.stderr
    assert done.stderr == ""


async def test_invalid_options_are_refused(tmp_path, write_list):
    path = write_list([])
    with pytest.raises(TypeError, match="export has no option 'max_worker'; did you mean 'max_workers'"):
        await inventory.export_async(path, max_worker=3)
    for options, message in (
        ({"attempts": 0}, "attempts 0 cannot be used; give 1 or more"),
        ({"attempts": "3"}, "attempts must be a whole number, not str"),
        ({"max_workers": 2.5}, "max_workers must be a whole number, not float"),
        ({"timeout": "30"}, "timeout must be a number, not str"),
        ({"endpoint": 5}, "endpoint must be a text, not int"),
        ({"token_file": 6}, "token_file must be a file's name, not int"),
        ({"drop_bodies": "no"}, "drop_bodies must be True or False, not str"),
        ({"region": [3]}, "region must be a text or a list of texts, not list"),
        ({"format": "xlsx"}, "cannot be used; give parquet, csv or both"),
        ({"resume": "yes"}, "resume must be True or False, not str"),
        ({"resume": True, "overwrite": True}, "give one of them"),
        ({"resume": True}, "resume=True needs output"),
        (
            {"output": tmp_path / "none", "resume": True},
            "^resume=True: .* contains no run; leave resume=True out to begin",
        ),
        ({"output": 3}, "output must be a folder's name, not int"),
        ({"output": ""}, "output is an empty text"),
        ({"output": "s3://bucket"}, "a store.s URL must name a bucket"),
        ({"work_dir": "w"}, "^work_dir needs an output of s3"),
        ({"all": True, "region": "r"}, "all=True finds the list itself"),
        ({"versions": True}, "versions=True and aliases=True need all=True"),
        ({"region": ["a", "b"]}, "region has 2 values: several go with all=True"),
    ):
        with pytest.raises(UsageError, match=message):
            inventory.export(path, **options)
    for empty, message in ((None, "no list of URNs: give a file's name"), ([], "^the list of URNs is empty$")):
        with pytest.raises(UsageError, match=message):
            await inventory.export_async(empty)
    with pytest.raises(UsageError, match="region is missing"):
        inventory.export(all=True)
    assert not (tmp_path / "output").exists()


def test_numpy_values_and_none_are_valid(tmp_path, server):
    plain = {"attempts": np.int64(2), "timeout": np.float32(9), "max_per_second": np.float64(0), "no_batch": np.True_}
    snapshot = inventory.export(
        server.urns(), tmp_path / "run", endpoint=server.url, format=np.array(["csv"]), column=None, all=None, **plain
    )
    settings = snapshot.manifest["settings"]
    assert [settings[name] for name in ("attempts", "timeout", "batch", "format")] == [2, 9.0, False, ["csv"]]


def test_a_tilde_is_the_home_folder(tmp_path, server, write_list, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    name = write_list(server.urns()).name
    snapshot = inventory.export(f"~/{name}", "~/output/run", endpoint=server.url)
    assert snapshot.path == tmp_path / "output" / "run"
    assert inventory.history("~/output").latest.path == snapshot.path
    assert not (tmp_path / "~").exists()


def test_an_error_of_the_iterable_leaves_no_run(tmp_path, server):
    class Broken:
        def __iter__(self):
            yield from list(server.urns())[:3]
            raise LookupError("page 2")

    one = {"output": tmp_path / "run", "endpoint": server.url}
    with pytest.raises(LookupError, match="page 2"):
        inventory.export(Broken(), **one)
    assert not (tmp_path / "run").exists()
    with pytest.warns(inventory.UnansweredWarning, match=r"no function URN.*fix the list.*overwrite=True$"):
        inventory.export(iter([]), **one)
    with pytest.raises(OutputError, match=r"run already .*: resume=True continues it, overwrite=True starts again"):
        inventory.export(server.urns(), **one)
    assert inventory.export(server.urns(), overwrite=True, **one).unknown() == []


async def test_check_raises_for_a_run_without_answers(tmp_path, server):
    dead = {"endpoint": "http://127.0.0.1:9", "attempts": 1, "check": True}
    message = r"URNs were not attempted.*: inventory\.export\(output='.*', resume=True\)$"
    with pytest.raises(inventory.UnansweredError, match=message) as caught:
        inventory.export(server.urns(), tmp_path / "run", **dead)
    assert caught.value.exit_code == inventory.open_snapshot(tmp_path / "run").exit_code == 5
    with pytest.raises(inventory.UnansweredError):
        await inventory.export_async(server.urns(), tmp_path / "again", **dead)
    answered = inventory.export(server.urns(), tmp_path / "answered", endpoint=server.url, check=True)
    assert answered.raise_for_unanswered().exit_code == 0
    with pytest.raises(SettingsError, match="check must be True or False, not str"):
        inventory.export(server.urns(), tmp_path / "no", check="yes")


def test_the_urns_of_an_emulator_can_be_read_twice_and_sliced(server):
    urns = server.urns()
    plain = list(urns)
    assert list(urns) == list(server.urns()) == list(reversed(list(reversed(urns)))) == plain
    assert (len(urns), len(server.urns(3)), urns[0], urns[-1]) == (len(plain), 3, plain[0], plain[-1])
    for part in (slice(3), slice(2, None, 3), slice(-4, None), slice(None, None, -1), slice(5, 2), slice(9**9, None)):
        assert urns[part] == plain[part]
    assert plain[7] in urns
    for index in (len(plain), -len(plain) - 1):
        with pytest.raises(IndexError):
            urns[index]
    assert repr(urns) == f"<{len(plain)} URNs of the emulator>"
    assert inventory.Emulator(functions=10**9).urns()[:2] == list(inventory.Emulator(functions=10**9).urns(2))


def test_progress_is_shown_on_request(tmp_path, server, capfd, monkeypatch):
    monkeypatch.setattr("inventory.display.terminal.LINE_SECONDS", 0.0)
    urns = list(server.urns())
    inventory.export(urns, tmp_path / "silent", endpoint=server.url)
    assert capfd.readouterr() == ("", "")
    inventory.export(urns, tmp_path / "with progress", endpoint=server.url, progress=True)
    printed = capfd.readouterr()
    assert printed.out == ""
    assert f"writing tables: {len(set(urns))} of {len(set(urns))} URNs" in printed.err


def test_the_public_names():
    assert all(getattr(inventory, name) is not None for name in inventory.__all__)
    assert set(inventory.__all__) <= set(dir(inventory))
    assert [name for name in Options.__annotations__ if f"``{name}``" not in inventory.export.__doc__] == []
    with pytest.raises(AttributeError, match="nonsense"):
        _ = inventory.nonsense
