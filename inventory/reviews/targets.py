"""Where destinations of the kind FunctionGraph lead: to a function that is there, gone, not listed, or to themselves.

Owns how a target is matched with the list. Knows no chain: one step only.

Source: api-facts.md section 1: a URN without a qualifier means ``latest``.
"""

from __future__ import annotations

import re
from typing import Final

import pandas as pd

from inventory.reviews import columns

FUNCTION_URN: Final = re.compile(r"urn:fss:[^:\s]+:[^:\s]+:function:[^:\s]+:[^:\s]+(?::[^:\s]+)?")
STATUSES: Final = ("configured", "not_configured", "not_found", "failed", "not_attempted")
"""In the order in which they win, where a list names one thing twice: without a qualifier, and as ``latest``."""

DANGLING: Final = ("not_found", "not_listed", "not_a_function_urn")
"""Targets that are gone, or that the list does not know: the second is a question to the list, no proof."""

_LATEST = ":latest"
_QUALIFIED_COLONS = 7


def canonical(urn: str) -> str:
    """A full URN with the qualifier that it means: ``latest`` where it says none. An alias stays an alias."""
    return urn if urn.count(":") == _QUALIFIED_COLONS else f"{urn}{_LATEST}"


def function_of(urn: str) -> str:
    """A canonical URN without its qualifier."""
    return urn.rpartition(":")[0]


def distinct(functions: pd.DataFrame) -> pd.DataFrame:
    """The table with a row for each thing that can be called, however often and however the list wrote it.

    Returns:
        The table's rows with a column ``urn``, the canonical one; of two rows of one, that whose status comes first in
        ``STATUSES``.

    Shape:
        A row a canonical URN.
    """
    urns = [canonical(str(urn)) for urn in columns.texts(functions, "function_urn")]
    rank = {status: at for at, status in enumerate(STATUSES)}
    order = pd.DataFrame(
        {"urn": urns, "rank": [rank.get(str(status), len(rank)) for status in columns.texts(functions, "status")]}
    )
    kept = order.sort_values("rank", kind="stable").drop_duplicates("urn").sort_index().index
    return functions.iloc[kept].reset_index(drop=True).assign(urn=order["urn"].iloc[kept].to_numpy())


def resolve(functions: pd.DataFrame, destinations: pd.DataFrame) -> pd.DataFrame:
    """Looks each target of a FunctionGraph destination up in the list.

    Args:
        functions: the table ``functions``.
        destinations: the table ``destinations`` of the same run.

    Returns:
        ``function_urn``, ``event``, ``target_function_urn`` as sent; ``source`` and ``target``, both canonical
        (``target`` null where it is no function URN); ``target_status``: a status of ``functions``, or ``itself``
        (same URN), ``other_qualifier`` (the list has the function, but not this version or alias), ``not_listed``
        (it does not have the function), ``not_a_function_urn`` (the target is missing or of another form).

    Shape:
        A row a FunctionGraph destination, in the table's order.

    Assumptions:
        ``latest`` is meant where no qualifier is said. Which version an alias points to no answer tells, so an alias
        matches only itself.
    """
    sent = destinations[columns.one_of(destinations, "destination", ["FunctionGraph"])]
    rows = columns.plain(sent, ["function_urn", "event", "target_function_urn"])
    listed = distinct(functions)
    status = dict(zip(listed["urn"], columns.texts(listed, "status"), strict=True))
    known_functions = {function_of(urn) for urn in status}
    sources = [canonical(urn) for urn in rows["function_urn"]]
    targets: list[str | None] = []
    found: list[str] = []
    for source, text in zip(sources, rows["target_function_urn"], strict=True):
        target = canonical(text) if text is not None and FUNCTION_URN.fullmatch(text) else None
        targets.append(target)
        if target is None:
            found.append("not_a_function_urn")
        elif target == source:
            found.append("itself")
        elif target in status:
            found.append(str(status[target]))
        else:
            found.append("other_qualifier" if function_of(target) in known_functions else "not_listed")
    return rows.assign(
        source=pd.Series(sources, dtype=object),
        target=pd.Series(targets, dtype=object),
        target_status=pd.Series(found, dtype=object),
    )
