"""What holds of certificates for any fleet: nothing appears or vanishes, order and windows do not matter, repeats change nothing."""

from __future__ import annotations

import itertools

import polars as pl
from certificate_registry import START, STEP, Registry, series, trade_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtokenx_pipeline.domain.certificates import fold
from gridtokenx_pipeline.domain.certificates.fold import in_order
from gridtokenx_pipeline.domain.invariants import certificate_violations

ENERGY = st.integers(0, 60)
INTERVALS = st.fixed_dictionaries(
    {"generation": ENERGY, "load": ENERGY, "charge": st.integers(0, 30), "discharge": st.integers(0, 30)}
)
METERS = ("M1", "M2", "M3")


@st.composite
def campuses(draw):
    """Energy of three meters for up to six intervals, quality flags, and trades of at most what is over."""
    count = draw(st.integers(1, 6))
    meters = {meter: draw(st.lists(INTERVALS, min_size=count, max_size=count)) for meter in METERS}
    energy = series(meters)
    flags = draw(st.lists(st.sampled_from([1, 1, 1, 9]), min_size=len(energy), max_size=len(energy)))
    trades = []
    for number in range(count):
        for seller in METERS:
            row = meters[seller][number]
            left = row["generation"] + row["discharge"] - row["load"] - row["charge"]
            for buyer in METERS:
                sold = draw(st.integers(0, max(left, 0)))
                if buyer != seller and sold:
                    kind = draw(st.sampled_from(["pool", "agreement"]))
                    trades.append((number, seller, buyer, sold, draw(st.integers(0, sold // 4)), kind))
                    left -= sold
    return energy.with_columns(pl.Series("quality_flags", flags, dtype=pl.Int32)), trade_rows(trades), count


def tables(registry: Registry):
    return registry.bundles, registry.events, registry.storage, registry.holdings


@settings(max_examples=15)
@given(campuses(), st.data())
def test_any_window_and_order_makes_the_same_and_no_invariant_is_broken(campus, data):
    energy, trades, count = campus
    whole = Registry()
    whole.run(energy, range(count), trades)
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, count), max_size=3)) | {count})]
    parts = Registry()
    for first, last in itertools.pairwise(cuts):
        for _ in range(2):
            # the first time its settlement was refused: the next run makes it again
            parts.run(energy.reverse(), range(first, last), trades.reverse(), settle=False)
        parts.states |= {(n, 1): "settled" for n in range(first, last)}
    for one, other in zip(tables(whole), tables(parts), strict=True):
        assert one.equals(other)
    found = certificate_violations(
        whole.bundles, energy, events=whole.events, holdings=whole.holdings, storage=whole.storage, trades=trades
    )
    assert found.is_empty(), found.to_dicts()


@settings(max_examples=12)
@given(campuses(), st.data())
def test_every_certificate_is_in_one_state_at_any_moment(campus, data):
    energy, trades, count = campus
    registry = Registry()
    registry.run(energy, range(count), trades)
    if registry.bundles.is_empty():
        return
    bundle = data.draw(st.sampled_from(sorted(registry.bundles["bundle_id"])))
    own = in_order(registry.events.filter(bundle_id=bundle))
    row = registry.bundles.filter(bundle_id=bundle)
    states = ["pending", "active", "locked", "claimed", "cancelled", "retired"]
    for length in range(1, len(own) + 1):
        held = fold(own[:length], row)
        assert held["energy_wh"].sum() == row["energy_wh"][0]
        assert held["energy_wh"].min() > 0
        assert set(held["state"]) <= set(states)
        assert held["first_wh"].to_list() == [row["first_wh"][0], *(i + 1 for i in held["last_wh"].to_list()[:-1])]
    assert fold(own.reverse(), row).equals(held)


@settings(max_examples=12)
@given(campuses())
def test_stores_give_no_more_certificates_than_efficiency_lets_through(campus):
    energy, trades, count = campus
    registry = Registry()
    registry.run(energy, range(count), trades)
    cancelled = registry.events.filter(kind="cancelled")["energy_wh"].sum()
    released = registry.bundles.filter(origin="storage_discharge")["energy_wh"].sum()
    assert released * 5 <= cancelled * 4
    locked = registry.holdings.filter(state="locked").group_by("meter_id").agg(pl.col("energy_wh").sum())
    last = registry.storage.filter(pl.col("interval_start") == START + (count - 1) * STEP)
    green = last.filter(pl.col("green_wh") > 0).select("meter_id", energy_wh="green_wh")
    assert locked.sort("meter_id").equals(green.sort("meter_id"))
