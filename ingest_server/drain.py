"""Stopping without cutting off requests that are on their way in."""

from __future__ import annotations

import asyncio


class Drain:
    """Counts requests being answered. aiohttp's own shutdown stops reading first, which strands half-received bodies."""

    def __init__(self) -> None:
        self._active = 0
        self._idle = asyncio.Event()
        self.draining = False

    def begin(self) -> None:
        """Hold the server open for a request; each call is followed by one of `end`."""
        self._active += 1

    def end(self) -> None:
        """Let go of the server: the request is answered."""
        self._active -= 1
        if self.draining and not self._active:
            self._idle.set()

    async def wait(self, seconds: float) -> bool:
        """Have connections closed after their current request; return whether all ended within `seconds`."""
        self.draining = True
        if not self._active:
            return True
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return False
        return True
