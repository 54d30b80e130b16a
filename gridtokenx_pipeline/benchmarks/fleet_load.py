"""A fleet of keep-alive connections: steady posts on all of them, then every connection lost at once.

`python -m gridtokenx_pipeline.benchmarks.fleet_load` takes a `Fleet` on standard input and prints a line of JSON at each step:
`connected`, `steady` (after the steady posts) and `back` (after the storm). A process of its own, lean, on one certificate: the
server must be what is measured.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import ssl
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, cast

from ieee2030_5.tls import client_context

from .ingest_load import Target, reading_document

_AT_ONCE = 64
_ATTEMPTS = 200
_BACK_OFF_S = (0.05, 2.0)
_ANSWER_S = 60.0
_LEAD_S = 2.0
_FIRST = 1_767_225_600


@dataclass(frozen=True)
class Fleet:
    """What to do: `connections` to `port` by one `target`, `posts_per_s` over them all for `seconds`, then a storm if asked."""

    port: int
    ca: str
    target: Target
    connections: int
    posts_per_s: float
    seconds: float
    storm: bool

    def to_json(self) -> str:
        """Return the fleet as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Fleet:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "target": Target(**values["target"])})


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    async def post(self, request: bytes) -> None:
        """Send a request and wait for its 201. Raises `ConnectionError` without one."""
        if self.transport is None or self.transport.is_closing():
            raise ConnectionError("closed")
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        answer = await asyncio.wait_for(self.answer, _ANSWER_S)
        if not answer.startswith(b"HTTP/1.1 201 "):
            raise ConnectionError(f"unexpected answer: {answer[:100]!r}")

    def data_received(self, data: bytes) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(ConnectionError(str(exc)))


class _Meters:
    """The connections of a fleet, and the readings they were acknowledged."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.context: ssl.SSLContext = client_context(fleet.ca, fleet.target.certificate, fleet.target.key)
        self.connections: list[_Connection] = []
        self.acknowledged: list[int] = []
        self.retries = 0
        self._requests = self._make_requests()

    def _make_requests(self) -> Iterator[tuple[int, bytes]]:
        target = self.fleet.target
        body = reading_document(target.lfdi, 0)
        head = (
            f"POST {target.path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/sep+xml\r\n"
            f"Content-Type: application/sep+xml\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        before, after = (head + body).split(f"<start>{_FIRST}</start>".encode())
        start = _FIRST
        while True:
            start += 1
            yield start, b"%b<start>%d</start>%b" % (before, start, after)

    async def connect(self) -> _Connection:
        """Open a connection, again and again as a meter would: with growing, jittered pauses."""
        loop = asyncio.get_running_loop()
        pause, longest = _BACK_OFF_S
        for _ in range(_ATTEMPTS):
            try:
                _, connection = await loop.create_connection(
                    _Connection, "127.0.0.1", self.fleet.port, ssl=self.context, server_hostname="localhost"
                )
            except OSError:
                self.retries += 1
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
                pause = min(2 * pause, longest)
            else:
                return connection
        raise ConnectionError(f"no connection in {_ATTEMPTS} attempts")

    async def open(self) -> None:
        """Open all connections, some at a time."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one() -> _Connection:
            async with gate:
                return await self.connect()

        self.connections = list(await asyncio.gather(*(one() for _ in range(self.fleet.connections))))

    async def steady(self) -> list[float]:
        """Post at the fleet's rate, whatever the answers take, and return how long each took in seconds."""
        latencies: list[float] = []
        # Not at once: making the tasks takes a while.
        began = time.monotonic() + _LEAD_S

        async def one(connection: _Connection, due: float) -> None:
            await asyncio.sleep(due - time.monotonic())
            start, request = next(self._requests)
            # From when it was due: a post that had to wait for its turn has waited.
            await connection.post(request)
            latencies.append(time.monotonic() - due)
            self.acknowledged.append(start)

        posts = int(self.fleet.posts_per_s * self.fleet.seconds)
        order = [self.connections[i % len(self.connections)] for i in range(posts)]
        await asyncio.gather(*(one(c, began + i / self.fleet.posts_per_s) for i, c in enumerate(order)))
        return latencies

    async def storm(self) -> float:
        """Lose every connection at once; return the seconds until each is back and has a reading acknowledged."""
        for connection in self.connections:
            if connection.transport is not None:
                connection.transport.abort()
        began = time.monotonic()

        async def one() -> None:
            start, request = next(self._requests)
            while True:
                connection = await self.connect()
                try:
                    await connection.post(request)
                except (ConnectionError, TimeoutError):
                    self.retries += 1
                    continue
                self.acknowledged.append(start)
                self.connections.append(connection)
                return

        count, self.connections = len(self.connections), []
        await asyncio.gather(*(one() for _ in range(count)))
        return time.monotonic() - began


def _say(step: str, **values: Any) -> None:
    print(json.dumps({"step": step, **values}), flush=True)


async def drive(fleet: Fleet) -> None:
    """Run the fleet and print its steps. Raises `ConnectionError` where a meter never gets through."""
    meters = _Meters(fleet)
    began = time.monotonic()
    await meters.open()
    _say("connected", seconds=time.monotonic() - began, retries=meters.retries)
    if fleet.seconds:
        # Let whoever measures the server begin with a quiet one.
        await asyncio.sleep(1.0)
        _say("posting")
        latencies = sorted(await meters.steady())
        _say(
            "steady",
            p50_ms=1000 * latencies[len(latencies) // 2],
            p99_ms=1000 * latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))],
            posts=len(latencies),
        )
    if fleet.storm:
        meters.retries = 0
        _say("back", seconds=await meters.storm(), retries=meters.retries)
    _say("done", acknowledged=meters.acknowledged)


def main() -> int:
    """Read a fleet and run it on uvloop."""
    import uvloop

    # Looking through the objects of ten thousand connections takes a second, which is not the server's.
    gc.disable()
    uvloop.run(drive(Fleet.from_json(sys.stdin.read())))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
