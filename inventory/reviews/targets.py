"""Looks up FunctionGraph destinations in the function list of the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from inventory.reviews.frames import database_of, select

if TYPE_CHECKING:
    import pandas as pd

GONE: Final = ("not_found", "gone", "not_a_function_urn")
"""Target statuses that are proof: the destination leads nowhere."""

DANGLING: Final = (*GONE, "not_listed")
"""``GONE``, and ``not_listed``, which is no proof: a list may be incomplete. Prefer the column ``target_exists``."""

SELECT_TARGETS: Final = """
SELECT destination_row, subject AS source, target_urn AS target, target_status, target_exists
FROM targets WHERE type = 'FunctionGraph' ORDER BY destination_row
"""


def resolve_targets(
    functions: pd.DataFrame, destinations: pd.DataFrame, manifest: dict[str, Any] | None = None
) -> pd.DataFrame:
    """Looks up the target of each FunctionGraph destination.

    An alias matches only itself.

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
        One row per FunctionGraph destination, in the table's order; of ``f`` and ``f:latest``, one has rows.
    """
    with database_of(functions, destinations, manifest) as connection:
        return with_exported_names(select(connection, SELECT_TARGETS), destinations)


def with_exported_names(targets: pd.DataFrame, destinations: pd.DataFrame) -> pd.DataFrame:
    """Puts the columns of ``destinations`` before rows of ``SELECT_TARGETS``."""
    names = ["function_urn", "event", "target_function_urn"]
    exported = destinations[names].iloc[targets["destination_row"].to_numpy() - 1].reset_index(drop=True).astype(object)
    resolved = targets.drop(columns="destination_row").astype({"target_exists": "boolean"})
    return exported.where(exported.notna(), None).join(resolved)
