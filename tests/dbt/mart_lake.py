"""A lake filled by hand, of which every number that a mart should show is known."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from pathlib import Path
from zoneinfo import ZoneInfo

import market_rows
import polars as pl

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import Table, Type, core, market, raw
from gridtokenx_pipeline.defs.marts import project
from gridtokenx_pipeline.warehouse import Append, Replace, Warehouse

SPRING, AUTUMN = dt.date(2026, 3, 8), dt.date(2026, 11, 1)
DAY = dt.timedelta(days=1)
METERS = {"A": "academic", "B": "academic", "C": "research", "PCC": "feeder"}
METERS_AT = {meter: number for number, meter in enumerate(METERS)}
PROSUMERS = ("A", "B", "C")
STEP = dt.timedelta(minutes=5)
ENERGIES = {"generation": 1_003, "load": 2_001, "charge": 7, "discharge": 5, "import": 1_000, "export": 0}
_FILL = {Type.TEXT: "x", Type.INTEGER: 1, Type.BIGINT: 1, Type.BOOLEAN: True, Type.BYTES: b"x", Type.ENERGY: 1}


def frame(table: Table, rows: list[dict]) -> pl.DataFrame:
    """A frame of the contract; what a row leaves out is null or a constant."""
    filled = {c.frame_name: None if c.nullable else _FILL.get(c.type) for c in table.columns}
    return pl.DataFrame([filled | {"zone": "stanford"} | row for row in rows], schema=table.frame_schema(), strict=False)


class MartLake:
    """Three prosumers and the feeder's meter, every 5-minute interval of some local days; and the market of `market_rows`, elsewhere."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.zone = ZoneInfo(settings.site.timezone)
        self.warehouse = Warehouse(settings.warehouse_dir)
        self.reader = Warehouse(settings.warehouse_dir, read_only=True)

    def copy(self, data: Path) -> MartLake:
        """The same lake in another directory, for a test to write to."""
        shutil.copytree(self.settings.data, data, copy_function=os.link)
        # Linked files are never written to, but for the catalog.
        shutil.copy2(self.warehouse.catalog, data / "warehouse" / "copied.sqlite")
        (data / "warehouse" / "copied.sqlite").replace(data / "warehouse" / "catalog.sqlite")
        return MartLake(self.settings.model_copy(update={"data": data}))

    def close(self) -> None:
        self.reader.close()

    def local_day(self, date: dt.date) -> tuple[dt.datetime, dt.datetime]:
        """Start and end in UTC, by Python's own clock arithmetic."""
        midnights = (dt.datetime.combine(day, dt.time(), self.zone) for day in (date, date + dt.timedelta(days=1)))
        start, end = (midnight.astimezone(dt.UTC) for midnight in midnights)
        return start, end

    def fill(self, *dates: dt.date) -> None:
        starts = [start + i * STEP for start, end in map(self.local_day, dates) for i in range(int((end - start) / STEP))]
        energies = {f"{name}_milli_wh": value for name, value in ENERGIES.items()}
        five = frame(
            core.ENERGY_5MIN,
            [
                {
                    "meter_id": meter,
                    "interval_start": start,
                    "duration_s": 300,
                    **energies,
                    # No two intervals alike, so that a shifted one is seen.
                    "load_milli_wh": energies["load_milli_wh"] + i + 10_000 * METERS_AT[meter],
                    "readings_expected": 20,
                    "readings_present": 19 if meter == "B" else 20,
                    "readings_estimated": 1 if meter == "B" else 0,
                    "quality_flags": 17 if meter == "C" and i == 0 else 1,
                }
                for meter in METERS
                for i, start in enumerate(starts)
            ],
        )
        writes = [(core.ENERGY_5MIN, five), (core.ENERGY_15S, five.with_columns(duration_s=pl.lit(15, pl.Int32)))]
        for table, seconds in core.LEVELS[2:]:
            writes.append((table, rolled(five, table, seconds)))
        hourly = rolled(five, core.ENERGY_1H, 3600)
        hours = [
            {
                "meter_id": row["meter_id"],
                "interval_start": row["interval_start"],
                "readings_expected": row["readings_expected"],
                "readings_present": row["readings_present"],
                "readings_estimated": row["readings_estimated"],
                "readings_late": 2,
            }
            for row in hourly.iter_rows(named=True)
            if row["meter_id"] != "PCC"
        ]
        first = starts[0]
        writes += [
            (
                core.METERS,
                frame(core.METERS, [{"meter_id": m, "building": f"House {m}", "building_type": t} for m, t in METERS.items()]),
            ),
            (market.PAIRS, frame(market.PAIRS, pairs({m: METERS[m] for m in PROSUMERS}))),
            (core.METER_HOURS, frame(core.METER_HOURS, hours)),
            *self._findings(first),
        ]
        with self.warehouse:
            self.warehouse.commit(*(Replace(table, content) for table, content in writes))

    def fill_market(self) -> None:
        """Add a zone with a market, whose meters have no energy but that of its intervals."""
        meters = [
            {"zone": market_rows.ZONE, "meter_id": m, "building": f"House {m}", "building_type": t}
            for m, t in market_rows.METERS.items()
        ]
        of_pairs = [row | {"zone": market_rows.ZONE} for row in pairs(market_rows.METERS)]
        revision = {"zone": market_rows.ZONE, "meter_id": "M3", "interval_start": market_rows.LAST_OF_SATURDAY}
        known = [revision | {"revision": i, "known_from": market_rows.KNOWN_FROM[i - 1]} for i in (1, 2)]
        writes = {
            core.METERS: meters,
            core.ENERGY_5MIN: market_rows.energies(),
            core.REVISIONS: known,
            market.PAIRS: of_pairs,
            market.INTERVALS: market_rows.INTERVALS,
            market.TRADES: market_rows.TRADES,
            market.GRID_SETTLEMENTS: market_rows.GRID_SETTLEMENTS,
            market.CAMPUS_BALANCES: market_rows.CAMPUS_BALANCES,
            market.AGREEMENTS: market_rows.AGREEMENTS,
            market.OFFERS: market_rows.OFFERS,
        }
        with self.warehouse:
            self.warehouse.commit(*(Append(table, frame(table, rows)) for table, rows in writes.items()))

    def _findings(self, first: dt.datetime) -> list[tuple[Table, pl.DataFrame]]:
        minute = dt.timedelta(minutes=1)
        message = lambda i, **values: {"message_id": f"m{i}", "meter_id": "A", "received_at": first + i * minute} | values  # noqa: E731
        exception = {"meter_id": "B", "interval_start": first, "code": "stuck", "severity": "warning", "quality_flags": 16}
        reading = {"channel": "load", "interval_start": first, "duration_s": 15, "energy_milli_wh": 5}
        return [
            (
                core.VEE_EXCEPTIONS,
                frame(
                    core.VEE_EXCEPTIONS,
                    [
                        exception | {"channel": "load", "duration_s": 600},
                        exception | {"channel": "generation", "duration_s": 300},
                        exception
                        | {
                            "meter_id": "stanford",
                            "channel": "all",
                            "code": "feeder_imbalance",
                            "severity": "error",
                            "duration_s": 3600,
                        },
                    ],
                ),
            ),
            (raw.MESSAGES, frame(raw.MESSAGES, [message(i) for i in range(4)])),
            (
                core.MESSAGE_OUTCOMES,
                frame(
                    core.MESSAGE_OUTCOMES,
                    [
                        message(0, readings_total=7, accepted=7, rejected=0, telemetry=0),
                        message(1, readings_total=7, accepted=4, rejected=3, telemetry=0),
                        message(2, readings_total=0, accepted=0, rejected=0, telemetry=0, document=None),
                    ],
                ),
            ),
            (
                core.REJECTED_READINGS,
                frame(
                    core.REJECTED_READINGS,
                    [
                        message(1, reason="duplicate", channel="load", parts=2, position=0),
                        message(1, reason="out_of_range", channel="load", parts=1, position=2),
                        message(2, reason="malformed_document", parts=0, position=0),
                    ],
                ),
            ),
            (
                core.READINGS,
                frame(core.READINGS, [message(0, findings="clock_snapped,late", **reading), message(1, version=2, **reading)]),
            ),
        ]

    def dbt(self, command: str, start: dt.date, end: dt.date, *selection: str) -> None:
        """Run dbt for days as the marts' asset does; the environment is as before afterwards."""
        before = dict(os.environ)
        os.environ["GRIDTOKENX_MARTS_START"], os.environ["GRIDTOKENX_MARTS_END"] = start.isoformat(), end.isoformat()
        days = ["--event-time-start", start.isoformat(), "--event-time-end", end.isoformat()] if command != "test" else []
        try:
            project.invoke(self.settings, [command, *days, *selection])
        finally:
            os.environ.clear()
            os.environ.update(before)

    def rows(self, sql: str) -> list[dict]:
        """Rows of a query; the connection is kept and sees what was committed last."""
        return self.reader.query(sql).to_dicts()


def pairs(meters: dict[str, str]) -> list[dict]:
    """The rows of `market.pairs` for meters of these building types."""
    return [
        {
            "pair_id": f"{a} {b}",
            "meter_a_id": a,
            "meter_b_id": b,
            "building_type_a": meters[a],
            "building_type_b": meters[b],
            "pair_type": "intra" if meters[a] == meters[b] else "inter",
        }
        for a in meters
        for b in meters
        if a < b
    ]


def rolled(five: pl.DataFrame, table: Table, seconds: int) -> pl.DataFrame:
    """The sums of 5-minute intervals, as a frame of `table`."""
    sums = [f"{name}_milli_wh" for name in ENERGIES] + ["readings_expected", "readings_present", "readings_estimated"]
    key = ["zone", "meter_id", pl.col("interval_start").dt.truncate(f"{seconds}s")]
    summed = five.group_by(key, maintain_order=True).agg(pl.col(sums).sum())
    rest = [name for name in table.frame_schema() if name not in summed.columns]
    first = five.group_by(key, maintain_order=True).agg(pl.col(rest).first()).select(rest)
    whole = pl.concat([summed, first], how="horizontal").with_columns(duration_s=pl.lit(seconds, pl.Int32))
    return whole.select(list(table.frame_schema())).cast(table.frame_schema())
