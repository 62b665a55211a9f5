"""Lockout protection: scopes try a shared, unproven secret one by one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from inventory.errors import CredentialRefusedError

if TYPE_CHECKING:
    from inventory.errors import CallError

MAX_REFUSALS: Final = 3
"""Refusals in a row before a secret is given up.

The vendor locks an access key after more than five (api-facts.md section 3.3).
"""


class Lockout:
    """Limits the attempts with a secret until it is accepted once.

    One refusal is not enough: a separate partition may not know the key.
    """

    def __init__(self) -> None:
        self.is_accepted = False
        self._is_held = False
        self._refusals = 0
        self._last_refusal: CallError | None = None
        self._reserved_for: object = None
        self._changed = asyncio.Event()

    def try_acquire(self, owner: object = None) -> bool:
        """Takes an attempt, which :meth:`release` ends; False if another scope has it.

        Raises:
            CredentialRefusedError: the secret was refused too often; a copy of the last refusal.
        """
        if self.is_accepted:
            return True
        if self._refusals >= MAX_REFUSALS and self._last_refusal is not None:
            raise self._last_refusal.as_kind(CredentialRefusedError)
        if self._is_held or self._reserved_for not in (None, owner):
            return False
        self._is_held = True
        return True

    async def wait(self) -> None:
        """Waits for a change."""
        await self._changed.wait()

    async def acquire(self, owner: object = None) -> None:
        """Waits for an attempt and takes it.

        Raises:
            CredentialRefusedError: as for :meth:`try_acquire`.
        """
        while not self.try_acquire(owner):
            await self.wait()

    def release(self, refusal: CallError | None = None, *, accepted: bool = False, reserved_for: object = None) -> None:
        """Ends an attempt.

        Args:
            refusal: the error of a refused secret.
            accepted: whether the secret was accepted.
            reserved_for: owner of further attempts until :meth:`end_reservation`.
        """
        if self.is_accepted:
            return
        self.is_accepted = accepted
        if refusal is not None:
            self._refusals += 1
            self._last_refusal = refusal
        if reserved_for is not None:
            self._reserved_for = reserved_for
        self._is_held = False
        self._notify()

    def end_reservation(self, owner: object) -> None:
        """Opens the attempts of an owner to all, and wakes its waiting calls."""
        if self._reserved_for is owner:
            self._reserved_for = None
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
