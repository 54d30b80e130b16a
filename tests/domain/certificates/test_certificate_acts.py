"""What people do with certificates, and what no event may do."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from certificate_registry import START, STEP, Registry, series, trade_rows

from gridtokenx_pipeline.domain.certificates import CertificateError, Selection, expire, fold, retire, withdraw

NOW = dt.datetime(2026, 12, 1, 12, 7, 3, tzinfo=dt.UTC)
ACT = {"actor": "ana", "at": NOW, "market_interval_s": 300}
DAY = {"period_start": START, "period_end": START + dt.timedelta(days=1)}
FOR = {"beneficiary": "M2", "purpose": "scope 2 of 2026", **DAY}


@pytest.fixture(scope="module")
def registry() -> Registry:
    registry = Registry()
    energy = series({"M1": [{"generation": 100, "load": 10, "charge": 30}, {"generation": 50}], "M2": [{}, {"load": 70}]})
    registry.run(energy, range(2), trade_rows([(0, "M1", "M2", 40, 0, "pool"), (1, "M1", "M2", 20, 0, "pool")]))
    return registry


def with_events(registry: Registry, *events: pl.DataFrame) -> pl.DataFrame:
    return fold(pl.concat([registry.events, *events]), registry.bundles)


def sums(holdings: pl.DataFrame) -> dict:
    rows = holdings.group_by("owner", "state").agg(pl.col("energy_wh").sum()).iter_rows()
    return {(owner, state): wh for owner, state, wh in rows}


def test_retirement_takes_the_oldest_for_a_consumption(registry):
    events = retire(registry.holdings, Selection(owner="M2"), energy_wh=50, consumption_wh=70, **FOR, **ACT)
    assert events.sort("bundle_interval_start").select("energy_wh", "owner", "beneficiary", "purpose", "actor").rows() == [
        (40, "M2", "M2", "scope 2 of 2026", "ana"),
        (10, "M2", "M2", "scope 2 of 2026", "ana"),
    ]
    assert set(events["interval_start"]) == {dt.datetime(2026, 12, 1, 12, 5, tzinfo=dt.UTC)}
    after = with_events(registry, events)
    assert sums(after)["M2", "retired"] == 50
    assert sums(after)["M2", "active"] == 10
    second = retire(after, Selection(owner="M2"), consumption_wh=70, covered_wh=50, **FOR, **ACT)
    assert sums(with_events(registry, events, second))["M2", "retired"] == 60
    assert not set(events["event_id"]) & set(second["event_id"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"energy_wh": 61}, "61 Wh asked for, 60 Wh are active"),
        ({"energy_wh": 0}, "0 Wh asked for"),
        ({"consumption_wh": 49}, "consumed 49 Wh"),
        ({"covered_wh": 25}, "of which 25 Wh are covered"),
        ({"period_end": START + STEP}, "40 Wh are active in the period"),
        ({"period_start": START + dt.timedelta(seconds=1)}, "20 Wh are active in the period"),
        ({"period_end": START}, "is empty"),
        ({"actor": "pipeline"}, "somebody answers for it"),
        ({"actor": ""}, "somebody answers for it"),
    ],
)
def test_what_cannot_be_retired(registry, changes, message):
    wanted = {"energy_wh": 50, "consumption_wh": 70, **FOR, **ACT} | changes
    with pytest.raises(CertificateError, match=message):
        retire(registry.holdings, Selection(owner="M2"), **wanted)


def test_withdrawal_takes_the_newest_from_the_top(registry):
    bundle = registry.bundles.filter(pl.col("interval_start") == START)["bundle_id"][0]
    events = withdraw(registry.holdings, Selection(bundle_ids=[bundle]), energy_wh=5, reason="wrong device", **ACT)
    assert events.select("first_wh", "last_wh", "owner", "reason").rows() == [(95, 99, "M1", "wrong device")]
    after = with_events(registry, events)
    assert sums(after)["M1", "withdrawn"] == 5
    with pytest.raises(CertificateError, match="20 Wh are active or pending"):
        withdraw(registry.holdings, Selection("M1", [bundle]), energy_wh=21, reason="more", **ACT)
    with pytest.raises(CertificateError, match="says why"):
        withdraw(registry.holdings, Selection("M1"), reason="", **ACT)


def test_a_pending_bundle_is_withdrawn_whole():
    registry = Registry()
    registry.run(series({"M1": [{"generation": 9}]}).with_columns(quality_flags=pl.lit(9, dtype=pl.Int32)), range(1))
    with pytest.raises(CertificateError, match="whole"):
        withdraw(registry.holdings, Selection("M1"), energy_wh=5, reason="no", **ACT)
    assert sums(with_events(registry, withdraw(registry.holdings, Selection("M1"), reason="no", **ACT))) == {
        ("M1", "withdrawn"): 9
    }


def test_what_is_old_expires_and_what_is_locked_waits(registry):
    later = {**ACT, "at": START + dt.timedelta(days=2)}
    assert expire(registry.holdings, validity_days=0, **later).is_empty()
    assert expire(registry.holdings, validity_days=2, **later)["bundle_interval_start"].unique().to_list() == [START]
    events = expire(registry.holdings, validity_days=1, **later)
    assert sums(with_events(registry, events)) == {
        ("M1", "claimed"): 10,
        ("M1", "locked"): 30,
        ("M1", "expired"): 50,
        ("M2", "expired"): 60,
    }


def test_a_selection_names_something():
    with pytest.raises(CertificateError, match="names an owner or bundles"):
        Selection()


@pytest.mark.parametrize(
    ("kind", "state", "changes", "message"),
    [
        ("retired", "locked", {}, "cannot happen.*locked"),
        ("transferred", "locked", {"from_owner": "M1", "owner": "M3"}, "cannot happen"),
        ("withdrawn", "locked", {}, "cannot happen"),
        ("locked", "claimed", {}, "cannot happen"),
        ("withdrawn", "claimed", {"reason": "because"}, "cannot happen"),
        ("cancelled", "active", {}, "cannot happen"),
        ("issued", "active", {}, "other ids than the bundle's|cannot happen"),
        ("held", "active", {}, "cannot happen"),
        ("retired", "active", {"owner": "M3"}, "not the owner's"),
        ("transferred", "active", {"from_owner": "M3", "owner": "M2"}, "not the owner's"),
        ("retired", "active", {"last_wh": 100_000, "energy_wh": 100_000}, "ids outside the bundle"),
        ("retired", "active", {"energy_wh": 1_000}, "energy other than its ids"),
        ("retired", "active", {"bundle_id": "another"}, "event of no bundle"),
    ],
)
def test_what_no_event_may_do(registry, kind, state, changes, message):
    target = registry.holdings.filter(state=state).sort("interval_start", "first_wh").row(0, named=True)
    row = registry.events.row(0, named=True) | {
        name: target[name] for name in ("bundle_id", "first_wh", "last_wh", "energy_wh", "owner")
    }
    row |= {"event_id": "x", "interval_start": NOW, "number": 1, "kind": kind, "bundle_interval_start": target["interval_start"]}
    event = pl.DataFrame([row | changes], schema=registry.events.schema, orient="row")
    with pytest.raises(CertificateError, match=message):
        with_events(registry, event)


def test_a_bundle_without_events_is_no_bundle(registry):
    with pytest.raises(CertificateError, match="no event issued"):
        fold(registry.events.clear(), registry.bundles)


def test_events_of_before_ranges_are_about_whole_bundles(registry):
    issued = registry.events.filter(kind="issued").with_columns(
        first_wh=pl.lit(None, dtype=pl.Int64), last_wh=pl.lit(None, dtype=pl.Int64)
    )
    assert sums(fold(issued, registry.bundles)) == {("M1", "active"): 150}
