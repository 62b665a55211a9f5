"""Chains of functions that call functions: length and worst-case number of calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from inventory.reviews.frames import database_of, select
from inventory.reviews.graph.graph_tables import compute_graph_tables
from inventory.reviews.targets import GONE, SELECT_TARGETS, with_exported_names

if TYPE_CHECKING:
    import pandas as pd

_CHAINS: Final = """
SELECT
    c.subject AS urn, coalesce(c.length, 'infinity'::DOUBLE) AS chain, e.most_invocations AS calls_at_worst,
    e.is_lower_bound, c.called_by
FROM chains AS c JOIN envelope AS e USING (id)
ORDER BY calls_at_worst DESC, urn
"""


class Chains(NamedTuple):
    """Result of :func:`trace_chains`.

    Attributes:
        functions: one row per listed URN with a link: ``urn``, ``chain``, ``calls_at_worst``, ``is_lower_bound``,
            ``called_by``.
        cycles: one row per cycle: ``certainty``, ``kind``, ``size``, ``urns``; see ``inventory.review(...).cycles``.
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
        Both are infinite if a path leads into a cycle. ``is_lower_bound``: a URN on a path has unknown retries or an
        unknown configuration, and counts as one call. ``called_by``: incoming links.

    Shape:
        One row per listed URN with a link, sorted by ``calls_at_worst`` (descending), then by ``urn``.
    """
    with database_of(functions, destinations, manifest) as connection:
        cycles = compute_graph_tables(connection).to_pandas()
        chains = select(connection, _CHAINS)
        links = with_exported_names(select(connection, SELECT_TARGETS), destinations)
    cycles["urns"] = cycles["urns"].map(tuple)
    links = links[~links["target_status"].isin(GONE)].reset_index(drop=True)
    return Chains(chains, cycles, links)
