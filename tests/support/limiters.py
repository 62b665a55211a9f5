"""Servers that limit calls, as discrete events: each is asked whether a call that arrives at a moment passes."""

from __future__ import annotations

import math
import random
from collections import deque


class FixedWindow:
    """A fixed window of calls, from the first call or a fixed time."""

    def __init__(self, calls: int, seconds: float, *, offset: float | None = None, others: float = 0.0) -> None:
        self.calls, self.seconds, self.offset, self.others = calls, seconds, offset, others
        self.window, self.used = -1, 0

    @property
    def per_second(self) -> float:
        """What is left for us."""
        return self.calls * (1 - self.others) / self.seconds

    def lets_in(self, now: float) -> bool:
        """Whether a call passes."""
        if self.offset is None:
            self.offset = now
        window = math.floor((now - self.offset) / self.seconds)
        if window != self.window:
            self.window, self.used = window, 0
        passed = (now - self.offset) / self.seconds - window
        passes = self.used + 1 + passed * self.others * self.calls <= self.calls
        self.used += passes
        return passes


class SlidingWindow:
    """A sliding window of calls."""

    def __init__(self, calls: int, seconds: float, *, others: float = 0.0) -> None:
        self.calls, self.seconds, self.others = calls, seconds, others
        self.sent: deque[float] = deque()

    @property
    def per_second(self) -> float:
        """What is left for us."""
        return self.calls * (1 - self.others) / self.seconds

    def lets_in(self, now: float) -> bool:
        """Whether a call passes."""
        while self.sent and self.sent[0] <= now - self.seconds:
            self.sent.popleft()
        passes = len(self.sent) + 1 <= self.calls * (1 - self.others)
        if passes:
            self.sent.append(now)
        return passes


class WeighedWindow:
    """A sliding window as proxies count it: this window's calls, and of those of the last the part still in view."""

    def __init__(self, calls: int, seconds: float) -> None:
        self.calls, self.seconds = calls, seconds
        self.window, self.used, self.before = -1, 0, 0

    def lets_in(self, now: float) -> bool:
        """Whether a call passes."""
        window, passed = divmod(now / self.seconds, 1)
        if window != self.window:
            self.before = self.used if window == self.window + 1 else 0
            self.window, self.used = window, 0
        passes = self.before * (1 - passed) + self.used + 1 <= self.calls
        self.used += passes
        return passes


class Tenants:
    """Others call at random, and take their part of what a server lets in."""

    def __init__(self, server, per_second: float) -> None:
        self.server, self.rate, self.chance = server, per_second, random.Random(3)
        self.calls, self.seconds = server.calls, server.seconds
        self.next = 0.0

    @property
    def per_second(self) -> float:
        """What is left for us."""
        return self.server.per_second - self.rate

    def lets_in(self, now: float) -> bool:
        """Whether a call passes."""
        self.next = self.next or now
        while self.next <= now:
            self.server.lets_in(self.next)
            self.next += self.chance.expovariate(self.rate)
        return self.server.lets_in(now)


class TokenBucket:
    """A bucket that is filled evenly; a full one lets a burst pass."""

    def __init__(self, calls: int, seconds: float, *, burst: float) -> None:
        self.calls, self.seconds, self.burst = calls, seconds, burst
        self.tokens, self.at = burst, 0.0

    @property
    def per_second(self) -> float:
        """How fast it is filled."""
        return self.calls / self.seconds

    def lets_in(self, now: float) -> bool:
        """Whether a call passes."""
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.per_second)
        self.at = now
        passes = self.tokens >= 1
        self.tokens -= passes
        return passes


class Changes:
    """One server, and after a while another one."""

    def __init__(self, before, after, at: float) -> None:
        self.before, self.after, self.at = before, after, at
        self.began: float | None = None

    @property
    def now(self):
        """The one that judges."""
        return self.after if self.began is not None and self.passed >= self.at else self.before

    calls = property(lambda self: self.now.calls)
    seconds = property(lambda self: self.now.seconds)
    per_second = property(lambda self: self.after.per_second)

    def lets_in(self, now: float) -> bool:
        """Whether a call passes."""
        self.began = now if self.began is None else self.began
        self.passed = now - self.began
        return self.now.lets_in(now)
