"""What is seen while a run goes on."""

import io
import json
import sys
from collections import Counter
from types import SimpleNamespace

import pytest

from inventory.display import terminal as progress
from inventory.display.terminal import Display, LineWatch, Log, TerminalWatch, duration
from inventory.progress import Progress, Watch


def so_far(done, *, total=100, paused_for=0.0, **statuses):
    return Progress(done, total, calls=done, statuses=Counter(statuses), paused_for=paused_for)


@pytest.fixture
def clock(monkeypatch):
    """The display's clock."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    return clock


def test_a_speed_is_told_when_there_is_enough_to_tell(clock):
    """No speed at the first moment, then that of the last seconds, not of the whole run."""
    speed = progress.Speed()
    assert speed.of(0) is None
    clock.now = 0.5
    assert speed.of(100) is None
    clock.now = 2.0
    assert speed.of(200) == 100
    for second in range(3, 60):
        clock.now = float(second)
        told = speed.of(200 + 10 * second)
    assert told == pytest.approx(10)


@pytest.mark.parametrize(
    ("done", "speed", "words"),
    [
        (so_far(0), None, ""),
        (so_far(0), 0.0, "0/s"),
        (so_far(40, configured=30, not_found=10), 2.0, "2/s, 30 s left, 30 configured, 10 not_found"),
        (so_far(40, paused_for=0.3), 2.0, "2/s, 30 s left"),
        (so_far(40, paused_for=90.0), 2.0, "2/s, 2 min 0 s left, throttled, waiting 1 min 30 s"),
        (so_far(100, configured=100), 2.0, "2/s, 100 configured"),
    ],
)
def test_the_state_says_what_matters_most_first(done, speed, words):
    """Rate, time left, throttle, and then the counts, which a narrow terminal cuts."""
    assert progress.state_of(done, speed) == words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (45.4, "45 s"),
        (60, "1 min 0 s"),
        (3599.9, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (36e6, "10,000 h 0 min"),
    ],
)
def test_durations_are_for_people(seconds, text):
    """A length of time in the two units that matter."""
    assert duration(seconds) == text


def test_lines_come_every_few_seconds(clock, capsys):
    """Where there is no terminal, a line stands for some seconds, whatever the stage."""
    watch = LineWatch(Log("text"))
    watch.loading(10)
    clock.now = 6.0
    watch.loading(20)
    watch.asking(so_far(1))
    clock.now = 12.0
    watch.asking(so_far(13, configured=13))
    clock.now = 18.0
    watch.tabulating(50, 100)
    clock.now = 24.0
    watch.delivering(5_000, 10_000)
    assert capsys.readouterr().err.splitlines() == [
        "reading the list: 20 entries",
        "13 of 100 URNs, 2/s, 44 s left, 13 configured",
        "writing tables: 50 of 100 URNs",
        "sending: 5,000 of 10,000 bytes",
    ]


def test_json_lines_hold_numbers(clock, capsys):
    """For machines, progress is numbers under names."""
    watch = LineWatch(Log("json"))
    clock.now = 6.0
    watch.asking(so_far(13, configured=13, paused_for=1.25))
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
def test_the_display_stays_on_one_line(width, cut, monkeypatch):
    """On 80 columns the count, the rate and the time left are there, and the end is cut."""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress.Speed, "of", lambda _self, _done: 198.0)
    display = Display(Log("text"))
    with display as watch:
        assert isinstance(watch, TerminalWatch)
        watch.asking(so_far(12_345, total=100_000, configured=11_000, not_configured=1_000, paused_for=4.0))
        display._bar.refresh()
    (line,) = {line for line in terminal.getvalue().replace("\r", "\n").splitlines() if "12345/100000" in line}
    assert "198/s, 7 min 27 s left" in line
    assert ("not_configured" in line, "…" in line) == (not cut, cut)


def test_the_watcher_that_suits(monkeypatch):
    """Quiet: nothing. A terminal: a display. Otherwise, and for machines: lines."""
    assert type(Display(Log("text", quiet=True)).__enter__()) is Watch
    assert type(Display(Log("text")).__enter__()) is LineWatch
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert type(Display(Log("json")).__enter__()) is LineWatch


def test_words_of_a_server_do_not_steer_the_terminal(capsys):
    """Escape sequences, text direction marks and line breaks of an error message are shown, not sent."""
    Log("text").complain("bad \x1b[31mred\x07\u202e end\nsecond line")
    assert capsys.readouterr().err == "inventory: bad \\x1b[31mred\\x07\\u202e end\\nsecond line\n"


def test_a_stderr_that_cannot_be_written_stops_nothing(monkeypatch):
    """A log on a full disk falls silent."""

    class Full(io.StringIO):
        def write(self, _text):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("sys.stderr", Full())
    log = Log("text")
    log.say("x", "words")
    log.complain("words")
    assert log.quiet
