"""Meters that post as fast as they are answered.

`python -m gridtokenx_pipeline.benchmarks.ingest_load` takes a `Load` on standard input and prints an `Outcome`. A process
of its own and lean on purpose: the server must be what limits the rate.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from typing import cast

from ieee2030_5.enums import AccumulationBehaviour, Commodity, DataQualifier, FlowDirection, Kind, Phase, Uom
from ieee2030_5.resources import DateTimeInterval, MirrorMeterReading, Reading, ReadingType
from ieee2030_5.tls import client_context
from ieee2030_5.xml import MEDIA_TYPE, encode

_FIRST_START = 1_767_225_600  # 2026-01-01T00:00:00Z; ten digits for the next 250 years, so every request has one length
_INTERVAL_S = 15
_WARM_UP_S = 0.5
_ANSWER_S = 30.0


@dataclass(frozen=True)
class Target:
    """One meter: the path it posts to, its LFDI, its PEM files."""

    path: str
    lfdi: str
    certificate: str
    key: str


@dataclass(frozen=True)
class Load:
    """What to do: `rounds` of `seconds` on each of `ports` in turn, every target on a connection of its own."""

    ports: list[int]
    ca: str
    targets: list[Target]
    seconds: float
    rounds: int

    def to_json(self) -> str:
        """Return the load as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Load:
        """Read what `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "targets": [Target(**target) for target in values["targets"]]})


@dataclass(frozen=True)
class Outcome:
    """What came of it, a list entry for each port: posts answered 201 per second in each round, and in total with warm-up."""

    posts_per_s: list[list[float]]
    acknowledged: list[int]


def reading_document(lfdi: str, interval: int) -> bytes:
    """A meter's post of the energy delivered in one interval, with its type: about 1 KB."""
    start = _FIRST_START + interval * _INTERVAL_S
    return encode(
        MirrorMeterReading(
            mrid=lfdi[-32:],
            description="import",
            version=1,
            last_update_time=start + _INTERVAL_S,
            next_update_time=start + 2 * _INTERVAL_S,
            reading=Reading(
                consumption_block=0,
                quality_flags=1,
                time_period=DateTimeInterval(duration=_INTERVAL_S, start=start),
                tou_tier=0,
                value=20_833,
                local_id=0,
            ),
            reading_type=ReadingType(
                accumulation_behaviour=AccumulationBehaviour.DELTA_DATA,
                commodity=Commodity.ELECTRICITY_SECONDARY_METERED,
                data_qualifier=DataQualifier.NORMAL,
                flow_direction=FlowDirection.FORWARD,
                interval_length=_INTERVAL_S,
                kind=Kind.ENERGY,
                max_number_of_intervals=1,
                number_of_consumption_blocks=0,
                number_of_tou_tiers=0,
                phase=Phase.NOT_APPLICABLE,
                power_of_ten_multiplier=-3,
                tiered_consumption_blocks=False,
                uom=Uom.WH,
            ),
        )
    )


class _Meter(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, target: Target) -> None:
        body = reading_document(target.lfdi, 0)
        head = (
            f"POST {target.path} HTTP/1.1\r\nHost: localhost\r\nAccept: {MEDIA_TYPE}\r\n"
            f"Content-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._before, self._after = (head.encode() + body).split(f"<start>{_FIRST_START}</start>".encode())
        self._start = _FIRST_START
        self._answer = b""
        self._until = 0.0
        self._done: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport
        self.acknowledged = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    async def post_until(self, moment: float) -> None:
        """Post one after the other until `moment` of `time.monotonic`; the last answer is awaited."""
        self._until = moment
        self._done = asyncio.get_running_loop().create_future()
        self._post()
        await self._done

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _post(self) -> None:
        self._start += _INTERVAL_S
        self._transport.write(b"%b<start>%d</start>%b" % (self._before, self._start, self._after))

    def data_received(self, data: bytes) -> None:
        answer = self._answer + data if self._answer else data
        if not answer.endswith(b"\r\n\r\n"):
            self._answer = answer
            return
        self._answer = b""
        if not answer.startswith(b"HTTP/1.1 201 ") or b"\r\nContent-Length: 0\r\n" not in answer:
            self._fail(f"unexpected answer: {answer[:200]!r}")
            return
        self.acknowledged += 1
        if time.monotonic() < self._until:
            self._post()
        elif self._done is not None:
            self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"connection lost: {exc}")

    def _fail(self, reason: str) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(RuntimeError(reason))


async def _connect(port: int, ca: str, targets: list[Target]) -> list[_Meter]:
    loop = asyncio.get_running_loop()
    meters = []
    for target in targets:
        context = client_context(ca, target.certificate, target.key)
        _, meter = await loop.create_connection(
            partial(_Meter, target), "127.0.0.1", port, ssl=context, server_hostname="localhost"
        )
        meters.append(meter)
    return meters


async def _round(meters: list[_Meter], seconds: float) -> float:
    """Return the acknowledged posts per second of one round."""
    before = sum(meter.acknowledged for meter in meters)
    began = time.monotonic()
    await asyncio.wait_for(asyncio.gather(*(meter.post_until(began + seconds) for meter in meters)), seconds + _ANSWER_S)
    return (sum(meter.acknowledged for meter in meters) - before) / (time.monotonic() - began)


async def drive(load: Load) -> Outcome:
    """Run the load. Raises `RuntimeError` for an answer that is not 201 or a lost connection, `TimeoutError` for none."""
    fleets = [await _connect(port, load.ca, load.targets) for port in load.ports]
    for fleet in fleets:
        await _round(fleet, min(_WARM_UP_S, load.seconds))
    rates: list[list[float]] = [[] for _ in fleets]
    for _ in range(load.rounds):
        for fleet, own in zip(fleets, rates, strict=True):
            own.append(await _round(fleet, load.seconds))
    for fleet in fleets:
        for meter in fleet:
            meter.close()
    return Outcome(rates, [sum(meter.acknowledged for meter in fleet) for fleet in fleets])


def main() -> int:
    """Read a load, run it on uvloop, print the outcome."""
    import uvloop

    outcome = uvloop.run(drive(Load.from_json(sys.stdin.read())))
    print(json.dumps(asdict(outcome)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
