"""Stop event of a scope: its sleeps end when the scope closes."""

from __future__ import annotations

import asyncio


class StopEvent(asyncio.Event):
    """Set when a scope closes. It does not refer to the scope, so that no reference cycle arises."""

    async def sleep(self, seconds: float) -> None:
        """Sleeps; returns early when the event is set."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            pass
