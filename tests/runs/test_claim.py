"""Two runs that upload under one URL, in many orders of their calls of the store."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from contextlib import suppress

import pytest

from inventory.errors import ExitCode, OutputError
from inventory.progress import ProgressObserver
from inventory.runs import claim, upload
from inventory.runs.upload import Upload
from inventory.storage.object_store import Found, ObjectUrl, Sent

URL = ObjectUrl("s3", "bucket", "runs/today")
NAMES = ("functions.parquet", "calls.parquet")


class Turns:
    """Lets one of several threads do one call of the store at a time, in a random order."""

    def __init__(self, seed, threads):
        self._random = random.Random(seed)
        self._condition = threading.Condition()
        self._waiting = dict.fromkeys(threads, False)
        self._turn = None

    def _choose(self):
        if self._waiting and all(self._waiting.values()):
            self._turn = self._random.choice(sorted(self._waiting))
        self._condition.notify_all()

    def take(self):
        name = threading.current_thread().name
        if name not in self._waiting:
            return
        with self._condition:
            self._waiting[name] = True
            self._choose()
            self._condition.wait_for(lambda: self._turn == name, timeout=30)
            self._turn = None
            self._waiting[name] = False

    def leave(self):
        with self._condition:
            self._waiting.pop(threading.current_thread().name, None)
            self._choose()


class FakeStore:
    """A store that shows each change at once, as S3 and OBS do; ``killed`` ends a run at a call."""

    def __init__(self):
        self.objects = {}
        self.url = URL
        self.turns = Turns(0, ())
        self.kill = {}
        self.finished = []
        self._time = 0

    def _step(self):
        self.turns.take()
        name = threading.current_thread().name
        self.kill[name] = self.kill.get(name, 10_000) - 1
        if self.kill[name] < 0:
            raise Killed

    def __call__(self, _url, _environment):
        return self

    def listed(self, _folders=()):
        self._step()
        return {name: found for name, (_, found) in self.objects.items()}

    def look_at(self, name):
        self._step()
        return self.objects[name][1] if name in self.objects else None

    def read(self, name):
        self._step()
        if name not in self.objects:
            raise OutputError(f"{URL} does not contain the object; check the URL")
        return self.objects[name][0]

    def put(self, name, path, tell):
        self._step()
        tell(0)
        content = path.read_bytes()
        self._time += 1
        self.objects[name] = (content, Found(len(content), self._time))
        if name == "manifest.json":
            self.finished.append(json.loads(content)["run"])
        return Sent(len(content), hashlib.sha256(content).hexdigest())

    def remove(self, name):
        self._step()
        self.objects.pop(name, None)

    def run_in_store(self):
        if "manifest.json" not in self.objects:
            return None
        run = json.loads(self.objects["manifest.json"][0])["run"]
        assert {name: self.objects[name][0] for name in NAMES} == {name: f"{name} of {run}".encode() for name in NAMES}
        return run


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def store(monkeypatch):
    fake = FakeStore()
    monkeypatch.setattr(upload, "ObjectStore", fake)
    monkeypatch.setattr(claim.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr("inventory.storage.files.sync", lambda _descriptor: None)  # thousands of uploads
    return fake


class Run:
    """A run with its work folder."""

    def __init__(self, folder, name):
        self.name, self.folder, self.result = name, folder / name, "killed"
        self.folder.mkdir()
        self.tables = []
        for table in NAMES:
            content = f"{table} of {name}".encode()
            (self.folder / table).write_bytes(content)
            self.tables.append({"path": table, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()})
        (self.folder / "manifest.json").write_text(json.dumps({"run": name}))

    def go(self, mode):
        self.result, self.exit_code = "killed", ExitCode.ANSWERED
        try:
            one = Upload(URL, self.folder, {})
            one.prepare(mode)
            one.complete(self.tables, ProgressObserver())
            self.result = "done"
        except OutputError as error:
            self.result = str(error)
            self.exit_code = error.exit_code


def at_once(store, seed, *runs_and_modes):
    names = [run.name for run, _ in runs_and_modes]
    store.turns = Turns(seed, names)

    def go(run, mode):
        try:
            run.go(mode)
        finally:
            store.turns.leave()

    threads = [threading.Thread(target=go, args=pair, name=pair[0].name) for pair in runs_and_modes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("block", range(4))
def test_of_new_runs_at_once_one_is_whole_in_the_store_and_the_others_end_with_code_4(store, tmp_path, count, block):
    winners = set()
    for seed in range(50 * block, 50 * block + 50):
        store.objects.clear()
        store.finished.clear()
        folder = tmp_path / str(seed)
        folder.mkdir()
        runs = [Run(folder, name) for name in "abc"[:count]]
        at_once(store, seed, *((run, "new") for run in runs))
        done = [run.name for run in runs if run.result == "done"]
        assert {run.exit_code for run in runs if run.name not in done} <= {ExitCode.OUTPUT}
        assert len(done) == 1, seed
        assert store.run_in_store() == done[0], seed
        assert store.finished == done, "no finished run was replaced"
        assert set(store.objects) == {*NAMES, "manifest.json"}
        winners.update(done)
    assert len(winners) == count, "each run wins in some order"


@pytest.mark.parametrize("modes", [("overwrite", "overwrite"), ("overwrite", "new"), ("resume", "overwrite")])
@pytest.mark.parametrize("before", ["nothing", "a finished run", "half a run"])
def test_a_run_that_finished_meanwhile_is_never_replaced(store, tmp_path, modes, before):
    for seed in range(60):
        store.objects.clear()
        folder = tmp_path / str(seed)
        folder.mkdir()
        first, one, other = (Run(folder, name) for name in ("first", "one", "other"))
        store.kill = {"MainThread": {"nothing": 0, "half a run": 6}.get(before, 10_000)}
        with suppress(Killed):
            first.go("new")
        store.kill = {}
        store.finished.clear()
        at_once(store, seed, (one if modes[0] != "resume" else first, modes[0]), (other, modes[1]))
        in_store = store.run_in_store()
        assert in_store or "done" not in {one.result, other.result}, seed
        assert store.finished in ([], [in_store], ["first", in_store]), (seed, store.finished)


@pytest.mark.parametrize("calls", range(22))
def test_a_run_killed_at_any_call_resumes_and_no_new_run_takes_its_place(store, tmp_path, calls):
    one, other = Run(tmp_path, "one"), Run(tmp_path, "other")
    store.kill = {"MainThread": calls}
    with suppress(Killed):
        one.go("new")
    store.kill = {}
    if store.objects:
        other.go("new")
        assert "contains a run already" in other.result
    before = store.run_in_store()
    one.go("resume")
    assert (one.result, store.run_in_store()) == ("done", "one")
    assert set(store.objects) == {*NAMES, "manifest.json"}
    assert before in {None, "one"}


@pytest.mark.parametrize("calls", range(2, 14))
def test_overwrite_takes_the_place_of_a_killed_run_which_then_is_refused(store, tmp_path, calls):
    one, other = Run(tmp_path, "one"), Run(tmp_path, "other")
    store.kill = {"MainThread": calls}
    with suppress(Killed):
        one.go("new")
    store.kill = {}
    other.go("overwrite")
    assert (other.result, store.run_in_store()) == ("done", "other")
    assert set(store.objects) == {*NAMES, "manifest.json"}
    one.go("resume")
    assert "contains another run than" in one.result
    assert store.run_in_store() == "other"


def test_the_claim_of_another_run_is_named(store, tmp_path):
    one, other = Run(tmp_path, "one"), Run(tmp_path, "other")
    store.kill = {"MainThread": 3}
    with suppress(Killed):
        one.go("new")
    store.kill = {}
    (name,) = store.objects
    assert name.startswith(".inventory-claim-")
    other.go("resume")
    assert other.result.startswith(f"s3://bucket/runs/today is claimed by another run ({name}): wait until it ends; ")
    with pytest.raises(OutputError, match=r"is claimed by another run .*; all answers are kept in .*another --output"):
        Upload(URL, other.folder, {}).complete(other.tables, ProgressObserver())
    assert set(store.objects) == {name}
