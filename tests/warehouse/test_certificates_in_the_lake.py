"""Certificates of hours written one after the other, again, late and corrected: what stands is read back as it was."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import polars as pl
import pytest

from gridtokenx_pipeline.contracts import certificates, market
from gridtokenx_pipeline.defs.certificates import assets
from gridtokenx_pipeline.defs.certificates.assets import write_window
from gridtokenx_pipeline.defs.certificates.standing import find
from gridtokenx_pipeline.domain.certificates import Rules, Selection, fold, withdraw
from gridtokenx_pipeline.registry.record import record
from gridtokenx_pipeline.warehouse import Replace, SetState, Warehouse

sys.path.insert(0, str(Path(__file__).parents[1] / "domain" / "certificates"))

from certificate_registry import START, STEP, interval_rows, series, trade_rows

HOUR = dt.timedelta(hours=1)
RULES = Rules(efficiency_ppm=800_000, batteries=frozenset({"M1", "M2"}))
# Two hours of charging, of which the third gives back; M2 only sells.
DAY = [{"generation": 30, "load": 5, "charge": 12}] * 24 + [{"discharge": 20, "load": 8}] * 12
ENERGY = series({"M1": DAY, "M2": [{"generation": 17}] * 36})
TRADES = trade_rows([(n, "M2", "M1", 15, 1, "pool") for n in range(36)] + [(n, "M1", "M3", 9, 0, "pool") for n in range(36)])


class Lake:
    """A warehouse with closed intervals."""

    def __init__(self, directory: Path) -> None:
        self.warehouse = Warehouse(directory)
        intervals = interval_rows([(n, 1, "closed") for n in range(36)])
        self.warehouse.commit(Replace(market.INTERVALS, intervals), Replace(market.TRADES, TRADES))

    def run(self, first: int, hours: int = 1, energy: pl.DataFrame = ENERGY, settle: bool = True) -> bool:
        """Certify hours, settle them, and say whether anything was written."""
        start, end = START + first * HOUR, START + (first + hours) * HOUR
        window = (pl.col("interval_start") >= start) & (pl.col("interval_start") < end)
        intervals, trades = (self.warehouse.read_window(table, start, end) for table in (market.INTERVALS, market.TRADES))
        _, _, written = write_window(self.warehouse, start, end, energy.filter(window), intervals, trades, RULES)
        if settle:
            keys = intervals.select("zone", "interval_start", "version")
            self.warehouse.commit(SetState(market.INTERVALS, keys, "settled"))
        return any(done.changed for done in written)

    def tables(self) -> list[pl.DataFrame]:
        return [self.warehouse.read(table) for table in certificates.ISSUES]

    def check(self) -> None:
        bundles, events, _, holdings = self.tables()
        assert holdings.equals(fold(events, bundles))


@pytest.fixture
def lake(tmp_path):
    made = Lake(tmp_path / "lake")
    yield made
    made.warehouse.close()


def test_hours_one_by_one_make_what_they_make_together(lake, tmp_path):
    for first in range(3):
        assert lake.run(first, settle=False)
        assert not lake.run(first)
        assert not lake.run(first)
        lake.check()
    whole = Lake(tmp_path / "whole")
    whole.run(0, 3)
    assert all(one.equals(other) for one, other in zip(lake.tables(), whole.tables(), strict=True))
    assert (lake.warehouse.read(certificates.EVENTS)["kind"] == "cancelled").any()
    whole.warehouse.close()


def test_an_hour_that_is_made_again_before_the_next_one_gives_back_what_that_took(lake):
    for first in range(2):
        lake.run(first)
    before = lake.tables()
    lake.run(2, settle=False)
    lake.run(2, energy=ENERGY.with_columns(discharge_milli_wh=pl.lit(0, dtype=pl.Int64)), settle=False)
    lake.check()
    held = lake.warehouse.read(certificates.HOLDINGS, "interval_start < ?", (START + 2 * HOUR,))
    assert held.equals(before[3])


def test_a_correction_is_written_besides_and_made_up_for_later(lake):
    lake.run(0)
    settled = lake.tables()
    lake.warehouse.commit(
        Replace(market.INTERVALS, pl.concat([lake.warehouse.read(market.INTERVALS), interval_rows([(3, 2, "closed")])]))
    )
    late = pl.col("interval_start") == START + 3 * STEP
    fewer = pl.when(late & (pl.col("meter_id") == "M2")).then(pl.col("generation_milli_wh") - 5000)
    now = ENERGY.with_columns(generation_milli_wh=fewer.otherwise(pl.col("generation_milli_wh")))
    assert lake.run(0, energy=now)
    assert not lake.run(0, energy=now)
    for before, after in zip(settled[:3], lake.tables()[:3], strict=True):
        assert before.join(after, on=before.columns, how="anti", nulls_equal=True).is_empty()
    events = lake.warehouse.read(certificates.EVENTS, "version = 2")
    assert events.sort("kind").select("kind", "energy_wh").rows() == [("shortfall", 3), ("withdrawn", 2)]
    lake.run(1)
    made_up = lake.warehouse.read(certificates.EVENTS, "kind = 'withdrawn' AND version = 1")
    assert made_up.select("energy_wh", "interval_start").rows() == [(3, START + HOUR)]
    assert not lake.run(1)
    lake.check()


def test_a_late_meter_finds_its_store_however_old(lake):
    alone = ENERGY.filter(pl.col("meter_id") == "M2")
    lake.run(0)
    lake.run(1, energy=alone)
    lake.run(2)
    lake.check()
    rows = lake.warehouse.read(certificates.STORAGE, "meter_id = 'M1'")
    last, first = rows.filter(pl.col("interval_start") < START + HOUR).row(-1, named=True), rows.row(12, named=True)
    assert first["interval_start"] == START + 2 * HOUR
    assert first["green_wh"] == last["green_wh"] - first["green_used_wh"]
    assert first["green_used_wh"] > 0


def test_what_a_person_decides_while_certificates_are_written_is_held(lake, monkeypatch):
    lake.run(0)
    decisions = []

    def meanwhile(*arguments):
        found = find(*arguments)
        if not decisions:
            holdings = lake.warehouse.read(certificates.HOLDINGS)
            own = Selection(owner="M2")
            decisions.append(
                withdraw(holdings, own, energy_wh=1, reason="r", actor="ann", at=START + HOUR, market_interval_s=300)
            )
            record(lake.warehouse, decisions[0])
        return found

    monkeypatch.setattr(assets, "find", meanwhile)
    lake.run(0)
    assert len(decisions[0]) == 1
    assert lake.warehouse.read(certificates.HOLDINGS, "state = 'withdrawn'")["energy_wh"].to_list() == [1]
    lake.check()
