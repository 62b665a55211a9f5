"""Looks up FunctionGraph destinations in the function list of the same run."""

from __future__ import annotations

import re
from typing import Any, Final

import pandas as pd

from inventory.reviews import columns
from inventory.runs.listing_coverage import ListingCoverage, read_coverage

GONE: Final = ("not_found", "gone", "not_a_function_urn")
"""Target statuses that are proof: the destination leads nowhere."""

DANGLING: Final = (*GONE, "not_listed")
"""``GONE``, and ``not_listed``, which is no proof: a list may be incomplete. Prefer the column ``target_exists``."""

_STATUS_PRIORITY: Final = ("configured", "not_configured", "not_found", "failed", "not_attempted")
_FUNCTION_URN: Final = re.compile(r"urn:fss:[^:\s]+:[^:\s]+:function:[^:\s]+:[^:\s]+(?::[^:\s]+)?")
_COLONS_WITH_QUALIFIER: Final = 7


def normalize_urn(urn: str) -> str:
    """Adds ``latest`` to a full URN without a qualifier. Aliases stay aliases.

    Source: api-facts.md section 1.
    """
    return urn if urn.count(":") == _COLONS_WITH_QUALIFIER else f"{urn}:latest"


def strip_qualifier(urn: str) -> str:
    """Removes the qualifier of a normalized URN."""
    return urn.rpartition(":")[0]


def drop_duplicate_urns(functions: pd.DataFrame) -> pd.DataFrame:
    """Keeps one row per normalized URN, in the new column ``urn``; of ``f`` and ``f:latest`` the answered one."""
    urns = [normalize_urn(str(urn)) for urn in columns.to_strings(functions, "function_urn")]
    rank = {status: index for index, status in enumerate(_STATUS_PRIORITY)}
    order = pd.DataFrame(
        {"urn": urns, "rank": [rank.get(str(status), len(rank)) for status in columns.to_strings(functions, "status")]}
    )
    kept = order.sort_values("rank", kind="stable").drop_duplicates("urn").sort_index().index
    return functions.iloc[kept].reset_index(drop=True).assign(urn=order["urn"].iloc[kept].to_numpy())


def resolve_targets(
    functions: pd.DataFrame, destinations: pd.DataFrame, manifest: dict[str, Any] | None = None
) -> pd.DataFrame:
    """Looks up the target of each FunctionGraph destination.

    An alias matches only itself: the API does not report its version.

    Args:
        functions: the table ``functions``.
        destinations: the table ``destinations``.
        manifest: of the same run. Without it, and for a user's own list, what is not listed is not known.

    Returns:
        ``function_urn``, ``event``, ``target_function_urn`` as exported; ``source`` and ``target``, normalized;
        ``target_status``: a status of ``functions``, ``itself``, ``gone`` (the service listed everything of this kind,
        and not the target), ``other_qualifier`` (only other versions or aliases are listed), ``not_listed``, or
        ``not_a_function_urn`` (``target`` is null); ``target_exists``: null if it is not known.

    Shape:
        One row per FunctionGraph destination, in the table's order.
    """
    coverage = ListingCoverage() if manifest is None else read_coverage(manifest)
    calls = destinations[columns.is_one_of(destinations, "destination", ["FunctionGraph"])]
    rows = columns.to_object_frame(calls, ["function_urn", "event", "target_function_urn"])
    listed = drop_duplicate_urns(functions)
    status = dict(zip(listed["urn"], columns.to_strings(listed, "status"), strict=True))
    existing = set(listed["urn"][columns.is_true(listed, "function_exists")])
    known_functions = {strip_qualifier(urn) for urn in status}
    sources = [normalize_urn(urn) for urn in rows["function_urn"]]
    targets = [
        normalize_urn(text) if text is not None and _FUNCTION_URN.fullmatch(text) else None
        for text in rows["target_function_urn"]
    ]

    def find_status(source: str, target: str | None) -> str:
        if target is None:
            return "not_a_function_urn"
        if target == source:
            return "itself"
        if target in status:
            return str(status[target])
        if coverage.covers(target):
            return "gone"
        return "other_qualifier" if strip_qualifier(target) in known_functions else "not_listed"

    statuses = [find_status(source, target) for source, target in zip(sources, targets, strict=True)]
    exists = [_exists(kind, is_listed=target in existing) for kind, target in zip(statuses, targets, strict=True)]
    names = {"source": sources, "target": targets, "target_status": statuses}
    objects = {name: pd.Series(values, dtype=object) for name, values in names.items()}
    return rows.assign(**objects, target_exists=pd.array(exists, dtype="boolean"))


def _exists(target_status: str, *, is_listed: bool) -> bool | None:
    if target_status in GONE:
        return False
    return True if is_listed or target_status in ("configured", "itself") else None
