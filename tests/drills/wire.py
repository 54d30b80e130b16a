"""Requests as bytes over TLS, and whatever comes back."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field
from typing import Literal

Expected = Literal["served", "refused", "answered", "refused_or_closed", "answered_or_closed", "nothing"]
ANSWER_S = 20.0


@dataclass(frozen=True)
class Sent:
    """A request as its receiver should understand it; `body` is None where that cannot be said."""

    method: str
    path: str
    body: bytes | None = b""


@dataclass
class Exchange:
    """What is written, in pieces with a pause between, on the connection of a device, and what may come of it.

    `requests` are what is written, as far as it is to be answered. With `leave` the connection is closed instead of waiting. `fresh` exchanges have a
    connection of their own.
    """

    category: str
    device: str
    pieces: list[bytes]
    requests: list[Sent]
    expected: Expected = "answered"
    leave: bool = False
    fresh: bool = False
    pause_s: float = 0.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Outcome:
    answers: list[Answer] = field(default_factory=list)
    ended: Literal["open", "closed", "silent", "left", "malformed"] = "open"


class Wire:
    """One connection, made when it is first needed."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port, self._context = port, context
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def run(self, exchange: Exchange) -> Outcome:
        """Write and read. A connection that turns out to be closed before anything came back is tried anew, once."""
        reused = self._streams is not None
        outcome = await self._once(exchange)
        if reused and outcome.ended == "closed" and not outcome.answers:
            outcome = await self._once(exchange)
        return outcome

    async def _once(self, exchange: Exchange) -> Outcome:
        outcome = Outcome()
        try:
            async with asyncio.timeout(ANSWER_S):
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context, limit=1 << 20)
                reader, writer = self._streams
                with contextlib.suppress(ConnectionError):
                    for piece in exchange.pieces:
                        writer.write(piece)
                        if len(exchange.pieces) > 1:
                            await writer.drain()
                            await asyncio.sleep(exchange.pause_s)
                if exchange.leave:
                    outcome.ended = "left"
                else:
                    await self._read(reader, exchange, outcome)
        except TimeoutError:
            outcome.ended = "silent"
        except ConnectionError:
            # Closed with bytes of ours unread: the answer before may be lost with them.
            outcome.ended = "closed"
        except ValueError:
            outcome.ended = "malformed"
        if outcome.ended != "open" or exchange.fresh:
            await self.close()
        return outcome

    async def _read(self, reader: asyncio.StreamReader, exchange: Exchange, outcome: Outcome) -> None:
        for sent in exchange.requests:
            answer = await _answer(reader, sent.method == "HEAD")
            if answer is None:
                outcome.ended = "closed"
                return
            outcome.answers.append(answer)
            if answer.headers.get("connection", "").lower() == "close":
                outcome.ended = "closed"
                return

    async def close(self) -> None:
        if self._streams is not None:
            writer = self._streams[1]
            self._streams = None
            writer.transport.abort()
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
                await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader, bodiless: bool) -> Answer | None:
    """The next final response, None at the end of the connection; raises `ValueError` for what is not HTTP."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise ValueError("part of a head") from None
            return None
        lines = head.decode("latin-1").split("\r\n")
        version, status, *_ = lines[0].split(" ")
        if version != "HTTP/1.1" or len(status) != 3:
            raise ValueError(lines[0])
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
        if status.startswith("1"):
            continue
        if bodiless or status in ("204", "304"):
            return Answer(int(status), headers, b"")
        try:
            return Answer(int(status), headers, await reader.readexactly(int(headers["content-length"])))
        except (KeyError, asyncio.IncompleteReadError):
            raise ValueError("a body without its length") from None
