"""Cycles of functions that call each other."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

import pandas as pd

from inventory.reviews.graph import simple_cycles, strongly_connected_components
from inventory.reviews.targets import strip_qualifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inventory.reviews.graph import CallGraph

_Row: TypeAlias = tuple[str, str, int, tuple[str, ...]]

_CERTAINTIES: Final = ("certain", "if_alias")
_KINDS: Final = ("on_success", "on_failure", "mixed")


def find_cycles(graph: CallGraph) -> pd.DataFrame:
    """Finds each cycle of a call graph once.

    A node has one link per event, so cycles of one event never overlap. All cycles of a strongly connected component
    that need both events count as one, ``mixed``; so do all that need an alias.

    Returns:
        ``certainty``: ``if_alias`` if an alias must point to a version in the cycle, else ``certain``; ``kind``: the
        event of all links, or ``mixed``; ``size``; ``urns``: in call order if certain and not mixed, else those of
        the component, sorted.

    Shape:
        One row per cycle, sorted by certainty, kind and URNs.

    Units:
        ``size``: URNs.

    Source:
        The user guide (functiongraph_01_0390_03, read 2026-11-25) warns against functions that call each other.
    """
    rows: list[_Row] = []
    for kind in _KINDS[:2]:
        links = zip(graph.sources, graph.targets, graph.events, strict=True)
        rows += [
            _row("certain", kind, graph, cycle)
            for cycle in simple_cycles({source: target for source, target, event in links if event == kind})
        ]
    rows += _mixed_cycles(graph, rows)
    certain = {frozenset(urns) for _, _, _, urns in rows}
    rows += [row for row in _alias_cycles(graph) if frozenset(row[3]) not in certain]
    rows.sort(key=lambda row: (_CERTAINTIES.index(row[0]), _KINDS.index(row[1]), row[3]))
    return pd.DataFrame(rows, columns=["certainty", "kind", "size", "urns"])


def _row(certainty: str, kind: str, graph: CallGraph, nodes: Sequence[int]) -> _Row:
    return certainty, kind, len(nodes), tuple(graph.urns[node] for node in nodes)


def _mixed_cycles(graph: CallGraph, single: list[_Row]) -> list[_Row]:
    """The components with more independent cycles than those of a single event.

    A component has ``links - nodes + 1`` independent cycles. Cycles of a single event share no link. So if there are as
    many of them, each other cycle would be made of whole ones, which no simple cycle is.
    """
    successors = graph.successors()  # two links to one function count twice
    single_event = Counter(urns[0] for _, _, _, urns in single)
    rows = []
    for component in strongly_connected_components(successors):
        inside = set(component)
        links = sum(successor in inside for node in component for successor in successors[node])
        if links - len(component) + 1 > sum(single_event[graph.urns[node]] for node in component):
            rows.append(_row("certain", "mixed", graph, sorted(component)))
    return rows


def _alias_cycles(graph: CallGraph) -> list[_Row]:
    successors, alias_links = _add_alias_links(graph)
    if not alias_links:
        return []
    events: dict[tuple[int, int], set[str]] = {}
    for source, target, event in zip(graph.sources, graph.targets, graph.events, strict=True):
        events.setdefault((source, target), set()).add(event)
    rows = []
    for component in strongly_connected_components(successors):
        inside = set(component)
        links = {(node, successor) for node in component for successor in successors[node] if successor in inside}
        if links & alias_links:
            kinds = set().union(*(events.get(link, set()) for link in links))
            kind = kinds.pop() if len(kinds) == 1 else "mixed"
            rows.append(_row("if_alias", kind, graph, sorted(component)))
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
