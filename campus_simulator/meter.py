"""A building's meter: registers that only grow, and the readings of a window."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from . import load as loads
from . import noise, solar
from .battery import Store
from .control import Plant
from .models import BLOCK_S, ENERGY_CHANNELS, KWH, Building, Site, Window
from .orders import Order, Orders

_Milliwatthours = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class MeterMemory:
    """What a meter keeps without power: `registers` (milli-Wh, by energy channel) and the battery's `store`."""

    registers: dict[str, int]
    store: Store

    @classmethod
    def first(cls, building: Building, seed: int) -> MeterMemory:
        """Return the memory of a meter that has been in service for some time: registers in balance, battery 20 to 80 % full."""
        years = 1.0 + 4.0 * noise.uniform(seed, f"service {building.meter_id}")
        generation = int(building.rated_kw * 1_500 * years * KWH)
        charge = int(building.battery_kwh * 150 * years * KWH)
        discharge = charge * 9 // 10
        export = generation // 4
        imported = int(building.baseline_kw * 2_000 * years * KWH)
        registers = {
            "generation": generation,
            "load": generation + discharge + imported - charge - export,
            "charge": charge,
            "discharge": discharge,
            "import": imported,
            "export": export,
        }
        fill = 0.2 + 0.6 * noise.uniform(seed, f"store {building.meter_id}")
        return cls(registers, Store(int(fill * building.battery_kwh * KWH)))

    def to_json(self) -> str:
        """Return the memory as JSON, always the same for the same memory."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> MeterMemory:
        """Read what `to_json` wrote; raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        data = json.loads(text)
        return cls({channel: int(data["registers"][channel]) for channel in ENERGY_CHANNELS}, Store(**data["store"]))


@dataclass(frozen=True, slots=True)
class Series:
    """What a meter measured in a window; arrays have one value for each interval.

    `energy[channel]`: milli-Wh of the interval (int64); `registers[channel]`: milli-Wh at the interval's end (int64);
    `stored`: milli-Wh in the battery at the end (int64); `state_of_charge`: hundredths of a percent at the end (int64);
    `memory`: after the window. In each interval generation + discharge + import = load + charge + export exactly, and import and
    export are not both positive.
    """

    meter_id: str
    window: Window
    energy: dict[str, _Milliwatthours]
    registers: dict[str, _Milliwatthours]
    stored: _Milliwatthours
    state_of_charge: NDArray[np.int64]
    memory: MeterMemory


@lru_cache(maxsize=4096)
def _block(building: Building, site: Site, start_s: int, interval_s: int, seed: int) -> tuple[_Milliwatthours, _Milliwatthours]:
    generation = solar.generation(building, site, start_s, interval_s, seed)
    load = loads.load(building, site, start_s, interval_s, seed)
    generation.setflags(write=False)
    load.setflags(write=False)
    return generation, load


def _sources(building: Building, site: Site, window: Window, seed: int) -> tuple[_Milliwatthours, _Milliwatthours]:
    """Generation and load of the window. Whole hours are computed and then cut, so that a value cannot depend on the cut."""
    first = window.start_s // BLOCK_S * BLOCK_S
    blocks = [_block(building, site, start, window.interval_s, seed) for start in range(first, window.end_s, BLOCK_S)]
    offset = (window.start_s - first) // window.interval_s
    span = slice(offset, offset + window.intervals)
    return np.concatenate([b[0] for b in blocks])[span], np.concatenate([b[1] for b in blocks])[span]


def simulate(
    building: Building, site: Site, window: Window, seed: int, memory: MeterMemory, orders: Orders | None = None
) -> Series:
    """Return what the meter measures in `window`, starting from `memory` and following `orders`.

    What the sky offers and the building asks for depends on (seed, building, site, interval) alone and the rest follows from
    `memory` and `orders`: a window gives the same series as its parts, one after the other.
    """
    available, demand = _sources(building, site, window, seed)
    plant = Plant.of(building, window.interval_s)
    battery = plant.battery
    store = memory.store
    generation, load = available.tolist(), demand.tolist()
    charge, discharge, stored, charged_pct = ([0] * window.intervals for _ in range(4))
    told = _told(orders, window)
    for i, (made, used) in enumerate(zip(generation, load, strict=True)):
        if (order := told.get(i)) is not None:
            store, generation[i], load[i], charge[i], discharge[i] = plant.follow(order, store, made, used)
        else:
            store, charge[i], discharge[i] = battery.step(store, made - used)
        stored[i] = store.stored
        charged_pct[i] = battery.state_of_charge(store.stored)
    columns = (generation, load, charge, discharge, stored, charged_pct)
    made_, used_, into, out, stored_after, state_of_charge = (np.array(v, dtype=np.int64) for v in columns)
    net = made_ + out - used_ - into
    energy = {
        "generation": made_,
        "load": used_,
        "charge": into,
        "discharge": out,
        "import": np.maximum(-net, 0),
        "export": np.maximum(net, 0),
    }
    registers = {channel: memory.registers[channel] + np.cumsum(values) for channel, values in energy.items()}
    after = replace(memory, registers={channel: int(values[-1]) for channel, values in registers.items()}, store=store)
    return Series(building.meter_id, window, energy, registers, stored_after, state_of_charge, after)


def _told(orders: Orders | None, window: Window) -> dict[int, Order]:
    """Orders by interval; those without any are left out."""
    told: dict[int, Order] = {}
    for start, end, order in orders.between(window.start_s, window.end_s).pieces if orders is not None else ():
        first, last = (-(-(t - window.start_s) // window.interval_s) for t in (start, end))
        told.update(dict.fromkeys(range(first, last), order))
    return told
