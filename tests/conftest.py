"""Fixtures of all tests."""

from __future__ import annotations

import asyncio
import os
import random
import selectors
import sys

import pytest
from hypothesis import HealthCheck, settings

from inventory.certificates import BUNDLES

# No test asserts a time, and a busy machine is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Some hundreds of processes are started: where each had to compile the package, that would be a fifth of all the work.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Each of them names a bundle that a run loads twice, in 30 ms of CPU time; tests of certificates set their own.
for _name in ("SSL_CERT_FILE", "SSL_CERT_DIR", *BUNDLES):
    os.environ.pop(_name, None)


class _Selector(selectors.SelectSelector):
    """Waits for nothing: where nothing is ready, the time of the loop jumps to the next thing that is planned."""

    loop: VirtualTimeLoop

    def select(self, timeout=None):
        """What is ready, at once."""
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("every task waits, and nothing is planned")
            self.loop.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only by being waited for: an hour of sleep takes no time."""

    now = 1000.0

    def __init__(self) -> None:
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Seconds of the loop's own time."""
        return self.now


def pytest_make_parametrize_id(val):
    """The part of a test's name that stands for bytes: their number, for gzip writes the time into them.

    Each process of a parallel run finds the tests for itself, and all must find the same names.
    """
    is_text = not isinstance(val, bytes) or (val.isascii() and val.decode().isprintable())
    return None if is_text else f"{len(val)}-bytes"


@pytest.fixture(scope="session")
def _home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _no_credentials_from_outside(monkeypatch, _home):
    for name in os.environ:
        if name.startswith(("HW_", "HUAWEICLOUD_", "HC_CONTAINER_", "AWS_", "OBS_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(_home))  # the SDK reads a profile there, and writes a file of its own


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    """No test cuts the power, and on a busy disk each fsync takes a moment that adds up."""
    monkeypatch.setattr("os.fsync", lambda _number: None)


@pytest.fixture
def write_list(tmp_path):
    """Writes a list of URNs; gives its path."""

    def write(lines, name="urns.txt"):
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def _store():
    from support.object_store import running_store  # noqa: PLC0415 - moto takes a second, and few tests need it

    with running_store() as server:
        yield server


@pytest.fixture
def store(_store, monkeypatch, tmp_path):
    """A real S3 server with an empty bucket, which this process and those that it starts use."""
    _store.reset()
    for name, value in _store.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return _store


@pytest.fixture
def in_virtual_time():
    """Runs a coroutine function with the clock of a loop of virtual time; random waits are the same in each run."""

    def run(test):
        random.seed(1)
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            clock = runner.get_loop().time
            return runner.run(test(clock))

    return run
