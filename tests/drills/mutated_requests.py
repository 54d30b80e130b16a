"""Mutated requests against a running server: no 5xx, no crash, no growth, and every acknowledged message landed.

    .venv/bin/python tests/drills/mutated_requests.py --requests 100000 --seed 1

Prints the statuses by category, requests a second and the workers' memory; the exit code is 1 where anything was wrong. `--only N` sends
request N of the seed by itself and shows what comes back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from random import Random

from documents import mirror
from ground import UNAUTHENTICATED, Ground
from http_mutations import request
from judge import Tally
from requests_made import Requests
from wire import Exchange, Sent, Wire

LANES = 12
_RESTORE_EVERY = 200
_UNAUTHENTICATED_EVERY = 100
# Caches fill during the first ten thousand requests or so.
_WARM = 20_000
_GROWTH_KIB = {True: 24 * 1024, False: 96 * 1024}


@dataclass
class Report:
    """What a drill found; `memory_kib` by worker after each tenth of it."""

    requests: int
    seconds: float
    tally: Tally
    memory_kib: list[dict[int, int]] = field(default_factory=list)

    @property
    def wrong(self) -> dict[str, list[str]]:
        return self.tally.wrong

    def text(self) -> str:
        rows = [self.tally.table(), f"{self.requests} requests in {self.seconds:.1f} s, {self.requests / self.seconds:.0f}/s"]
        for pid in self.memory_kib[-1]:
            rows.append(
                f"worker {pid}: "
                + ", ".join(f"{sample.get(pid, 0) / 1024:.1f}" for sample in self.memory_kib)
                + " MiB after each tenth"
            )
        rows.append(f"{len(self.wrong)} kinds of wrong")
        for kind, examples in sorted(self.wrong.items()):
            rows += [f"{len(examples)} x {kind}", *(f"    {example}" for example in examples[:2] if example)]
        return "\n".join(rows)


class Drill:
    """Sends `count` requests of a seed in a few lanes, each of which has a connection for every device."""

    def __init__(self, ground: Ground, count: int, seed: int) -> None:
        self._ground, self._count = ground, count
        self._made = Requests(seed, ground.meters)
        self._next = 0
        self._memory: list[dict[int, int]] = []
        self.tally = Tally()

    async def run(self) -> Report:
        await self._mirrors()
        before = self._ground.workers()
        started = time.perf_counter()
        async with asyncio.TaskGroup() as lanes:
            for _ in range(LANES):
                lanes.create_task(self._lane())
        seconds = time.perf_counter() - started
        self._memory.append(self._ground.memory_kib())
        if self._ground.workers() != before:
            self.tally.add_wrong(f"workers were {before}, are {self._ground.workers()}")
        self._check_memory()
        assert self._ground.process is not None
        if await asyncio.to_thread(self._ground.process.stop):
            self.tally.add_wrong("the server did not stop in order")
        self.tally.check_landing(await asyncio.to_thread(self._ground.landed))
        self._check_log()
        return Report(self._count, seconds, self.tally, self._memory)

    async def _mirrors(self) -> None:
        for name in ("METER_A", "METER_B", "AUSTRALIAN", "OPERATOR"):
            wire = Wire(self._ground.port, self._ground.client(name))
            rng = Random(0)
            for _ in range(20):
                body = mirror(rng, self._ground.meters[name])
                exchange = Exchange("setting up", name, [request("POST", "/mup", body)], [Sent("POST", "/mup", body)], "served")
                self.tally.judge(-1, exchange, await wire.run(exchange))
            await wire.close()

    async def _lane(self) -> None:
        wires: dict[str, Wire] = {}
        contexts = {name: self._ground.client(name) for name in self._ground.credentials}
        while self._next < self._count:
            number = self._next
            self._next += 1
            await self._on_the_way(number)
            exchange = self._made.make(number)
            wire = wires.get(exchange.device)
            if exchange.fresh or wire is None:
                wire = Wire(self._ground.port, contexts[exchange.device])
                if not exchange.fresh:
                    wires[exchange.device] = wire
            outcome = await wire.run(exchange)
            self.tally.judge(number, exchange, outcome)
            for answer in outcome.answers:
                location = answer.headers.get("location")
                if location and answer.status == 201:
                    known = self._made.created[exchange.device]
                    known[number % 500 : number % 500 + 1] = [location]
        for wire in wires.values():
            await wire.close()

    async def _on_the_way(self, number: int) -> None:
        if number and number % (self._count // 10) == 0:
            self._memory.append(self._ground.memory_kib())
        if number % _RESTORE_EVERY == 0:
            await asyncio.to_thread(self._ground.allow)
        if number % _UNAUTHENTICATED_EVERY == 0:
            kind = number // _UNAUTHENTICATED_EVERY
            heard = await asyncio.to_thread(self._ground.unauthenticated, kind)
            self.tally.count("unauthenticated", "HEARD" if heard else "closed")
            if heard:
                self.tally.add_wrong(f"unauthenticated {kind}: {heard!r}")

    def _check_memory(self) -> None:
        half, end = self._memory[4], self._memory[-1]
        for pid, after in end.items():
            if after > half.get(pid, 0) + _GROWTH_KIB[self._count >= _WARM]:
                self.tally.add_wrong(f"worker {pid} grew from {half.get(pid, 0)} to {after} KiB in the second half")

    def _check_log(self) -> None:
        for line in self._ground.log.read_text().splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                self.tally.add_wrong("a line of the log that is not an event", line[:300])
                continue
            if event["level"] in ("ERROR", "CRITICAL") or "exception" in event:
                last = event.get("exception", "").strip().rpartition("\n")[2]
                self.tally.add_wrong(f"log: {event['event']} {last[:200]}", line[-2500:])
            if UNAUTHENTICATED in str(event.get("path", "")):
                self.tally.add_wrong("unauthenticated request reached a handler", line[:300])


async def drill(count: int, seed: int, directory: Path) -> Report:
    """Run a drill in an empty directory."""
    ground = Ground(directory)
    try:
        await ground.start()
        return await Drill(ground, count, seed).run()
    finally:
        ground.close()


async def show(number: int, seed: int, directory: Path) -> str:
    """Send one request of a drill to a new server, and return it with its outcome and the server's log."""
    ground = Ground(directory)
    try:
        await ground.start()
        await Drill(ground, 0, seed)._mirrors()
        exchange = Requests(seed, ground.meters).make(number)
        wire = Wire(ground.port, ground.client(exchange.device))
        outcome = await wire.run(exchange)
        await wire.close()
        assert ground.process is not None
        await asyncio.to_thread(ground.process.stop)
        lines = [line for line in ground.log.read_text().splitlines() if '"path": "/mup", "status": 20' not in line]
        return "\n".join([repr(exchange), *map(repr, outcome.answers), outcome.ended, *lines])
    finally:
        ground.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="number of the one request to send")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        if arguments.only is not None:
            print(asyncio.run(show(arguments.only, arguments.seed, Path(directory))))
            return 0
        report = asyncio.run(drill(arguments.requests, arguments.seed, Path(directory)))
    print(report.text())
    return 1 if report.wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
