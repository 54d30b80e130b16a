"""A campus of four meters whose messages are landed directly: what the tests of the line run on."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from solana.rpc.commitment import Confirmed

from campus_simulator.battery import Store
from campus_simulator.device import interval_readings, mirror_usage_point
from campus_simulator.meter import MeterMemory, Series
from campus_simulator.models import Building, Window
from gridtokenx_pipeline import clock, config
from gridtokenx_pipeline.contracts import TABLES, Table
from gridtokenx_pipeline.defs.partitions import RANGE_END, RANGE_START, hour_key, one_run
from gridtokenx_pipeline.defs.resources import Stores
from gridtokenx_pipeline.runs import _QUIET
from gridtokenx_pipeline.solana import keys
from gridtokenx_pipeline.solana.client import RpcPool
from gridtokenx_pipeline.warehouse import Warehouse
from ieee2030_5.resources import MirrorMeterReadingList, MirrorUsagePoint
from ieee2030_5.xml import encode
from ingest_server.landing.sqlite import SqliteLandingStore
from ingest_server.landing.store import RawMessage
from ingest_server.operational.registry import Registry

START = dt.datetime(2026, 1, 15, 18, 30, tzinfo=dt.UTC)
INTERVALS = 40
STEP = dt.timedelta(seconds=15)
END = START + INTERVALS * STEP
HOUR = dt.timedelta(hours=1)
# Both market intervals have closed: the last ends at 18:40, and the watermark is 60 s.
AFTERWARDS = END + dt.timedelta(minutes=2)

# Milli-Wh of each 15 s: (generation, load, charge, discharge), of which the i-th interval has i-dependent odd amounts more.
# Two meters have a surplus and two a deficit; the fractions of a Wh must be carried by the registers.
POWER = ((150_037, 60_011, 5_003, 0), (100_123, 70_077, 0, 0), (20_019, 90_501, 0, 3_333), (7, 80_333, 0, 0))
FIRST_REGISTERS = {
    "generation": 9_000_777,
    "load": 8_000_333,
    "charge": 700_999,
    "discharge": 600_001,
    "import": 5_550,
    "export": 4_444,
}

# What names a transaction on the chain differs from run to run; what it carried does not.
OF_THE_CHAIN = {
    "settlement.transactions": ("signature", "slot", "compute_units", "size_bytes"),
    "settlement.actions": ("signature",),
}


@dataclass(frozen=True)
class Meter:
    """A configured meter, the device that stands for it, and what it measured in the window."""

    building: Building
    lfdi: str
    series: Series

    @property
    def id(self) -> str:
        return self.building.meter_id

    def declaration(self) -> MirrorUsagePoint:
        return mirror_usage_point(self.building, self.lfdi, 15)

    def documents(self) -> list[MirrorMeterReadingList]:
        return list(interval_readings(self.series, self.lfdi))


@dataclass(frozen=True)
class Message:
    """A body and when it is received."""

    meter: Meter
    received_at: dt.datetime
    body: bytes
    path: str = "/mup/1"


def series_of(building: Building, number: int) -> Series:
    steps = np.arange(INTERVALS, dtype=np.int64)
    generation, load, charge, discharge = (np.where(base > 0, base + steps * (number + 3) * 7, 0) for base in POWER[number])
    net = generation + discharge - load - charge
    energy = {
        "generation": generation,
        "load": load,
        "charge": charge,
        "discharge": discharge,
        "import": np.maximum(-net, 0),
        "export": np.maximum(net, 0),
    }
    registers = {name: FIRST_REGISTERS[name] + number * 1_000_111 + np.cumsum(values) for name, values in energy.items()}
    state = 5_000 + steps
    memory = MeterMemory({name: int(values[-1]) for name, values in registers.items()}, Store(0))
    return Series(building.meter_id, Window(START, INTERVALS), energy, registers, state, state, memory)


def reading_messages(meter: Meter, documents: Sequence[MirrorMeterReadingList] | None = None) -> list[Message]:
    """The declaration before the window, and a message one second after the end of each interval."""
    posts = [
        Message(meter, START + (i + 1) * STEP + dt.timedelta(seconds=1), encode(document))
        for i, document in enumerate(meter.documents() if documents is None else documents)
    ]
    return [Message(meter, START - STEP, encode(meter.declaration()), "/mup"), *posts]


def with_values(document: MirrorMeterReadingList, values: dict[int, int | None]) -> MirrorMeterReadingList:
    """The document with other values at some positions; without those at positions whose value is None."""
    items = []
    for position, item in enumerate(document.mirror_meter_readings):
        value = values.get(position, item.reading.value)
        if value is not None:
            items.append(replace(item, reading=replace(item.reading, value=value)))
    return replace(document, all=len(items), results=len(items), mirror_meter_readings=items)


# The meters fall silent when the window ends, which is seen before their next interval closes.
SILENCE = {"completeness_meets_sla"}

UNTYPED, UNITLESS = "0" * 24 + "0000BEEF", "0" * 24 + "0000CAFE"
# Positions in a document: interval and register of generation, of load, ...
GENERATION, GENERATION_REGISTER, LOAD = 0, 1, 2


def disturbances(meter: Meter) -> list[tuple[str | None, Message]]:
    """The meter's messages, of which those with a label have a fault, in the first market interval; its last interval is missing."""
    documents = meter.documents()
    register = documents[8].mirror_meter_readings[GENERATION_REGISTER].reading.value
    faults = {
        5: ("out_of_range", {GENERATION: 10_000_000}),
        8: ("register_decreased", {GENERATION_REGISTER: register - 2_000_000}),
        12: ("negative", {LOAD: -5}),
    }
    declaration, *posts = reading_messages(meter, documents)
    labelled: list[tuple[str | None, Message]] = [(None, declaration)]
    for i, post in enumerate(posts[:-1]):
        label, values = faults.get(i, (None, {}))
        labelled.append((label, replace(post, body=encode(with_values(documents[i], values)))))
    first = documents[0].mirror_meter_readings[GENERATION]
    usage_point = meter.declaration()
    unit = replace(usage_point.mirror_meter_readings[0], mrid=UNITLESS, description="strange")
    unit = replace(unit, reading_type=replace(unit.reading_type, uom=200), reading=first.reading)
    alone = MirrorMeterReadingList(all=1, results=1, mirror_meter_readings=[replace(first, mrid=UNTYPED)])
    early = START + dt.timedelta(minutes=2, seconds=1)
    labelled += [
        ("unknown_unit", Message(meter, early, encode(replace(usage_point, mirror_meter_readings=[unit])), "/mup")),
        ("reading_type_unknown", Message(meter, early, encode(alone))),
        ("future", Message(meter, early, encode(documents[39]))),
    ]
    return labelled


class Campus:
    """A data directory, and everything a test does with it."""

    def __init__(self, data: Path, config_path: Path, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.data = data
        self.config_path = config_path
        self.definitions = definitions
        self.instance = instance
        self.settings = config.load(data=data, config=config_path)
        self.runs: dict[str, Run] = {}
        self.labels: dict[str, str] = {}
        self.signed: list[str] = []

    def stores(self) -> Stores:
        return Stores(data=str(self.data), config=str(self.config_path))

    @cached_property
    def meters(self) -> list[Meter]:
        registry = Registry(self.settings.operational_url)
        lfdis = {device.meter_id: device.lfdi for device in registry.devices()}
        registry.close()
        found = []
        for number, m in enumerate(self.settings.meters):
            building = Building(m.id, m.building, m.building_type, m.rated_kw, m.battery_kwh, m.baseline_kw)
            found.append(Meter(building, lfdis[m.id], series_of(building, number)))
        return found

    def copy(self, data: Path) -> Campus:
        """The same campus in another directory. The lake is moved along, which a data directory must bear."""
        shutil.copytree(self.data, data, ignore=shutil.ignore_patterns("*.lock"), copy_function=_copy_or_link)
        copied = Campus(data, self.config_path, self.definitions, self.instance)
        copied.runs, copied.labels = dict(self.runs), dict(self.labels)
        return copied

    def land(self, messages: Sequence[Message]) -> list[str]:
        """Land messages in the order of their receipt and return their ids."""

        async def append() -> list[str]:
            store = SqliteLandingStore(self.settings.landing_dir)
            try:
                pending = [
                    store.append(
                        RawMessage(
                            m.received_at, m.meter.lfdi, "POST", m.path, "application/sep+xml", m.body,
                            hashlib.sha256(m.body).hexdigest(), "sep2", m.meter.id, self.settings.zone,
                        )
                    )
                    for m in messages
                ]  # fmt: skip
                return list(await asyncio.gather(*pending))
            finally:
                store.close()

        return asyncio.run(append())

    def run(self, job: str, first: dt.datetime = START, last: dt.datetime = END, now: dt.datetime = AFTERWARDS) -> Run:
        """Run a job for the hours (or, for the marts, days) that hold `first` to `last`, with the clock at `now`."""
        name = (lambda moment: f"{moment:%Y-%m-%d}") if job == "marts" else hour_key
        partition, tags = one_run(name(first), name(last))
        if job == "audit":
            # A job of checks alone has no partitions of its own to name one of.
            partition, tags = None, {RANGE_START: name(first), RANGE_END: name(last)}
        with clock_at(now), environment_kept():
            outcome = self.definitions.resolve_job_def(job).execute_in_process(
                instance=self.instance,
                resources={"stores": self.stores()},
                partition_key=partition,
                tags=dict(tags),
                raise_on_error=False,
                run_config=_QUIET,
            )
        return Run(outcome)

    @cached_property
    def reader(self) -> Warehouse:
        """An analyst's view of the lake, kept open: every query sees what was committed last."""
        return Warehouse(self.settings.warehouse_dir, read_only=True)

    def query(self, sql: str) -> pl.DataFrame:
        return self.reader.query(sql)

    def read(self, table: Table) -> pl.DataFrame:
        return self.reader.read(table)

    @contextlib.contextmanager
    def writer(self) -> Iterator[Warehouse]:
        with Warehouse(self.settings.warehouse_dir) as warehouse:
            yield warehouse

    def tamper(self, *statements: str) -> None:
        """Change stored rows behind the pipeline's back."""
        with self.writer() as warehouse:
            for sql in statements:
                warehouse.connect().execute(sql)

    def hashes(self, *schemas: str, chain: bool = True) -> dict[str, str]:
        """A hash of every table (of `schemas`, or all), and without `chain` of all but the names the chain gave."""
        found = {}
        for table in TABLES:
            if schemas and table.schema not in schemas:
                continue
            frame = self.read(table)
            if not chain:
                left = frame.drop(OF_THE_CHAIN.get(table.full_name, ()))
                frame = left.sort(left.columns) if left.width < frame.width else frame
            found[table.full_name] = hashlib.sha256(repr(frame.rows()).encode()).hexdigest()
        return found

    def last_snapshot(self) -> int:
        return self.query("SELECT max(snapshot_id) FROM ducklake_snapshots('lake')").item()

    def transactions_on_chain(self) -> list[str]:
        """Signatures of everything the payer ever signed, asked from the node."""
        payer = keys.load(self.settings.payer_key).pubkey()
        return [str(entry.signature) for entry in self.rpc("get_signatures_for_address", payer, None, None, 1000, Confirmed)]

    def rpc(self, method: str, *arguments: Any) -> Any:
        """What the campus's own node answers to a call of solana-py."""

        async def ask() -> Any:
            async with RpcPool(self.settings.rpc_urls) as pool:
                return (await pool.call(method, *arguments)).value

        return asyncio.run(ask())


def _copy_or_link(source: str, target: str) -> None:
    """The extensions of DuckDB are a hundred megabytes that nobody writes to."""
    (os.link if source.endswith(".duckdb_extension") else shutil.copy2)(source, target)


class Run:
    """How a job ended."""

    def __init__(self, outcome: dg.ExecuteInProcessResult) -> None:
        self.success = outcome.success
        self.evaluations = outcome.get_asset_check_evaluations()
        self.checks = {check.check_name: check for check in self.evaluations}
        self.failed_steps = {event.step_key: _causes(event) for event in outcome.all_events if event.is_step_failure}
        self.materialized = {"/".join(m.asset_key.path) for m in _materializations(outcome)}

    def failed_checks(self) -> set[str]:
        return {name for name, check in self.checks.items() if not check.passed}

    def metadata(self, check: str) -> dict[str, Any]:
        return {name: value.value for name, value in self.checks[check].metadata.items()}


def _causes(event: Any) -> str:
    texts, error = [], event.step_failure_data.error
    while error is not None:
        texts.append(error.message.strip())
        error = error.cause
    return " <- ".join(texts)


def _materializations(outcome: dg.ExecuteInProcessResult) -> list[dg.AssetMaterialization]:
    return [e.step_materialization_data.materialization for e in outcome.all_events if e.is_step_materialization]


@contextlib.contextmanager
def clock_at(now: dt.datetime) -> Iterator[None]:
    clock.set_clock(lambda: now)
    try:
        yield
    finally:
        clock.set_clock(clock.system_clock)


@contextlib.contextmanager
def environment_kept() -> Iterator[None]:
    """dbt is told by the environment where the data is; nobody after it should be."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
