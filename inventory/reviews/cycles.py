"""Functions that call each other in a circle: an event that comes in goes round.

Owns what a circle is, and of which kind. Knows no retries and no price.

Source: the vendor's user guide (functiongraph_01_0390_03, read 2026-11-25) asks not to set two functions as
targets of each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import pandas as pd

from inventory.reviews.graph import components, rings
from inventory.reviews.targets import function_of

if TYPE_CHECKING:
    from collections.abc import Sequence

CERTAINTIES: Final = ("certain", "if_alias")
KINDS: Final = ("on_success", "on_failure", "mixed")


class Graph(NamedTuple):
    """Who calls whom: canonical URNs in order, and links between their places, each with its event."""

    urns: list[str]
    sources: list[int]
    targets: list[int]
    events: list[str]

    def following(self) -> list[list[int]]:
        """For each URN those that follow it."""
        found: list[list[int]] = [[] for _ in self.urns]
        for source, target in zip(self.sources, self.targets, strict=True):
            found[source].append(target)
        return found


def circles_of(graph: Graph) -> pd.DataFrame:
    """Finds the circles of a graph, each once.

    Returns:
        ``certainty``: ``certain``, or ``if_alias``, a circle only if an alias in it points to the version in it;
        ``kind``: ``on_success`` (each event that succeeds all the way goes round for ever), ``on_failure`` (each that
        fails all the way), ``mixed`` (it takes successes and failures to go round, or several circles are knotted
        together); ``size``; ``urns``: of one circle in the order of the calls, the smallest first, of a knot sorted.

    Shape:
        A row a circle, sorted by certainty, kind in the order of ``KINDS``, and URNs. A URN has at most one link an
        event, so circles of one event never touch; a knot is a strongly connected part with links beside these.

    Units:
        ``size``: URNs.
    """
    rows: list[tuple[str, str, int, tuple[str, ...]]] = []
    in_rings: set[tuple[int, int]] = set()
    for kind in KINDS[:2]:
        links = zip(graph.sources, graph.targets, graph.events, strict=True)
        for ring in rings({source: target for source, target, event in links if event == kind}):
            rows.append(_row("certain", kind, graph, ring))
            in_rings.update(zip(ring, [*ring[1:], ring[0]], strict=True))
    rows += _knots(graph, graph.following(), "certain", in_rings)
    following, added = _through_aliases(graph)
    if added:
        certain = {urns for _, _, _, urns in rows}
        knots = _knots(graph, following, "if_alias", set(), added)
        rows += [row for row in knots if row[3] not in certain]
    rows.sort(key=lambda row: (CERTAINTIES.index(row[0]), KINDS.index(row[1]), row[3]))
    return pd.DataFrame(rows, columns=["certainty", "kind", "size", "urns"])


def _row(certainty: str, kind: str, graph: Graph, nodes: Sequence[int]) -> tuple[str, str, int, tuple[str, ...]]:
    return certainty, kind, len(nodes), tuple(graph.urns[node] for node in nodes)


def _knots(
    graph: Graph,
    following: list[list[int]],
    certainty: str,
    known: set[tuple[int, int]],
    needed: set[tuple[int, int]] | None = None,
) -> list[tuple[str, str, int, tuple[str, ...]]]:
    """Strongly connected parts with a link beside the known circles; with a needed one, where these are given."""
    events: dict[tuple[int, int], set[str]] = {}
    for source, target, event in zip(graph.sources, graph.targets, graph.events, strict=True):
        events.setdefault((source, target), set()).add(event)
    found = []
    for component in components(following):
        inside = set(component)
        links = {(node, follower) for node in component for follower in following[node] if follower in inside}
        if not links - known or (needed is not None and not links & needed):
            continue
        kinds = set().union(*(events.get(link, set()) for link in links))
        kind = kinds.pop() if len(kinds) == 1 else "mixed"
        found.append(_row(certainty, kind, graph, sorted(component)))
    return found


def _through_aliases(graph: Graph) -> tuple[list[list[int]], set[tuple[int, int]]]:
    """The graph with a link from each alias to each version of its function that leads on: it may point there."""
    following = graph.following()
    versions: dict[str, list[int]] = {}
    for node in sorted(set(graph.sources)):
        if not _is_alias(graph.urns[node]):
            versions.setdefault(function_of(graph.urns[node]), []).append(node)
    added: set[tuple[int, int]] = set()
    for node in sorted(set(graph.targets)):
        if _is_alias(graph.urns[node]):
            for version in versions.get(function_of(graph.urns[node]), []):
                following[node].append(version)
                added.add((node, version))
    return following, added


def _is_alias(urn: str) -> bool:
    return urn.rpartition(":")[2].startswith("!")
