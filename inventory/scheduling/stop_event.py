"""Stop event: ends the sleeps of a scope when it closes."""

from __future__ import annotations

import asyncio


class StopEvent(asyncio.Event):
    """Set when a scope closes. Has no reference to the scope, which avoids a cycle."""

    async def sleep(self, seconds: float) -> None:
        """Sleeps until the time is over or the event is set."""
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            pass
