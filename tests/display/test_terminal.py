import io
import json
import sys
from collections import Counter
from types import SimpleNamespace

import pytest

from inventory.display.formatting import Speed
from inventory.display.log import Log
from inventory.display.terminal import Display, LineObserver, TerminalObserver
from inventory.progress import Progress, ProgressObserver


def progress_at(done, *, total=100, paused_for=0.0, **statuses):
    return Progress(done, total, calls=done, statuses=Counter(statuses), paused_for=paused_for)


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    return clock


def test_lines_are_five_seconds_apart(clock, capsys):
    observer = LineObserver(Log("text"))
    observer.on_load(10)
    clock.now = 6.0
    observer.on_load(20)
    observer.on_fetch(progress_at(1))
    clock.now = 12.0
    observer.on_fetch(progress_at(13, configured=13))
    clock.now = 18.0
    observer.on_build_tables(50, 100)
    clock.now = 24.0
    observer.on_upload(5_000, 10_000)
    assert capsys.readouterr().err.splitlines() == [
        "reading the list: 20 entries",
        "13 of 100 URNs, 2/s, 44 s left, 13 configured",
        "writing tables: 50 of 100 URNs",
        "sending: 5,000 of 10,000 bytes",
    ]


def test_json_lines_contain_numbers(clock, capsys):
    observer = LineObserver(Log("json"))
    clock.now = 6.0
    observer.on_fetch(progress_at(13, configured=13, paused_for=1.25))
    line = json.loads(capsys.readouterr().err)
    assert {name: line[name] for name in line if name != "time"} == {
        "event": "progress",
        "done": 13,
        "total": 100,
        "calls": 13,
        "per_second": None,
        "statuses": {"configured": 13},
        "paused_for_seconds": 1.2,
        "seconds_left": None,
    }


@pytest.mark.parametrize(("width", "cut"), [(80, True), (160, False)])
def test_bar_stays_on_one_line(width, cut, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(Speed, "update", lambda _self, _done: 198.0)
    display = Display(Log("text"))
    with display as observer:
        assert isinstance(observer, TerminalObserver)
        observer.on_fetch(progress_at(12_345, total=100_000, configured=11_000, not_configured=1_000, paused_for=4.0))
        display._bar.refresh()
    (line,) = {line for line in terminal.getvalue().replace("\r", "\n").splitlines() if "12345/100000" in line}
    assert "198/s, 7 min 27 s left" in line
    assert ("not_configured" in line, "…" in line) == (not cut, cut)


def test_display_picks_the_observer(monkeypatch):
    assert type(Display(Log("text", quiet=True)).__enter__()) is ProgressObserver
    assert type(Display(Log("text")).__enter__()) is LineObserver
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert type(Display(Log("json")).__enter__()) is LineObserver
