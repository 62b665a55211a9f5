"""Chains of functions that call functions: length and worst-case number of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from inventory.reviews import columns
from inventory.reviews.cycles import find_cycles
from inventory.reviews.graph import CallGraph, strongly_connected_components
from inventory.reviews.targets import GONE, drop_duplicate_urns, resolve_targets

if TYPE_CHECKING:
    from inventory.reviews.columns import BoolArray, FloatArray


class Chains(NamedTuple):
    """Result of :func:`trace_chains`.

    Attributes:
        functions: one row per URN with a link: ``urn``, ``chain``, ``calls_at_worst``, ``is_lower_bound``,
            ``called_by``.
        cycles: result of :func:`inventory.reviews.cycles.find_cycles`.
        links: rows of :func:`inventory.reviews.targets.resolve_targets` whose target is called.
    """

    functions: pd.DataFrame
    cycles: pd.DataFrame
    links: pd.DataFrame

    @property
    def circles(self) -> pd.DataFrame:
        """Old name of ``cycles``."""
        return self.cycles


def trace_chains(functions: pd.DataFrame, destinations: pd.DataFrame, manifest: dict[str, Any] | None = None) -> Chains:
    """Follows FunctionGraph destinations from function to function.

    An event either succeeds or fails, so a chain is a path. Each step makes up to ``1 + max_async_retry_attempts``
    calls; targets that are gone (see :func:`inventory.reviews.targets.resolve_targets`) are not called. Aliases are
    not resolved.

    Returns:
        ``chain``: functions on the longest path from this one. ``calls_at_worst``: calls on the most expensive path.
        Both are infinite if a path leads into a cycle. ``is_lower_bound``: a URN on a path has unknown retries and
        counts as one call. ``called_by``: incoming links.

    Shape:
        One row per URN with a link, sorted by ``calls_at_worst`` (descending), then by ``urn``.
    """
    links = resolve_targets(functions, destinations, manifest)
    links = links[~links["target_status"].isin(GONE)].drop_duplicates(["source", "event"])
    links = links.reset_index(drop=True)
    ends = pd.concat([links["source"], links["target"]], ignore_index=True)
    codes, urns = pd.factorize(ends, sort=True)
    count = len(links)
    graph = CallGraph(
        [str(urn) for urn in urns], codes[:count].tolist(), codes[count:].tolist(), links["event"].tolist()
    )
    calls, known = _calls_per_event(functions, graph.urns)
    chain, worst, bound = _longest_paths(graph, calls, known)
    chains = pd.DataFrame(
        {
            "urn": pd.Series(graph.urns, dtype=object),
            "chain": chain,
            "calls_at_worst": worst,
            "is_lower_bound": bound,
            "called_by": np.bincount(np.asarray(graph.targets, dtype=np.int64), minlength=len(graph.urns)),
        }
    )
    chains = chains.sort_values(["calls_at_worst", "urn"], ascending=[False, True], ignore_index=True)
    return Chains(chains, find_cycles(graph), links)


def _calls_per_event(functions: pd.DataFrame, urns: list[str]) -> tuple[FloatArray, BoolArray]:
    """Worst-case calls of one event at each URN, and whether its retries are known."""
    listed = drop_duplicate_urns(functions)
    by_urn = pd.Series(columns.to_floats(listed, "max_async_retry_attempts"), index=listed["urn"], dtype=float)
    retries = by_urn.reindex(urns).to_numpy(dtype=np.float64)
    known = ~np.isnan(retries)
    return np.where(known, 1 + np.maximum(0.0, retries), 1.0), known


def _longest_paths(graph: CallGraph, calls: FloatArray, known: BoolArray) -> tuple[FloatArray, FloatArray, BoolArray]:
    chain, worst, bound = np.ones(len(calls)), calls.copy(), ~known
    successors = graph.successors()
    for component in strongly_connected_components(successors):
        node = component[0]
        if len(component) > 1 or node in successors[node]:
            chain[component] = worst[component] = np.inf
            continue
        ahead = successors[node]
        if ahead:
            chain[node] = 1 + max(chain[ahead])
            worst[node] = calls[node] + max(worst[ahead])
            bound[node] |= any(bound[ahead])
    bound[np.isinf(worst)] = False
    return chain, worst, bound
