"""Stopping without cutting off requests that are on their way in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Drain:
    """Counts requests being answered. aiohttp's own shutdown stops reading first, which strands half-received bodies."""

    def __init__(self) -> None:
        self._active = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.draining = False

    @contextmanager
    def request(self) -> Iterator[None]:
        """Hold the server open while a request is answered."""
        self._active += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._active -= 1
            if not self._active:
                self._idle.set()

    async def wait(self, seconds: float) -> bool:
        """Have connections closed after their current request; return whether all ended within `seconds`."""
        self.draining = True
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return False
        return True
