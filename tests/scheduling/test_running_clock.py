from __future__ import annotations

from inventory.scheduling.running_clock import RunningClock


class Times:
    """Two clocks that a test sets."""

    def __init__(self) -> None:
        self.monotonic = self.wall = 100.0

    def pass_by(self, seconds: float, *, is_suspended: bool = False) -> None:
        self.monotonic += 0.0 if is_suspended else seconds
        self.wall += seconds

    def clock(self) -> RunningClock:
        return RunningClock(lambda: self.monotonic, lambda: self.wall)


def test_time_in_which_the_process_was_stopped_does_not_pass():
    times = Times()
    clock = times.clock()
    for _ in range(20):
        times.pass_by(0.25)
        clock()
    assert clock() == 105.0
    assert not clock.stopped_since(100.0)
    times.pass_by(300.0)
    assert clock() == 105.0
    times.pass_by(0.25)
    assert clock() == 105.25
    assert clock.stopped_since(104.9)
    assert not clock.stopped_since(105.1)


def test_a_suspended_machine_is_noticed_although_its_monotonic_clock_does_not_advance():
    times = Times()
    clock = times.clock()
    sent = clock()
    times.pass_by(600.0, is_suspended=True)
    times.pass_by(0.25)
    assert clock.stopped_since(sent)
    times.pass_by(0.25)
    assert not clock.stopped_since(clock())
