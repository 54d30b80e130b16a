"""Case G of the worked oracle: the certificates of one interval with trades, a store that is part green, and self-consumption."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import polars as pl
import pytest
from certificate_registry import START, STEP, Registry, interval_rows, series, trade_rows

from gridtokenx_pipeline.domain.certificates import Rules, Standing, certify, fold
from gridtokenx_pipeline.domain.certificates.certify import LOCKS, STORES

TRADES = trade_rows(
    [
        (0, "M1", "M3", 1500, 0, "pool"),
        (0, "M2", "M3", 63, 0, "pool"),
        (0, "M2", "M4", 638, 0, "pool"),
        (0, "M5", "M4", 200, 0, "pool"),
    ]
)
ENERGY = series(
    {
        "M1": [{"generation": 3200, "load": 1200, "charge": 500}],
        "M2": [{"generation": 1000, "load": 299}],
        "M3": [{"load": 1951}],
        "M4": [{"generation": 250, "load": 1296}],
        "M5": [{"load": 600, "discharge": 800}],
    }
)


@pytest.fixture(scope="module")
def case_g():
    """What is made, and the holdings with the 400 green Wh that M5 had locked an interval before."""
    before = Registry()
    before.run(series({"M5": [{"generation": 400, "charge": 1200}]}), range(1))
    earlier = [frame.with_columns(pl.col("interval_start") - STEP) for frame in (before.bundles, before.storage)]
    events = before.events.with_columns(pl.col("interval_start", "bundle_interval_start") - STEP)
    bundles = earlier[0].with_columns(pl.col("interval_end") - STEP)
    locked = fold(events, bundles).filter(state="locked").rename({"interval_start": "bundle_interval_start"})
    standing = replace(Standing.nothing(), stores=earlier[1].select(list(STORES)), locks=locked.select(list(LOCKS)))
    made = certify(ENERGY, interval_rows([(0, 1, "closed")]), TRADES, standing, Rules(efficiency_ppm=800_000))
    return made, fold(pl.concat([events, made.events]), pl.concat([bundles, made.bundles]))


def by(frame, *names):
    return {
        key: wh
        for *key, wh in map(list, frame.group_by(names).agg(pl.col("energy_wh").sum()).iter_rows())
        for key in [tuple(key)]
    }


def test_issued_is_claimed_locked_or_moved(case_g):
    made, _ = case_g
    production = made.bundles.filter(origin="production")
    assert dict(production.select("meter_id", "energy_wh").iter_rows()) == {"M1": 3200, "M2": 1000, "M4": 250}
    assert set(made.bundles["state"]) == {"issued", "released"}
    events = made.events.join(production, on="bundle_id", how="semi")
    assert by(events, "kind", "owner") == {
        ("issued", "M1"): 3200,
        ("issued", "M2"): 1000,
        ("issued", "M4"): 250,
        ("claimed", "M1"): 1200,
        ("claimed", "M2"): 299,
        ("claimed", "M4"): 250,
        ("locked", "M1"): 500,
        ("transferred", "M3"): 1563,
        ("transferred", "M4"): 638,
    }
    assert events.filter(kind="claimed")["energy_wh"].sum() == 1749
    assert events.filter(kind="transferred")["energy_wh"].sum() == 2201
    moved = made.events.filter(kind="transferred", owner="M3").select("from_owner", "energy_wh", "trade_id").sort("from_owner")
    assert moved.rows() == [("M1", 1500, "0/pool/M1/M3"), ("M2", 63, "0/pool/M2/M3")]


def test_ranges_of_a_bundle_are_in_one_order(case_g):
    made, holdings = case_g
    bundle = made.bundles.filter(meter_id="M1")["bundle_id"][0]
    own = holdings.filter(bundle_id=bundle).select("first_wh", "last_wh", "owner", "state")
    assert own.rows() == [(0, 1199, "M1", "claimed"), (1200, 1699, "M1", "locked"), (1700, 3199, "M3", "active")]


def test_a_store_gives_certificates_in_proportion_to_its_green_part(case_g):
    made, holdings = case_g
    row = made.storage.filter(meter_id="M5").row(0, named=True)
    assert (row["used_wh"], row["green_used_wh"], row["green_out_wh"]) == (1000, 333, 266)
    assert (row["green_wh"], row["grey_wh"]) == (67, 133)
    out = made.bundles.filter(origin="storage_discharge").row(0, named=True)
    assert (out["meter_id"], out["energy_wh"], out["first_wh"]) == ("M5", 266, 0)
    cancelled = made.events.filter(kind="cancelled").row(0, named=True)
    assert (cancelled["energy_wh"], cancelled["counter_bundle_id"]) == (333, out["bundle_id"])
    assert cancelled["bundle_interval_start"] == START - dt.timedelta(seconds=300)
    own = holdings.filter(bundle_id=out["bundle_id"]).select("energy_wh", "owner", "state")
    assert own.rows() == [(200, "M5", "claimed"), (66, "M4", "active")]
    assert by(holdings.filter(meter_id="M5", interval_start=START - STEP), "state") == {("cancelled",): 333, ("locked",): 67}


def test_what_buyers_can_prove(case_g):
    _, holdings = case_g
    own = by(holdings.filter(pl.col("interval_start") == START).filter(owner="M4"), "state")
    assert sum(own.values()) == 250 + 638 + 66
    assert round(1000 * sum(own.values()) / 1296) == 736
