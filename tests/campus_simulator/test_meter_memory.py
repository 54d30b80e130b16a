from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from campus_simulator.device import interval_readings
from campus_simulator.memory import Entry, MemoryConflict, MeterStore, fingerprint
from campus_simulator.meter import MeterMemory, Series, simulate
from campus_simulator.models import Building, Site, Window
from ieee2030_5 import xml

NOON = dt.datetime(2026, 6, 21, 20, tzinfo=dt.UTC)
BUILDING = Building("METER_1", "Test Hall", "academic", 50, 30, 40)


def at(minutes: float, intervals: int) -> Window:
    return Window(NOON + dt.timedelta(minutes=minutes), intervals)


def measure(directory: Path, site: Site, window: Window, seed: int = 42, building: Building = BUILDING) -> Series:
    store = MeterStore(directory)
    before = store.recall(building, site, window, seed)
    series = simulate(building, site, window, seed, before)
    print_ = fingerprint(building, site, window.interval_s, seed)
    store.record([Entry(building, window.start_s, window.end_s, print_, before, series.memory)])
    return series


def documents(series: Series) -> list[bytes]:
    return [xml.encode(document) for document in interval_readings(series, "AB" * 20)]


def test_a_repeated_window_is_byte_identical_even_after_later_ones(tmp_path: Path, site: Site) -> None:
    first = documents(measure(tmp_path, site, at(0, 40)))
    second = documents(measure(tmp_path, site, at(10, 40)))
    assert documents(measure(tmp_path, site, at(0, 40))) == first
    assert documents(measure(tmp_path, site, at(10, 40))) == second
    assert documents(measure(tmp_path, site, at(0, 12))) == first[:12]
    assert documents(measure(tmp_path, site, at(0, 80))) == first + second


def test_registers_go_on_after_a_gap(tmp_path: Path, site: Site) -> None:
    first = measure(tmp_path, site, at(0, 40))
    later = measure(tmp_path, site, at(24 * 60, 40))
    for channel, values in later.registers.items():
        assert values[0] - later.energy[channel][0] == first.registers[channel][-1]


@pytest.mark.parametrize(("minutes", "intervals"), [(5, 40), (-5, 40), (-60, 4), (9.75, 1)])
def test_overlaps_and_the_past_are_refused(tmp_path: Path, site: Site, minutes: float, intervals: int) -> None:
    measure(tmp_path, site, at(0, 40))
    with pytest.raises(MemoryConflict, match=r"METER_1.*2026-06-21 20:10:00 UTC or later"):
        measure(tmp_path, site, at(minutes, intervals))
    assert len(MeterStore(tmp_path).history("METER_1")) == 1


def test_a_window_may_not_fill_a_gap_that_registers_have_skipped(tmp_path: Path, site: Site) -> None:
    measure(tmp_path, site, at(0, 40))
    measure(tmp_path, site, at(60, 40))
    with pytest.raises(MemoryConflict, match="skipped"):
        measure(tmp_path, site, at(0, 80))
    with pytest.raises(MemoryConflict, match="skipped"):
        measure(tmp_path, site, at(0, 400))
    measure(tmp_path, site, at(60, 80))


def test_another_seed_or_building_cannot_rewrite_a_window(tmp_path: Path, site: Site) -> None:
    measure(tmp_path, site, at(0, 40))
    with pytest.raises(MemoryConflict, match="another seed"):
        measure(tmp_path, site, at(0, 40), seed=43)
    with pytest.raises(MemoryConflict, match="building"):
        measure(tmp_path, site, at(0, 40), building=Building("METER_1", "Test Hall", "academic", 60, 30, 40))
    grown = measure(tmp_path, site, at(10, 40), building=Building("METER_1", "Test Hall", "academic", 60, 1, 40))
    assert (grown.state_of_charge <= 10_000).all()
    assert not grown.energy["charge"].any()


def test_meters_are_remembered_apart(tmp_path: Path, site: Site) -> None:
    measure(tmp_path, site, at(0, 40))
    other = Building("METER_2", "Other Hall", "academic", 50, 30, 40)
    series = measure(tmp_path, site, at(-60, 4), building=other)
    assert np.array_equal(
        series.registers["load"][:1] - series.energy["load"][:1], [MeterMemory.first(other, 42).registers["load"]]
    )
