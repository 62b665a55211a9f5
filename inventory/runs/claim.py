"""Claim object in a store: only the run that holds it uploads under a URL."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from inventory.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from inventory.storage.object_store import ObjectStore

_PREFIX: Final = ".inventory-claim-"
_LOOKS: Final = 25
_SECONDS_BETWEEN_LOOKS: Final = 0.2


class TakenError(OutputError):
    """Another run uploads under the URL, or has finished there."""


def new_claim() -> str:
    """Returns a name that no other run has."""
    return f"{_PREFIX}{secrets.token_hex(8)}"


def is_claim(name: str) -> bool:
    """Tells whether an object is a claim."""
    return name.startswith(_PREFIX)


def foreign_claims(names: Iterable[str], own: str) -> list[str]:
    """Returns the claims of other runs."""
    return [name for name in names if is_claim(name) and name != own]


def check_unclaimed(store: ObjectStore, names: Iterable[str], own: str) -> None:
    """Checks a listing.

    Raises:
        TakenError: it contains a claim of another run.
    """
    for name in foreign_claims(names, own):
        raise TakenError(
            f"{store.url} is claimed by another run ({name}): wait until it ends; if it was stopped, resume it in its "
            "work folder, or start again with --overwrite"
        )


def take_claim(store: ObjectStore, claim: str, content: Path, check_cancelled: Callable[[], None]) -> None:
    """Puts the claim, and returns when it is the only one.

    Of two runs, at least one lists both claims. A run that lists only its own has won, and keeps it to its end. Of
    runs that see each other, the first by name waits, and the others give up.

    Raises:
        TakenError: another run has won.
        OutputError: the store does not list the claim.
    """
    store.put(claim, content, lambda _bytes: None)
    for look in range(_LOOKS):
        names = store.listed()
        others = foreign_claims(names, claim)
        if claim not in names:
            raise OutputError(f"{store.url} does not contain {claim} as it was sent; check the endpoint")
        if not others:
            return
        if min(others) < claim or look == _LOOKS - 1:
            break
        check_cancelled()
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    with suppress(OutputError):  # the user needs the first error
        store.remove(claim)
    check_unclaimed(store, others, claim)
