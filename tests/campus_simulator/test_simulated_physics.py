from __future__ import annotations

import datetime as dt
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_simulator import noise
from campus_simulator.battery import EFFICIENCY, Battery, Store
from campus_simulator.meter import MeterMemory, Series, simulate
from campus_simulator.models import ENERGY_CHANNELS, KWH, Building, Site, Window

JUNE = dt.datetime(2026, 6, 21, 20, tzinfo=dt.UTC)
NOVEMBER = dt.datetime(2026, 11, 23, 20, tzinfo=dt.UTC)
BUILDING = Building("METER_1", "Test Hall", "academic", 50, 30, 40)
PLACES = {
    "stanford": Site(37.4275, -122.1697, 30, "America/Los_Angeles"),
    "sydney": Site(-33.87, 151.21, 20, "Australia/Sydney"),
    "kathmandu": Site(27.72, 85.32, 1400, "Asia/Kathmandu"),
}


def run(building: Building, site: Site, start: dt.datetime, intervals: int = 120, seed: int = 42, interval_s: int = 15) -> Series:
    return simulate(building, site, Window(start, intervals, interval_s), seed, MeterMemory.first(building, seed))


def assert_balanced(series: Series) -> None:
    energy = series.energy
    given_, taken = (
        sum(energy[c] for c in channels) for channels in (("generation", "discharge", "import"), ("load", "charge", "export"))
    )
    assert np.array_equal(given_, taken)
    assert not (energy["import"] * energy["export"]).any()
    assert not (energy["charge"] * energy["discharge"]).any()
    assert all((values >= 0).all() for values in energy.values())
    for channel in ENERGY_CHANNELS:
        assert np.array_equal(np.diff(series.registers[channel]), energy[channel][1:])


@pytest.mark.parametrize("place", PLACES)
def test_a_day_keeps_the_physical_bounds(place: str) -> None:
    series = run(BUILDING, PLACES[place], dt.datetime(2026, 3, 20, tzinfo=dt.UTC), 96, interval_s=900)
    assert_balanced(series)
    limit = BUILDING.rated_kw * KWH // 4
    assert series.energy["generation"].max() <= limit
    assert series.energy["generation"].sum() > 50 * KWH
    assert 30 <= (series.energy["generation"] == 0).sum() <= 62
    assert series.energy["charge"].max() <= 15 * KWH // 4
    assert ((series.state_of_charge >= 0) & (series.state_of_charge <= 10_000)).all()


def test_the_night_generates_nothing(site: Site, buildings: list[Building]) -> None:
    for building in buildings:
        series = run(building, site, dt.datetime(2026, 6, 21, 8, tzinfo=dt.UTC), 240)
        assert not series.energy["generation"].any()
        assert series.energy["load"].all()


def test_generation_never_exceeds_a_small_inverter_in_summer(site: Site) -> None:
    series = run(Building("METER_2", "Shed", "support", 1, 0, 1), site, JUNE - dt.timedelta(hours=4), 8 * 60, interval_s=60)
    assert series.energy["generation"].max() <= 1 * KWH // 60
    assert not series.energy["charge"].any()
    assert not series.state_of_charge.any()
    assert_balanced(series)


@pytest.mark.parametrize("start", [JUNE, NOVEMBER])
@pytest.mark.parametrize("weekend", [False, True])
def test_midday_has_sellers_and_buyers_in_every_market_interval(
    site: Site, buildings: list[Building], start: dt.datetime, weekend: bool
) -> None:
    start += dt.timedelta(days=(5 if weekend else 1) - start.weekday())
    for seed in range(12):
        fleet = [run(building, site, start, 120, seed) for building in buildings]
        net = np.array([(s.energy["export"] - s.energy["import"]).reshape(6, 20).sum(axis=1) for s in fleet])
        assert (net > 0).any(axis=0).all()
        assert (net < 0).any(axis=0).all()
        for series in fleet:
            assert_balanced(series)
        made = sum(int(s.energy["generation"].sum()) for s in fleet) / KWH
        # 1,120 kW of inverters for half an hour.
        assert 0.2 * 560 < made < 0.95 * 560


def test_june_outshines_november(site: Site, buildings: list[Building]) -> None:
    totals = [sum(int(run(b, site, start).energy["generation"].sum()) for b in buildings) for start in (JUNE, NOVEMBER)]
    assert totals[0] > totals[1]


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(1, 719), max_size=5, unique=True),
    offset=st.integers(0, 5759),
    seed=st.integers(0, 2**32),
    size=st.sampled_from([0, 3, 30]),
)
def test_any_split_of_a_window_gives_the_same_readings(cuts: list[int], offset: int, seed: int, size: int) -> None:
    building = Building("METER_3", "Test Hall", "residential", 50, size, 40)
    site = PLACES["stanford"]
    start = dt.datetime(2026, 6, 21, tzinfo=dt.UTC) + dt.timedelta(seconds=15 * offset)
    memory = MeterMemory.first(building, seed)
    whole = simulate(building, site, Window(start, 720), seed, memory)
    assert_balanced(whole)
    parts = []
    edges = [0, *sorted(cuts), 720]
    for begin, end in pairwise(edges):
        window = Window(start + dt.timedelta(seconds=15 * begin), end - begin)
        parts.append(simulate(building, site, window, seed, memory))
        memory = parts[-1].memory
    assert memory == whole.memory
    for channel in ENERGY_CHANNELS:
        assert np.array_equal(np.concatenate([p.energy[channel] for p in parts]), whole.energy[channel])
        assert np.array_equal(np.concatenate([p.registers[channel] for p in parts]), whole.registers[channel])
    assert np.array_equal(np.concatenate([p.state_of_charge for p in parts]), whole.state_of_charge)
    assert memory.registers == {channel: int(values[-1]) for channel, values in whole.registers.items()}


@settings(max_examples=100, deadline=None)
@given(
    surpluses=st.lists(st.integers(-400_000, 400_000), min_size=1, max_size=300),
    capacity=st.integers(0, 5_000_000),
    fill=st.integers(0, 100),
)
def test_the_battery_conserves_energy_to_the_last_milliwatthour(surpluses: list[int], capacity: int, fill: int) -> None:
    battery = Battery(capacity, capacity // 10, 120_000)
    first = store = Store(capacity * fill // 100, charge_carry=999_999, discharge_carry=EFFICIENCY - 1)
    charged = discharged = 0
    for surplus in surpluses:
        before = store
        store, charge, discharge = battery.step(store, surplus)
        assert 0 <= charge <= min(120_000, max(surplus, 0))
        assert 0 <= discharge <= min(120_000, max(-surplus, 0))
        assert 0 <= store.stored <= capacity
        assert store.stored >= min(battery.reserve, before.stored)
        assert 0 <= battery.state_of_charge(store.stored) <= 10_000
        charged, discharged = charged + charge, discharged + discharge
    gained = (charged * EFFICIENCY + first.charge_carry) // 10**6
    spent = (discharged * 10**6 + first.discharge_carry) // EFFICIENCY
    assert store.stored - first.stored == gained - spent


def test_a_battery_fills_to_the_brim_and_drains_to_its_reserve() -> None:
    battery = Battery(1_000_000, 100_000, 60_000)
    store = Store(500_000)
    for _ in range(40):
        store, _, _ = battery.step(store, 400_000)
    assert store.stored == 1_000_000
    for _ in range(40):
        store, _, _ = battery.step(store, -400_000)
    assert store.stored == 100_000


def test_seeds_and_meters_differ_and_repeat(site: Site) -> None:
    twin = Building("METER_4", "Test Hall", "academic", 50, 30, 40)
    one, again, other_seed, other_meter = (
        run(b, site, JUNE, 8, seed).energy["load"].tolist()
        for b, seed in ((BUILDING, 1), (BUILDING, 1), (BUILDING, 2), (twin, 1))
    )
    assert one == again
    assert one != other_seed
    assert one != other_meter


def test_noise_can_be_asked_for_any_moment() -> None:
    at = np.arange(1_800_000_000.0, 1_800_007_200.0, 7.5)
    whole = noise.smooth(7, "x", 300, at)
    assert np.abs(whole).max() <= 1.0
    assert whole.std() > 0.2
    for begin in (0, 1, 13, 500):
        assert np.array_equal(noise.smooth(7, "x", 300, at[begin : begin + 40]), whole[begin : begin + 40])


def test_first_registers_are_in_balance(buildings: list[Building]) -> None:
    for building in buildings:
        memory = MeterMemory.first(building, 42)
        r = memory.registers
        assert r["generation"] + r["discharge"] + r["import"] == r["load"] + r["charge"] + r["export"]
        assert all(value > 0 for value in r.values())
        assert 0.2 <= memory.store.stored / (building.battery_kwh * KWH) <= 0.8
        assert MeterMemory.from_json(memory.to_json()) == memory


@pytest.mark.parametrize(
    ("start", "intervals", "interval_s"),
    [
        (dt.datetime(2026, 6, 21), 4, 15),
        (dt.datetime(2026, 6, 21, 0, 0, 7, tzinfo=dt.UTC), 4, 15),
        (dt.datetime(2026, 6, 21, 0, 0, 0, 1, tzinfo=dt.UTC), 4, 15),
        (JUNE, 0, 15),
        (JUNE, 4, 7),
        (JUNE, 4, 0),
    ],
)
def test_bad_windows_are_refused(start: dt.datetime, intervals: int, interval_s: int) -> None:
    with pytest.raises(ValueError, match=r"zone|multiple|interval"):
        Window(start, intervals, interval_s)


def test_bad_buildings_are_refused() -> None:
    with pytest.raises(ValueError, match="building type"):
        Building("M", "Castle", "castle", 1, 1, 1)
    with pytest.raises(ValueError, match="positive"):
        Building("M", "Hall", "academic", 0, 1, 1)
