"""What becomes of certificates when the energy of a settled interval is another now."""

from __future__ import annotations

import polars as pl
import pytest
from certificate_registry import Registry, energy_rows, series, trade_rows

from gridtokenx_pipeline.domain.certificates import fold
from gridtokenx_pipeline.domain.invariants import certificate_violations


def meter(number: int, before: int, wh: int, load: int = 0, **columns):
    return ("M1", number, {"generation": (before, wh), "load": (0, load)}, columns)


def settled(*rows, trades=None) -> Registry:
    registry = Registry()
    registry.run(energy_rows(rows), range(len(rows)), trades)
    return registry


def check(registry: Registry, energy: pl.DataFrame) -> None:
    found = certificate_violations(
        registry.bundles, energy, events=registry.events, holdings=registry.holdings, storage=registry.storage
    )
    assert found.is_empty(), found.to_dicts()


def test_what_was_pending_is_issued_with_the_energy_and_ids_of_now():
    registry = settled(meter(0, 1000, 60, 10, quality_flags=9))
    (pending,) = registry.bundles.to_dicts()
    assert (pending["state"], pending["version"]) == ("pending", 1)
    assert registry.sums("state") == {"pending": 60}
    now = energy_rows([meter(0, 998, 63, 10)])
    registry.run(now, range(1), trade_rows([(0, "M1", "M2", 40, 4, "pool")]), version=2)
    (issued,) = registry.bundles.to_dicts()
    assert issued["bundle_id"] == pending["bundle_id"]
    assert (issued["state"], issued["version"], issued["energy_wh"], issued["first_wh"]) == ("issued", 2, 63, 998)
    events = registry.events.sort("number").select("number", "kind", "energy_wh", "version").rows()
    expected = [("held", 60, 1), ("issued", 63, 2), ("claimed", 10, 2), ("transferred", 36, 2), ("retired", 4, 2)]
    assert events == [(number, *event) for number, event in enumerate(expected, 1)]
    assert registry.sums("owner", "state") == {
        ("M1", "claimed"): 10,
        ("M2", "active"): 36,
        ("M1", "retired"): 4,
        ("M1", "active"): 13,
    }
    check(registry, now)


def test_what_is_pending_still_is_held_as_it_is_now():
    registry = settled(meter(0, 1000, 60, quality_flags=9))
    registry.run(energy_rows([meter(0, 1000, 61, quality_flags=9)]), range(1), version=2)
    assert registry.bundles.select("state", "energy_wh", "version").rows() == [("pending", 61, 2)]
    again = registry.run(energy_rows([meter(0, 1000, 61, quality_flags=9)]), range(1), version=3)
    assert again.events.is_empty()
    registry.run(energy_rows([meter(0, 1000, 0)]), range(1), version=4)
    assert registry.sums("state") == {"withdrawn": 61}


def test_a_correction_that_vanishes_leaves_what_was_settled():
    registry = settled(meter(0, 1000, 60, quality_flags=9))
    before = registry.bundles, registry.events
    registry.run(energy_rows([meter(0, 1000, 60)]), range(1), version=2, settle=False)
    assert registry.bundles["state"].to_list() == ["issued"]
    del registry.states[0, 2]
    made = registry.run(energy_rows([meter(0, 1000, 60, quality_flags=9)]), range(1), version=None)
    assert made.bundles.equals(before[0])
    assert registry.events.equals(before[1])


@pytest.mark.parametrize("numbers", [range(2), range(1, 2)])
def test_a_first_bundle_with_ids_that_were_issued_before_waits(numbers):
    registry = settled(meter(0, 0, 60))
    registry.states[1, 1] = "closed"
    registry.run(energy_rows([meter(0, 0, 50), meter(1, 50, 30)]), numbers, version=None)
    assert registry.bundles.sort("interval_start").select("state", "energy_wh").rows() == [("issued", 60), ("pending", 30)]
    assert registry.happened("held") == [(30, "M1", "id_overlap")]


def test_generation_that_had_no_bundle_gets_one_in_the_corrections_version():
    registry = settled(meter(0, 0, 0), meter(1, 0, 5))
    now = energy_rows([meter(0, 0, 0), ("M2", 0, {"generation": (7, 30)}, {})])
    registry.run(now, range(1), version=2)
    assert registry.bundles.filter(meter_id="M2").select("energy_wh", "first_wh", "state", "version").rows() == [
        (30, 7, "issued", 2)
    ]


@pytest.mark.parametrize(("before", "wh", "first"), [(100, 65, 160), (95, 65, 95)])
def test_more_energy_is_a_bundle_besides(before, wh, first):
    registry = settled(meter(0, 100, 60, 20))
    original = registry.bundles
    now = energy_rows([meter(0, before, wh, 22)])
    registry.run(now, range(1), version=2)
    added = registry.bundles.join(original, on="bundle_id", how="anti").row(0, named=True)
    assert (added["energy_wh"], added["first_wh"], added["state"], added["version"]) == (5, first, "issued", 2)
    assert original.join(registry.bundles, on=original.columns, how="semi").equals(original)
    # of the load, 20 were claimed
    assert registry.sums("state") == {"claimed": 22, "active": 43}
    check(registry, now)
    registry.run(now, range(1), version=3)
    assert len(registry.bundles) == 2


def test_ids_of_another_bundle_are_not_issued_again():
    registry = settled(meter(0, 100, 60), meter(1, 160, 40))
    registry.run(energy_rows([meter(0, 100, 65)]), range(1), version=2)
    added = registry.bundles.filter(version=2).row(0, named=True)
    assert (added["state"], added["energy_wh"], added["first_wh"]) == ("pending", 5, 160)
    assert registry.happened("held") == [(5, "M1", "id_overlap")]
    # the next interval had less: when that is settled too, nothing of these ids is anybody's, but they were issued once
    registry.run(energy_rows([meter(0, 100, 60)]), range(1), version=3)
    assert registry.sums("state") == {"active": 100, "withdrawn": 5}


def test_less_energy_is_withdrawn_from_the_top_of_what_the_producer_has():
    registry = settled(meter(0, 0, 60, 20), trades=trade_rows([(0, "M1", "M2", 10, 0, "pool")]))
    now = energy_rows([meter(0, 0, 55, 20)])
    registry.run(now, range(1), trade_rows([(0, "M1", "M2", 10, 0, "pool")]), version=2)
    withdrawn = registry.events.filter(kind="withdrawn").row(0, named=True)
    assert (withdrawn["energy_wh"], withdrawn["first_wh"], withdrawn["reason"], withdrawn["version"]) == (5, 55, "correction", 2)
    assert registry.sums("state") == {"claimed": 20, "active": 35, "withdrawn": 5}
    check(registry, now)


def test_what_is_sold_is_a_shortfall_that_the_next_issue_makes_up_for():
    trades = trade_rows([(0, "M1", "M2", 50, 0, "pool"), (1, "M1", "M2", 30, 0, "pool")])
    registry = settled(meter(0, 0, 60, 2), trades=trades)
    short = registry.bundles["bundle_id"][0]
    now = energy_rows([meter(0, 20, 40, 2)])
    registry.run(now, range(1), trades, version=2)
    # 8 unsold and 2 claimed are the producer's, 10 are not any more
    assert registry.happened("shortfall") == [(10, "M1", "correction")]
    assert registry.sums("state") == {"active": 50, "withdrawn": 10}
    check(registry, now)
    first = energy_rows([meter(1, 60, 4)])
    registry.run(first, range(1, 2), trades)
    assert registry.happened("withdrawn")[2:] == [(4, "M1", f"shortfall of {short}")]
    second = energy_rows([meter(2, 64, 30, 5)])
    registry.run(second, range(2, 3), trades)
    assert registry.happened("withdrawn")[3:] == [(6, "M1", f"shortfall of {short}")]
    last = registry.holdings.filter(pl.col("interval_start") == second["interval_start"][0])
    assert last.select("first_wh", "energy_wh", "state").rows() == [(64, 5, "claimed"), (69, 19, "active"), (88, 6, "withdrawn")]
    check(registry, pl.concat([now, first, second]))
    assert int(registry.holdings.filter(~pl.col("state").is_in(["withdrawn"]))["energy_wh"].sum()) == 40 + 4 + 30


def test_energy_that_is_withheld_now_changes_nothing_that_was_issued():
    registry = settled(meter(0, 0, 60, 20))
    before = registry.events
    registry.run(energy_rows([meter(0, 0, 50, 20, quality_flags=17)]), range(1), version=2)
    assert registry.events.equals(before)
    registry.run(energy_rows([("M1", 0, {"load": (0, 20)}, {"generation_milli_wh": None})]), range(1), version=3)
    assert registry.events.equals(before)


def test_a_correction_made_again_is_the_same():
    registry = settled(meter(0, 0, 60, 20), meter(1, 60, 0))
    now = energy_rows([meter(0, 0, 55, 20), meter(1, 55, 7)])
    registry.run(now, range(2), version=2, settle=False)
    first = registry.bundles, registry.events, registry.storage
    registry.run(now.reverse(), range(2), version=2)
    assert all(a.equals(b) for a, b in zip(first, (registry.bundles, registry.events, registry.storage), strict=True))


def test_stores_of_settled_intervals_keep_what_they_had():
    registry = Registry()
    energy = series({"M1": [{"generation": 100, "charge": 80}, {"discharge": 40, "load": 40}]})
    registry.run(energy, range(2))
    storage = registry.storage
    registry.run(energy.with_columns(quality_flags=pl.lit(17, dtype=pl.Int32)), range(2), version=2)
    assert registry.storage.equals(storage)


def test_discharge_that_was_not_measured_well_waits():
    registry = Registry()
    energy = series({"M1": [{"generation": 100, "charge": 80}, {"discharge": 40, "load": 30}]})
    flags = pl.when(pl.col("discharge_milli_wh") > 0).then(9).otherwise(1).cast(pl.Int32)
    registry.run(energy.with_columns(quality_flags=flags), range(2))
    assert registry.sums("state") == {"active": 20, "locked": 30, "cancelled": 50, "pending": 40}
    registry.run(energy, range(2), version=2)
    assert registry.sums("state") == {"active": 30, "locked": 30, "cancelled": 50, "claimed": 30}
    assert fold(registry.events, registry.bundles).equals(registry.holdings)
