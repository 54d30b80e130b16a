"""201 for what has been landed, written in one piece: nearly all that a server of meters ever answers."""

from __future__ import annotations

import time
from email.utils import formatdate

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from ieee2030_5.xml import MEDIA_TYPE

SERVER_NAME = "GridTokenX"


class Acknowledgement(web.StreamResponse):
    """201 with a Location and no body.

    On a persistent HTTP/1.1 connection, the usual case, head and end of the answer are bytes made beforehand; for any other
    (HTTP/1.0, or the connection is to be closed) it is an ordinary response with the same headers.
    """

    _date = (0, "")

    def __init__(self, location: str) -> None:
        super().__init__(status=201, headers={"Location": location, "Content-Type": MEDIA_TYPE, "Content-Length": "0"})
        self._location = location
        self._written = False

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection goes on after this."""
        return True if self._written else super().keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the answer. Raises `ConnectionResetError` where the client is gone."""
        if request.version != HttpVersion11 or not request.keep_alive or super().keep_alive is False:
            return await super().prepare(request)
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(
            f"HTTP/1.1 201 Created\r\nLocation: {self._location}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: 0\r\n"
            f"Date: {self._now()}\r\nServer: {SERVER_NAME}\r\n\r\n".encode("ascii")
        )
        self._written = True
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """End the answer."""
        if not self._written:
            await super().write_eof(data)

    @classmethod
    def _now(cls) -> str:
        """The current second as RFC 9110 (5.6.7) writes it."""
        second = int(time.time())
        if cls._date[0] != second:
            cls._date = (second, formatdate(second, usegmt=True))
        return cls._date[1]
