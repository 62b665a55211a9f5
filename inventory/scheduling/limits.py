"""Limits of a run: the throttle of each scope, the endpoints, what was learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from inventory.errors import RateLimit
from inventory.scheduling.endpoint import Endpoint
from inventory.scheduling.running_clock import RunningClock
from inventory.scheduling.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Mapping

ScopeKey = tuple[str, str]


class SharedLimit(NamedTuple):
    """A learned limit that counts the calls of several scopes.

    Attributes:
        endpoint: base URL.
        used: share of the limit that was used; None if unknown.
        scopes: the scopes behind it, as (region, project).
    """

    endpoint: str
    limit: RateLimit
    used: float | None
    scopes: list[ScopeKey]


class Limits:
    """Throttles of a run, from the listing to the last call.

    Args:
        share: used share of learned limits.
        learned: what :meth:`learned` returned in an earlier session.
        endpoint_share: used share of the limits that all scopes of an endpoint share, as a part of ``share``.

    Attributes:
        clock: of all throttles.
    """

    def __init__(self, share: float, learned: Mapping[str, Any] | None = None, *, endpoint_share: float = 1.0) -> None:
        self.clock = RunningClock()
        self._share = share
        self._endpoint_share = share * endpoint_share
        self._scopes: dict[ScopeKey, Throttle] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._members: dict[str, set[ScopeKey]] = {}
        self._named: dict[ScopeKey, list[RateLimit]] = {}
        for region, project_id, limits in (learned or {}).get("scopes", ()):
            self._named[region, project_id] = [RateLimit(*limit) for limit in limits]
        for url, limits in (learned or {}).get("endpoints", ()):
            self._learn(self._endpoint(url).throttle, [RateLimit(*limit) for limit in limits])

    def throttle(self, key: ScopeKey, max_per_second: float) -> Throttle:
        """The throttle of a scope."""
        if key not in self._scopes:
            throttle = self._scopes[key] = Throttle(max_per_second, share=self._share, clock=self.clock)
            self._learn(throttle, self._named.get(key, []))
        return self._scopes[key]

    def endpoint(self, url: str, key: ScopeKey) -> Endpoint:
        """The endpoint of a scope."""
        self._members.setdefault(url, set()).add(key)
        return self._endpoint(url)

    def separate(self) -> Limits:
        """Limits of calls that are independent of these, with the same clock."""
        other = Limits(self._share)
        other.clock = self.clock
        return other

    def forget(self, key: ScopeKey) -> None:
        """Keeps only the named limits of a scope without further calls."""
        if (throttle := self._scopes.pop(key, None)) is not None and (named := throttle.pace.limits):
            self._named[key] = named

    def shared(self) -> list[SharedLimit]:
        """The learned shared limits."""
        return [
            SharedLimit(url, limit, endpoint.throttle.used, sorted(self._members.get(url, ())))
            for url, endpoint in self._endpoints.items()
            for limit in endpoint.throttle.pace.limits
        ]

    def learned(self) -> dict[str, Any]:
        """The named limits, as JSON."""
        scopes = self._named | {key: throttle.pace.limits for key, throttle in self._scopes.items()}
        endpoints = {url: endpoint.throttle.pace.limits for url, endpoint in self._endpoints.items()}
        return {
            "scopes": [[*key, list(map(list, limits))] for key, limits in sorted(scopes.items()) if limits],
            "endpoints": [[url, list(map(list, limits))] for url, limits in sorted(endpoints.items()) if limits],
        }

    def _endpoint(self, url: str) -> Endpoint:
        if url not in self._endpoints:
            self._endpoints[url] = Endpoint(self._endpoint_share, self.clock)
        return self._endpoints[url]

    def _learn(self, throttle: Throttle, limits: list[RateLimit]) -> None:
        for limit in limits:
            throttle.pace.learn(limit, self.clock())
