"""Functions that call functions: how long the chains are, what one event may cost at worst, and which go in circles.

Owns how an event moves from function to function. Knows no price; circles are told in ``cycles``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from inventory.reviews import columns
from inventory.reviews.cycles import Graph, circles_of
from inventory.reviews.graph import components
from inventory.reviews.targets import distinct, resolve

if TYPE_CHECKING:
    from inventory.reviews.columns import Flags, Numbers

_ENDS = ("not_found", "not_a_function_urn")
"""A target that is not there is not called."""


class Chains(NamedTuple):
    """What :func:`follow` found.

    Attributes:
        functions: a row for each URN that calls or is called: ``urn`` (canonical), ``chain``, ``calls_at_worst``,
            ``is_lower_bound``, ``called_by``.
        circles: a row a circle; see :func:`inventory.reviews.cycles.circles_of`.
        links: the destinations that lead on, as :func:`inventory.reviews.targets.resolve` gives them.
    """

    functions: pd.DataFrame
    circles: pd.DataFrame
    links: pd.DataFrame


def follow(functions: pd.DataFrame, destinations: pd.DataFrame) -> Chains:
    """Follows every FunctionGraph destination to its end.

    An event ends as a success or as a failure, so it takes one way at a time: a chain is a path, and its worst case the
    dearest path. A step costs ``1 + max_async_retry_attempts`` calls at worst, on either way out.

    Args:
        functions: the table ``functions``.
        destinations: the table ``destinations`` of the same run.

    Returns:
        ``chain``: functions that one event may come through, this one included. ``calls_at_worst``: calls on the
        dearest way. Both are infinite where a way leads into a circle. ``is_lower_bound``: on the way stands a URN
        of which the retries, and so what comes after, are not known; it counts as one call. ``called_by``: links
        that lead here.

    Shape:
        A row a URN with a link, sorted by ``calls_at_worst``, the dearest first, then by ``urn``.

    Units:
        functions; calls; links.

    Assumptions:
        A destination is called asynchronously, with its own retries. What is ``not_found`` is not called. A URN
        without a qualifier is ``latest``; an alias is what it is, whatever version it points to. Of two answers to one
        thing (a list with and without ``latest``) the first in the table holds, as in the bill.
    """
    links = resolve(functions, destinations)
    links = links[~links["target_status"].isin(_ENDS)].drop_duplicates(["source", "event"])
    links = links.reset_index(drop=True)
    ends = pd.concat([links["source"], links["target"]], ignore_index=True)
    codes, urns = pd.factorize(ends, sort=True)
    half = len(links)
    graph = Graph([str(urn) for urn in urns], codes[:half].tolist(), codes[half:].tolist(), links["event"].tolist())
    own, known = _own_calls(functions, graph.urns)
    chain, worst, bound = _longest(graph, own, known)
    found = pd.DataFrame(
        {
            "urn": pd.Series(graph.urns, dtype=object),
            "chain": chain,
            "calls_at_worst": worst,
            "is_lower_bound": bound,
            "called_by": np.bincount(np.asarray(graph.targets, dtype=np.int64), minlength=len(graph.urns)),
        }
    )
    found = found.sort_values(["calls_at_worst", "urn"], ascending=[False, True], ignore_index=True)
    return Chains(found, circles_of(graph), links)


def _own_calls(functions: pd.DataFrame, urns: list[str]) -> tuple[Numbers, Flags]:
    """Calls of one event at each URN at worst, and whether that is known."""
    listed = distinct(functions)
    retries = pd.Series(columns.numbers(listed, "max_async_retry_attempts"), index=listed["urn"], dtype=float)
    own = retries.reindex(urns).to_numpy(dtype=np.float64)
    known = ~np.isnan(own)
    return np.where(known, 1 + np.maximum(0.0, own), 1.0), known


def _longest(graph: Graph, own: Numbers, known: Flags) -> tuple[Numbers, Numbers, Flags]:
    """Longest and dearest way from each node; each component comes after all that it leads to."""
    chain, worst, bound = np.ones(len(own)), own.copy(), ~known
    following = graph.following()
    for component in components(following):
        node = component[0]
        if len(component) > 1 or node in following[node]:
            chain[component] = worst[component] = np.inf
            continue
        ahead = following[node]
        if ahead:
            chain[node] = 1 + max(chain[ahead])
            worst[node] = own[node] + max(worst[ahead])
            bound[node] |= any(bound[ahead])
    bound[np.isinf(worst)] = False
    return chain, worst, bound
