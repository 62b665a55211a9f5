import io
import json
import re
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
        "uploading: 5.0 kB of 10.0 kB",
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


def test_the_last_state_of_a_logged_stage_is_logged(clock, capsys):
    observer = LineObserver(Log("text"))
    observer.on_load(10)  # too early for a line, so its end is not logged either
    clock.now = 6.0
    observer.on_fetch(progress_at(661, total=662, configured=661))
    observer.on_fetch(progress_at(662, total=662, configured=661, failed=1))
    observer.on_build_tables(1, 662)
    clock.now = 12.0
    observer.on_build_tables(600, 662)
    observer.on_build_tables(662, 662)
    observer.close()
    observer.close()
    assert [line.partition("URNs")[0] for line in capsys.readouterr().err.splitlines()] == [
        "661 of 662 ",
        "662 of 662 ",
        "writing tables: 600 of 662 ",
        "writing tables: 662 of 662 ",
    ]


def open_terminal(monkeypatch, **environment):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    for name, value in {"TERM": "xterm", "NO_COLOR": "", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Speed, "update", lambda _self, _done: 198.0)
    return terminal


def show(monkeypatch, done=12_345, **environment):
    terminal = open_terminal(monkeypatch, **environment)
    display = Display(Log("text"))
    with display as observer:
        assert isinstance(observer, TerminalObserver)
        statuses = {"configured": 11_000, "not_configured": 1_000, "failed": 1_234}
        observer.on_fetch(progress_at(done, total=100_000, **statuses, paused_for=4.0)._replace(paused_by="429"))
        display._bar.refresh()
    (raw,) = {line for line in terminal.getvalue().replace("\r", "\n").splitlines() if f"{done:,}/100,000" in line}
    return raw, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", raw)


@pytest.mark.parametrize(
    ("width", "end"),
    [
        (40, "1,234 failed"),
        (80, "1,234 failed, waiting 4 s (429), 198/s"),
        (120, "1,234 failed, waiting 4 s (429), 198/s, 7 min 27 s left, 11,000 configured"),
        (160, "1,234 failed, waiting 4 s (429), 198/s, 7 min 27 s left, 11,000 configured, 1,000 not_configured"),
    ],
)
def test_the_bar_shows_problems_first_and_drops_whole_parts(width, end, monkeypatch):
    raw, line = show(monkeypatch, COLUMNS=str(width))
    assert line.rstrip().endswith(f"12,345/100,000 {end}")
    assert len(line) <= width
    assert re.search(r"\x1b\[1;31m1,234 failed\x1b", raw)


def test_a_terminal_without_colours_shows_the_bar(monkeypatch):
    raw, line = show(monkeypatch, NO_COLOR="1", COLUMNS="80")
    assert "\x1b[1;31m" not in raw
    assert "1,234 failed" in line


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_a_terminal_without_cursor_control_shows_lines(monkeypatch, clock, term):
    terminal = open_terminal(monkeypatch, TERM=term)
    with Display(Log("text")) as observer:
        clock.now = 1.5
        observer.on_fetch(progress_at(50, failed=1))
        observer.on_fetch(progress_at(100, failed=1))
    assert terminal.getvalue().splitlines() == [
        "50 of 100 URNs, 1 failed, 198/s, 0 s left",
        "100 of 100 URNs, 1 failed, 198/s",
    ]


def test_display_picks_the_observer(monkeypatch):
    assert type(Display(Log("text", quiet=True)).__enter__()) is ProgressObserver
    assert type(Display(Log("text")).__enter__()) is LineObserver
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert type(Display(Log("json")).__enter__()) is LineObserver
