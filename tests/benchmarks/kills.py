"""Random kills of the processes of a run in shards; each run is continued until it is complete, and checked.

``python tests/benchmarks/kills.py [--engine processes|dask|cluster] [--kills N] [--seed N]``; prints JSON, exit code 1
if anything was lost or repeated too often. ``dask`` is the cluster that a run starts itself, ``cluster`` one that was
there before, whose workers have folders of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from inventory.emulator import Emulator, GeneratedCloud

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = "a-token-of-the-kills"
_ENVIRONMENT = {**os.environ, "HW_AUTH_TOKEN": _TOKEN, "DASK_DISTRIBUTED__SCHEDULER__LOCKS__LEASE_TIMEOUT": "3s"}
_TABLES = [f"{name}.{suffix}" for name in ("functions", "destinations", "rejects") for suffix in ("parquet", "csv")]
_WORKERS, _PROCESSES, _SCOPES = 8, 2, 6
_ENDED = {0, 4, 5, 70}
"""Exit codes of an export whose processes are killed."""
_UNREACHABLE = 2
"""Exit code where the scheduler is lost before it answers; without workers, it stops."""
_MAX_KILLS = 3  # of one run
_PATIENCE = 240.0
_KINDS = {
    "processes": ("shard", "coordinator"),
    "dask": ("shard", "worker", "nanny", "scheduler", "coordinator"),
    "cluster": ("shard", "worker", "machine", "nanny", "scheduler", "coordinator"),
}


class Kill(NamedTuple):
    """One kill: of what, after how many seconds, and how many calls it may cause to be repeated.

    A machine is a worker of a cluster with all its processes.
    """

    kind: str
    after: float
    bound: int


def _kind_of(process: psutil.Process) -> str:
    """What a process is, by its command line."""
    words = process.cmdline()
    text = " ".join(words)
    if "inventory shard " in text:
        return "shard"
    if "dask scheduler " in text:
        return "scheduler"
    if "dask worker " in text:
        return "nanny"
    return "worker" if "spawn_main" in text else "coordinator" if "inventory export" in text else ""


class Cluster:
    """A scheduler and two workers, each of which starts again after a kill, as a supervisor of a site does it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._processes = folder, dict[str, subprocess.Popen[bytes]]()
        self._file = folder / "scheduler.json"

    @property
    def address(self) -> str:
        """Of the scheduler."""
        return str(json.loads(self._file.read_text())["address"])

    @property
    def has_scheduler(self) -> bool:
        """Whether its scheduler runs."""
        return self._processes["scheduler"].poll() is None

    def start(self) -> None:
        """Starts what does not run."""
        own = self._processes
        if "scheduler" not in own or own["scheduler"].poll() is not None:
            self.stop()
            self._file.unlink(missing_ok=True)
            self._start("scheduler", "scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", ":0")
            while not self._file.exists():
                time.sleep(0.1)
        for number in range(_PROCESSES):
            name = f"worker-{number}"
            if name not in own or own[name].poll() is not None:
                folder = self._folder / f"{name}-{time.monotonic_ns()}"
                options = ("--nthreads", "1", "--no-dashboard", "--death-timeout", "20", "--local-directory", folder)
                self._start(name, "worker", *map(str, options))

    def _start(self, name: str, *words: str) -> None:
        command = [sys.executable, "-m", "dask", *words, "--scheduler-file", str(self._file)]
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=_ENVIRONMENT)

    def processes(self) -> list[subprocess.Popen[bytes]]:
        """Its processes that run."""
        return [process for process in self._processes.values() if process.poll() is None]

    def stop(self) -> None:
        """Ends all."""
        for process in reversed(self.processes()):
            process.terminate()
            process.wait()


class Trial:
    """One run with kills.

    Attributes:
        kills: what was killed.
        faults: sentences on what is wrong.
    """

    def __init__(self, server: Emulator, source: Path, folder: Path, engine: str, cluster: Cluster | None) -> None:
        self.kills: list[Kill] = []
        self.faults: list[str] = []
        self.repeated = self.lost = 0
        self._server, self._output, self._cluster = server, folder, cluster
        self._seen: set[psutil.Process] = set()
        common = ["--output", folder, "--log-format", "json"]
        sharding = ["--engine", "dask" if engine == "cluster" else engine]
        sharding += (
            ["--urns-per-shard", 1] if engine == "cluster" else ["--processes", _PROCESSES, "--urns-per-shard", 1]
        )
        self._resume = ["--resume", *common, *sharding]
        self._first = [source, *common, *sharding, *options_of(server)]

    def run(self, dice: random.Random, kills: int, seconds: float, kinds: tuple[str, ...]) -> None:
        """Starts the export, kills what the dice say, continues, and checks the result.

        Args:
            dice: of this trial.
            kills: how many.
            seconds: that the run lasts without a kill.
            kinds: what may be killed.
        """
        export = self._start()
        while len(self.kills) < kills:
            after = dice.uniform(0, seconds)
            with suppress(subprocess.TimeoutExpired):
                export.wait(after)
            if export.poll() is None:
                self._kill(export, dice, kinds, after)
            elif (self._output / "manifest.json").exists() and not export.returncode:
                break  # it was faster than the kill
            if export.poll() is not None:
                self._check_end(export)
                export = self._start()
        self._check_end(export)
        for _ in range(4):
            if not export.returncode:
                break
            export = self._start()
            self._check_end(export)
        if export.returncode:
            self.faults.append(f"the run ends with {export.returncode} without a kill: {self._message()}")

    def _start(self) -> subprocess.Popen[bytes]:
        words = self._resume if (self._output / "ledger.sqlite").exists() else self._first
        where: list[object] = []
        if self._cluster is not None:
            self._cluster.start()
            where = ["--scheduler", self._cluster.address]
        command = [sys.executable, "-m", "inventory", "export", *map(str, [*words, *where])]
        with self._output.with_suffix(".log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=_ENVIRONMENT)

    def _kill(self, export: subprocess.Popen[bytes], dice: random.Random, kinds: tuple[str, ...], after: float) -> None:
        roots = [export, *(self._cluster.processes() if self._cluster else ())]
        victims: dict[str, list[psutil.Process]] = {}
        with suppress(psutil.Error):
            for root in roots:
                own = psutil.Process(root.pid)
                for process in (own, *own.children(recursive=True)):
                    with suppress(psutil.Error):
                        victims.setdefault(_kind_of(process), []).append(process)
                        self._seen.add(process)
        victims["machine"] = victims.get("nanny", [])
        chosen = [kind for kind in dice.sample(kinds, len(kinds)) if victims.get(kind)]
        if not chosen:
            return
        victim = dice.choice(victims[chosen[0]])
        bound = self._bound(chosen[0])
        with suppress(psutil.Error):
            for process in (victim, *(victim.children(recursive=True) if chosen[0] == "machine" else ())):
                process.kill()
            self.kills.append(Kill(chosen[0], round(after, 2), bound))
        if victim.pid == export.pid:
            export.wait()

    def _bound(self, kind: str) -> int:
        """How many calls the table of failures allows to be repeated."""
        try:
            shards = json.loads((self._output / "plan.json").read_text())["shards"]
        except (OSError, ValueError):
            return 0
        left = [one["entries"] for one in shards if not (self._output / f"shards/{one['number']:05}.json").exists()]
        if kind == "shard" and self._cluster is None:
            return _WORKERS
        return sum(sorted(left)[-1:] if kind in {"shard", "worker", "nanny", "machine"} else left)

    def _check_end(self, export: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + _PATIENCE
        while export.poll() is None and time.monotonic() < until:
            time.sleep(0.2)
            if self._cluster is not None and self._cluster.has_scheduler:
                self._cluster.start()
        if export.poll() is None:
            export.kill()
            self.faults.append(f"the export hangs after {self.kills[-1:]}")
        code = export.wait()
        is_unreachable = code == _UNREACHABLE and self.kills and self.kills[-1].kind in {"scheduler", "nanny"}
        if code not in _ENDED and code != -signal.SIGKILL and not is_unreachable:
            self.faults.append(f"exit code {code} after {self.kills[-1:]}: {self._message()}")
        if "Traceback" in self._log():
            self.faults.append(f"a traceback after {self.kills[-1:]}")

    def _log(self) -> str:
        return self._output.with_suffix(".log").read_text(errors="replace")

    def _message(self) -> str:
        return self._log().strip().rpartition("\n")[2][-400:]

    def check(self, right: dict[str, bytes]) -> None:
        """Compares tables, manifest and the server's log."""
        log = [request.path for request in self._server.requests]
        self.repeated = sum(count - 1 for count in Counter(log).values())
        bound = sum(kill.bound for kill in self.kills)
        if self.repeated > bound:
            self.faults.append(f"{self.repeated} calls were repeated, {bound} are allowed")
        try:
            manifest = json.loads((self._output / "manifest.json").read_text())
        except OSError:
            self.faults.append("there is no manifest")
            return
        self.lost = len(log) - manifest["requests"]["total"]
        lossless = not self.kills or (self._cluster is None and {kill.kind for kill in self.kills} == {"coordinator"})
        if not 0 <= self.lost <= (0 if lossless else bound):
            self.faults.append(f"the server counts {len(log)} calls, the manifest {manifest['requests']['total']}")
        counts = manifest["counts"]["status"]
        if not manifest["complete"] or sum(counts.values()) != manifest["input"]["urns"]:
            self.faults.append(f"URNs are lost: {counts} of {manifest['input']['urns']}")
        self.faults += [f"{name} differs" for name in _TABLES if (self._output / name).read_bytes() != right[name]]

    def left_over(self) -> list[psutil.Process]:
        """Processes that still run, although their export has ended."""
        own = {process.pid for process in self._cluster.processes()} if self._cluster else set()
        left = [process for process in self._seen if process.is_running() and process.pid not in own]
        return [process for process in left if not own.intersection(parent.pid for parent in process.parents())]


def options_of(server: Emulator) -> list[object]:
    """The options of the first start of an export."""
    common = ["--endpoint", server.url, "--max-per-second", 0, "--max-workers", _WORKERS, "--no-batch"]
    return [*common, "--format", "parquet", "--format", "csv"]


@contextmanager
def _cluster(engine: str, folder: Path) -> Iterator[Cluster | None]:
    if engine != "cluster":
        yield None
        return
    cluster = Cluster(folder)
    try:
        yield cluster
    finally:
        cluster.stop()


def measure(engine: str, kills: int, seed: int, urns: int, folder: Path) -> dict[str, Any]:
    """Runs trials until so many processes are killed; returns what they say."""
    dice, seconds = random.Random(seed), 0.0
    cloud = GeneratedCloud(urns, seed, regions=("cn-north-4",) * _SCOPES)
    figures: list[dict[str, Any]] = []
    with (
        Emulator(cloud, token=_TOKEN, faults="latency=40ms").in_thread() as server,
        _cluster(engine, folder) as cluster,
    ):
        source = folder / "urns.txt"
        source.write_text("\n".join([*server.urns(urns), "no urn", *server.urns(5)]) + "\n")
        one = folder / "one"
        words = ["export", source, "--output", one, "--quiet", *options_of(server)]
        subprocess.run([sys.executable, "-m", "inventory", *map(str, words)], check=True, env=_ENVIRONMENT, stdout=-3)
        right = {name: (one / name).read_bytes() for name in _TABLES}
        trials: list[Trial] = []
        server.clear()
        while not trials or sum(len(trial.kills) for trial in trials) < kills:
            own = Trial(server, source, folder / f"run-{len(trials)}", engine, cluster)
            left = kills - sum(len(trial.kills) for trial in trials)
            started = time.monotonic()
            # The first has no kill: it says how long a run lasts.
            number = min(left, dice.randint(1, _MAX_KILLS)) if trials else 0
            own.run(dice, number, seconds, _KINDS[engine])
            seconds = seconds or time.monotonic() - started
            own.check(right)
            server.clear()
            trials.append(own)
            done = {"kills": own.kills, "repeated": own.repeated, "lost": own.lost, "faults": own.faults}
            figures.append({**done, "seconds": round(time.monotonic() - started, 1)})
            sys.stderr.write(json.dumps(figures[-1]) + "\n")
        until = time.monotonic() + 60
        while any(trial.left_over() for trial in trials) and time.monotonic() < until:
            time.sleep(0.5)
        left_over = [process.cmdline() for trial in trials for process in trial.left_over()]
    return {
        "engine": engine,
        "seed": seed,
        "kills": Counter(kill.kind for trial in trials for kill in trial.kills),
        "repeated": sum(trial.repeated for trial in trials),
        "allowed": sum(kill.bound for trial in trials for kill in trial.kills),
        "lost": sum(trial.lost for trial in trials),
        "processes_left": left_over,
        "faults": [fault for trial in trials for fault in trial.faults],
    }


def main() -> None:
    """Kills what the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=_KINDS, default="processes")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--urns", type=int, default=1500)
    parser.add_argument("--folder", type=Path, help="keeps runs and logs there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = asked.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        figures = measure(asked.engine, asked.kills, asked.seed, asked.urns, folder)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    if figures["faults"] or figures["processes_left"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
