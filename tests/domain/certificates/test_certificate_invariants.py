"""Every invariant of certificates is seen when it is broken."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from certificate_registry import START, STEP, Registry, series, trade_rows

from gridtokenx_pipeline.contracts import certificates as tables
from gridtokenx_pipeline.domain.invariants import certificate_violations

TRADES = trade_rows([(0, "M1", "M2", 40, 4, "pool"), (2, "M1", "M2", 8, 0, "pool")])
ENERGY = series({"M1": [{"generation": 100, "load": 10, "charge": 30}, {}, {"discharge": 20, "load": 12}]})
DEVICES = pl.DataFrame(
    {
        "zone": "stanford",
        "meter_id": ["M1"],
        "capacity_kw": pl.Series([1], dtype=pl.Int32),
        "commissioned_at": pl.Series([START], dtype=pl.Datetime("us", "UTC")),
        "carrier": "electricity",
        "source": "solar",
        "registry": "GridTokenX",
    }
)


@pytest.fixture(scope="module")
def frames() -> dict[str, pl.DataFrame]:
    registry = Registry()
    registry.run(ENERGY, range(3), TRADES)
    found = {name: getattr(registry, name) for name in ("bundles", "events", "holdings", "storage")}
    return found | {"energy": ENERGY, "trades": TRADES, "devices": DEVICES}


def names(frames: dict[str, pl.DataFrame], **options) -> set[str]:
    return set(certificate_violations(**frames, **options)["name"])


def test_honest_ones(frames):
    assert names(frames) == set()


PRODUCTION = pl.col("origin") == "production"


def kind(name: str) -> pl.Expr:
    return pl.col("kind") == name


@pytest.mark.parametrize(
    ("table", "rows", "changes", "caught"),
    [
        (
            "bundles",
            PRODUCTION,
            {"energy_wh": 101, "last_wh": 100},
            {"bundle_energy", "issued_over_register", "illegal_event", "issue_event"},
        ),
        ("bundles", PRODUCTION, {"version": 2}, {"issue_event"}),
        ("bundles", PRODUCTION, {"interval_end": START + 3 * STEP}, {"beneficiary"}),
        ("energy", pl.lit(value=True), {"quality_flags": 16}, {"issued_without_measurement"}),
        ("energy", pl.col("interval_start") == START, {"load_milli_wh": 0}, {"claimed_over_load"}),
        ("holdings", pl.col("state") == "active", {"owner": "M3"}, {"holdings"}),
        ("holdings", pl.col("state") == "locked", {"state": "active"}, {"holdings"}),
        ("events", kind("transferred"), {"kind": "claimed"}, {"illegal_event"}),
        ("events", kind("claimed"), {"beneficiary": None}, {"beneficiary"}),
        ("events", kind("retired"), {"period_end": START}, {"beneficiary"}),
        ("events", kind("claimed"), {"actor": "ana"}, {"wrong_actor"}),
        ("events", kind("retired"), {"purpose": "ours"}, {"wrong_actor"}),
        ("events", kind("issued"), {"version": 3}, {"issue_event"}),
        ("events", kind("issued"), {"bundle_id": "another"}, {"orphan_event", "illegal_event", "issue_event"}),
        ("events", kind("cancelled"), {"bundle_interval_start": START + 2 * STEP}, {"cancelled_before_charge"}),
        ("events", kind("transferred"), {"trade_id": "none"}, {"moved_without_trade"}),
        ("events", kind("locked"), {"kind": "expired"}, {"illegal_event", "storage_locks"}),
        ("trades", pl.lit(value=True), {"energy_wh": 7}, {"moved_over_trade"}),
        ("trades", pl.lit(value=True), {"buyer_meter_id": "M3"}, {"moved_without_trade"}),
        ("storage", pl.col("charge_wh") > 0, {"green_in_wh": 29, "grey_in_wh": 1}, {"storage_locks"}),
        ("storage", pl.col("charge_wh") > 0, {"charge_wh": 29}, {"storage_rules"}),
        ("storage", pl.col("discharge_wh") > 0, {"green_used_wh": 20}, {"storage_rules"}),
        ("storage", pl.col("discharge_wh") > 0, {"green_out_wh": 19}, {"storage_rules", "storage_discharge"}),
        ("storage", pl.col("discharge_wh") > 0, {"late": True}, {"storage_rules"}),
        ("devices", pl.lit(value=True), {"commissioned_at": START + STEP}, {"device"}),
        ("devices", pl.lit(value=True), {"source": "wind"}, {"device"}),
        ("devices", pl.lit(value=True), {"meter_id": "M9"}, {"device"}),
        ("devices", pl.lit(value=True), {"capacity_kw": 0}, {"over_nameplate"}),
    ],
)
def test_tampered_ones_are_caught(frames, table, rows, changes, caught):
    frame = frames[table]
    lits = {name: pl.lit(value, dtype=frame.schema[name]) for name, value in changes.items()}
    tampered = frame.with_columns(pl.when(rows).then(value).otherwise(pl.col(name)).alias(name) for name, value in lits.items())
    assert not tampered.equals(frame)
    assert names(frames | {table: tampered}) >= caught


def test_bundles_of_overlapping_time_or_twice_or_in_two_registries(frames):
    own = frames["bundles"].filter(PRODUCTION)
    other = own.with_columns(
        bundle_id=pl.lit("b2"),
        interval_start=pl.lit(START + dt.timedelta(seconds=60), dtype=pl.Datetime("us", "UTC")),
        first_wh=pl.lit(200, dtype=pl.Int64),
        last_wh=pl.lit(299, dtype=pl.Int64),
    )
    bundles = tables.BUNDLES.conform(pl.concat([frames["bundles"], other]))
    assert "bundle_time_overlap" in names(frames | {"bundles": bundles})
    assert names(frames | {"devices": pl.concat([DEVICES, DEVICES.with_columns(registry=pl.lit("WREGIS"))])}) == {
        "two_registries"
    }
    assert names(frames | {"devices": DEVICES}, bound_pct=118) == {"over_nameplate"}
