"""Buildings under orders: balance, limits, and what an event becomes."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campus_simulator.meter import MeterMemory, Series, simulate
from campus_simulator.models import KWH, Building, Site, Window
from campus_simulator.orders import NOTHING, Order, Orders, load_reduction, orders_of
from ieee2030_5.client.programs import FLOW, Found, Price
from ieee2030_5.client.watch import EventBook
from ieee2030_5.events import LOAD, PRICE, Candidate
from ieee2030_5.resources import (
    ActivePower,
    ApplianceLoadReduction,
    DateTimeInterval,
    DefaultDERControl,
    DERControl,
    DERControlBase,
    DutyCycle,
    EndDeviceControl,
    FlowReservationResponse,
    Offset,
    SetPoint,
    TargetReduction,
    TimeTariffInterval,
)

SITE = Site(37.4275, -122.1697, 30, "America/Los_Angeles")
NOON = Window(dt.datetime(2026, 6, 21, 20, tzinfo=dt.UTC), 240)
BUILDING = Building("METER_1", "Test Hall", "academic", 50, 30, 40)
BARE = Building("METER_2", "Test Hall", "academic", 50, 0, 40)


def run(order: Order | Orders | None, building: Building = BUILDING, window: Window = NOON) -> Series:
    told = Orders(((NOON.start_s, NOON.end_s, order),)) if isinstance(order, Order) else order
    return simulate(building, SITE, window, 42, MeterMemory.first(building, 42), told)


def assert_balanced(series: Series) -> None:
    e = series.energy
    assert np.array_equal(e["generation"] + e["discharge"] + e["import"], e["load"] + e["charge"] + e["export"])
    assert not (e["import"] * e["export"]).any()
    assert not (e["charge"] * e["discharge"]).any()
    assert all((values >= 0).all() for values in e.values())


ORDERS = st.builds(
    Order,
    connected=st.booleans(),
    max_output=st.none() | st.integers(0, 12_000),
    battery=st.none() | st.integers(-10_000, 10_000),
    charge_w=st.none() | st.integers(0, 20_000),
    price=st.sampled_from([-1, 0, 1]),
    load_less=st.integers(-5_000, 10_000),
    load_less_w=st.integers(-10_000, 50_000),
)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60), ORDERS), max_size=4),
    st.lists(st.integers(1, 239), max_size=3, unique=True),
    st.sampled_from([BUILDING, BARE]),
)
def test_whatever_is_ordered_energy_balances_and_cuts_change_nothing(
    pieces: list[tuple[int, int, Order]], cuts: list[int], building: Building
) -> None:
    told, at = Orders(), NOON.start_s
    for gap, length, order in pieces:
        told = told.then(Orders(((at + gap * 15, at + (gap + length) * 15, order),)))
        at += (gap + length) * 15
    assert Orders.from_json(told.to_json()) == told
    whole, free = run(told, building), run(None, building)
    assert_balanced(whole)
    rated = int(building.rated_kw * KWH * 15 // 3600)
    for i in range(NOON.intervals):
        order = told.at(NOON.start_s + 15 * i)
        net = int(whole.energy["generation"][i] + whole.energy["discharge"][i] - whole.energy["charge"][i])
        assert whole.energy["generation"][i] <= free.energy["generation"][i]
        if not order.connected:
            assert net == 0
        elif order.max_output is not None:
            assert net <= rated * order.max_output // 10_000
        elif order == NOTHING:
            assert whole.energy["generation"][i] == free.energy["generation"][i]
            assert whole.energy["load"][i] == free.energy["load"][i]
        if order.load_less >= 0 and order.load_less_w >= 0:
            assert free.energy["load"][i] * 70 // 100 <= whole.energy["load"][i] <= free.energy["load"][i]
    memory = MeterMemory.first(building, 42)
    for begin, end in pairwise([0, *sorted(cuts), NOON.intervals]):
        window = Window(NOON.start + dt.timedelta(seconds=15 * begin), end - begin)
        part = simulate(building, SITE, window, 42, memory, told)
        assert np.array_equal(part.energy["import"], whole.energy["import"][begin:end])
        memory = part.memory
    assert memory == whole.memory


def test_no_orders_is_what_it_was() -> None:
    free = run(None)
    assert run(Orders()).memory == run(NOTHING).memory == free.memory
    late = run(Orders(((NOON.end_s, NOON.end_s + 900, Order(connected=False)),)))
    assert late.memory == free.memory


def test_the_battery_does_as_told() -> None:
    half = 15 * KWH * 15 // 3600 // 2
    charged = run(Order(battery=-5_000)).energy
    assert set(charged["charge"][:40].tolist()) == {half}
    assert charged["discharge"].sum() == 0
    given_ = run(Order(battery=10_000)).energy["discharge"]
    assert given_[0] == 15 * KWH * 15 // 3600
    assert given_[-1] == 0, "the reserve stays"
    assert set(run(Order(charge_w=6_000)).energy["charge"][:20].tolist()) == {25_000}


def candidate(event: object, *targets: str) -> Candidate:
    event.mrid = event.mrid or f"{id(event):032X}"
    event.creation_time = 0
    event.interval = event.interval or DateTimeInterval(start=NOON.start_s + 100, duration=600)
    return Candidate(event, "/p", 1, frozenset(targets))


def ordered(found: Found, building: Building = BUILDING, seen: int = 0, **options: object) -> Orders:
    book = EventBook("AB" * 20)
    book.update(found, seen)
    return orders_of(book, building, NOON.start_s, NOON.end_s, 15, **options)


BEGIN, END = NOON.start_s + 105, NOON.start_s + 705
"""The boundaries of intervals after the start and the end of `candidate`'s interval."""


def test_controls_become_orders_at_interval_boundaries() -> None:
    base = DERControlBase(op_mod_max_lim_w=5_000, op_mod_fixed_w=-2_500)
    found = Found([candidate(DERControl(der_control_base=base), "op_mod_max_lim_w", "op_mod_fixed_w")])
    assert ordered(found).pieces == ((BEGIN, END, Order(max_output=5_000, battery=-2_500)),)
    assert ordered(found, BARE).pieces == ((BEGIN, END, Order(max_output=0)),), "without a battery there is nothing to charge"
    off = Found([candidate(DERControl(der_control_base=DERControlBase(op_mod_energize=False)), "op_mod_energize")])
    assert ordered(off).pieces == ((BEGIN, END, Order(connected=False)),)
    granted = FlowReservationResponse(power_available=ActivePower(multiplier=3, value=6))
    assert ordered(Found([candidate(granted, FLOW)])).pieces == ((BEGIN, END, Order(charge_w=6_000)),)


def test_a_meter_obeys_only_what_it_knows() -> None:
    found = Found([candidate(DERControl(der_control_base=DERControlBase(op_mod_connect=False)), "op_mod_connect")])
    known = NOON.start_s + 301
    assert ordered(found, seen=known, as_known=True).pieces == ((NOON.start_s + 315, END, Order(connected=False)),)
    assert ordered(found, seen=known).pieces[0][0] == BEGIN


def test_the_default_holds_while_nothing_else_does() -> None:
    default = DefaultDERControl(der_control_base=DERControlBase(op_mod_max_lim_w=9_000))
    limited = candidate(DERControl(der_control_base=DERControlBase(op_mod_max_lim_w=1_000)), "op_mod_max_lim_w")
    assert [(s - NOON.start_s, o.max_output) for s, _, o in ordered(Found([limited], [(1, default)])).pieces] == [
        (0, 9_000),
        (105, 1_000),
        (705, 9_000),
    ]


def test_cheap_and_dear_are_told_by_the_mean() -> None:
    periods = [(100, -6), (100, -6), (98, -6), (4, -5)]
    found, prices = [], []
    for n, (price, multiplier) in enumerate(periods):
        start = NOON.start_s + n * 900
        event = TimeTariffInterval(mrid=f"{n:032X}", interval=DateTimeInterval(start=start, duration=900))
        found.append(candidate(event, PRICE))
        prices.append(Price(event.mrid, start, start + 900, price, multiplier))
    told = ordered(Found(found, prices=prices))
    assert [told.at(NOON.start_s + n * 900).price for n in range(4)] == [1, 1, 1, -1]
    assert ordered(Found(found[:3], prices=prices[:3])).pieces == (), "a twentieth makes no difference"


@pytest.mark.parametrize(
    ("fields", "share", "power"),
    [
        ({"duty_cycle": DutyCycle(normal_value=80)}, 2_000, 0),
        ({"set_point": SetPoint(cooling_setpoint=2_600)}, 1_200, 0),
        ({"set_point": SetPoint(heating_setpoint=1_850)}, 900, 0),
        ({"offset": Offset(cooling_offset=15)}, 900, 0),
        ({"offset": Offset(load_adjustment_percentage_offset=700)}, 700, 0),
        ({"offset": Offset(load_adjustment_percentage_offset=700), "load_shift_forward": True}, -700, 0),
        ({"appliance_load_reduction": ApplianceLoadReduction(type=1)}, 3_000, 0),
        ({"target_reduction": TargetReduction(type=1, value=4)}, 0, 4_000),
        ({"target_reduction": TargetReduction(type=2, value=750)}, 0, 750),
        ({"target_reduction": TargetReduction(type=0, value=2)}, 0, 4_000),
        ({"target_reduction": TargetReduction(type=7, value=2)}, 0, 0),
    ],
)
def test_what_a_load_control_asks(fields: dict, share: int, power: int) -> None:
    event = EndDeviceControl(interval=DateTimeInterval(start=0, duration=1_800), **fields)
    assert load_reduction(event) == (share, power)
    event.interval = None
    event.mrid = "A" * 32
    pieces = ordered(Found([candidate(event, LOAD)])).pieces
    assert bool(pieces) == bool(share or power)
