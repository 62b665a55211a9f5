"""Cycles of functions that call each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandas as pd

from inventory.reviews.graph import simple_cycles, strongly_connected_components
from inventory.reviews.targets import strip_qualifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.reviews.graph import CallGraph

_CERTAINTIES: Final = ("certain", "if_alias")
_KINDS: Final = ("on_success", "on_failure", "mixed")


def find_cycles(graph: CallGraph) -> pd.DataFrame:
    """Finds each cycle of a call graph once.

    A node has one link per event, so cycles of one event never overlap. A strongly connected component with other
    links counts as one cycle.

    Returns:
        ``certainty``: ``if_alias`` if an alias must point to a version in the cycle, else ``certain``; ``kind``: the
        event of all links, or ``mixed``; ``size``; ``urns``: in call order if certain and not mixed, else sorted.

    Shape:
        One row per cycle, sorted by certainty, kind and URNs.

    Units:
        ``size``: URNs.

    Source:
        The user guide (functiongraph_01_0390_03, read 2026-11-25) warns against functions that call each other.
    """
    rows: list[tuple[str, str, int, tuple[str, ...]]] = []
    known_links: set[tuple[int, int]] = set()
    for kind in _KINDS[:2]:
        links = zip(graph.sources, graph.targets, graph.events, strict=True)
        for cycle in simple_cycles({source: target for source, target, event in links if event == kind}):
            rows.append(_row("certain", kind, graph, cycle))
            known_links.update(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    rows += _cyclic_components(graph, graph.successors(), "certain", known_links)
    successors, alias_links = _add_alias_links(graph)
    if alias_links:
        certain = {urns for _, _, _, urns in rows}
        possible = _cyclic_components(graph, successors, "if_alias", set(), alias_links)
        rows += [row for row in possible if row[3] not in certain]
    rows.sort(key=lambda row: (_CERTAINTIES.index(row[0]), _KINDS.index(row[1]), row[3]))
    return pd.DataFrame(rows, columns=["certainty", "kind", "size", "urns"])


def _row(certainty: str, kind: str, graph: CallGraph, nodes: Sequence[int]) -> tuple[str, str, int, tuple[str, ...]]:
    return certainty, kind, len(nodes), tuple(graph.urns[node] for node in nodes)


def _cyclic_components(
    graph: CallGraph,
    successors: list[list[int]],
    certainty: str,
    known_links: set[tuple[int, int]],
    required_links: set[tuple[int, int]] | None = None,
) -> list[tuple[str, str, int, tuple[str, ...]]]:
    """Components with a link that is not in ``known_links``, and with one of ``required_links`` unless None."""
    events: dict[tuple[int, int], set[str]] = {}
    for source, target, event in zip(graph.sources, graph.targets, graph.events, strict=True):
        events.setdefault((source, target), set()).add(event)
    rows = []
    for component in strongly_connected_components(successors):
        inside = set(component)
        links = {(node, successor) for node in component for successor in successors[node] if successor in inside}
        if not links - known_links or (required_links is not None and not links & required_links):
            continue
        kinds = set().union(*(events.get(link, set()) for link in links))
        kind = kinds.pop() if len(kinds) == 1 else "mixed"
        rows.append(_row(certainty, kind, graph, sorted(component)))
    return rows


def _add_alias_links(graph: CallGraph) -> tuple[list[list[int]], set[tuple[int, int]]]:
    """Links each called alias to every version of its function that makes calls: it may point to any of them."""
    successors = graph.successors()
    versions: dict[str, list[int]] = {}
    for node in sorted(set(graph.sources)):
        if not _is_alias(graph.urns[node]):
            versions.setdefault(strip_qualifier(graph.urns[node]), []).append(node)
    alias_links: set[tuple[int, int]] = set()
    for node in sorted(set(graph.targets)):
        if _is_alias(graph.urns[node]):
            for version in versions.get(strip_qualifier(graph.urns[node]), []):
                successors[node].append(version)
                alias_links.add((node, version))
    return successors, alias_links


def _is_alias(urn: str) -> bool:
    return urn.rpartition(":")[2].startswith("!")
