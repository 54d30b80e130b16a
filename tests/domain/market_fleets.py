"""Fleets of meters for tests of the market: rows of positions, tariffs, agreements, offers and networks, drawn or made."""

from __future__ import annotations

import datetime as dt
import hashlib

import numpy as np
import polars as pl
from hypothesis import strategies as st

from gridtokenx_pipeline.domain.market import POSITIONS, Agreement, Link, Network, Offer, Tariff

START = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
STEP = dt.timedelta(minutes=5)
LATER = START + dt.timedelta(hours=2)
TARIFF = Tariff(80_000, 280_000)
ZONE = "stanford"


def name(number):
    return f"M{number:04}"


def position_rows(nets, *, zone=ZONE, start=START, reasons=None, flags=None):
    """Rows of positions with the given nets, made of generation and load alone."""
    rows = []
    for number, net in enumerate(nets):
        reason = reasons[number] if reasons else None
        known = reason != "no_register"
        rows.append(
            {
                "zone": zone,
                "meter_id": name(number),
                "interval_start": start,
                "duration_s": 300,
                "generation_wh": max(net, 0) + 7 if known else None,
                "load_wh": max(-net, 0) + 7,
                "charge_wh": 0,
                "discharge_wh": 0,
                "import_wh": None,
                "export_wh": None,
                "net_wh": net if known else None,
                "complete": reason is None,
                "reason": reason,
                "quality_flags": flags[number] if flags else 1,
            }
        )
    return rows


def frame(rows):
    return pl.DataFrame(rows, schema=POSITIONS, orient="row")


def fingerprint(cleared):
    frames = (cleared.intervals, cleared.trades, cleared.grid_settlements)
    return hashlib.sha256("".join(f.write_csv() for f in frames).encode()).hexdigest()


@st.composite
def tariffs(draw):
    retail = draw(st.one_of(st.integers(0, 10), st.integers(0, 10**9), st.sampled_from([280_000, 2**31 - 1, 2**31, 10**12])))
    feed_in = draw(st.one_of(st.just(0), st.integers(0, retail)))
    return Tariff(feed_in, retail, draw(st.integers(0, retail - feed_in)))


@st.composite
def nets(draw, most=2000):
    """Nets of 0 to `most` meters: few of any size, or many by a rule."""
    if draw(st.booleans()):
        volumes = st.one_of(st.sampled_from([-40, 0, 1, 40]), st.integers(-10_000_000, 10_000_000))
        return draw(st.lists(volumes, max_size=12))
    size = draw(st.integers(0, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rule = draw(st.sampled_from(["any", "equal", "sparse", "one seller", "one buyer", "small", "huge"]))
    made = {
        "any": rng.integers(-500, 501, size),
        "equal": rng.choice([-40, 40], size),
        "sparse": rng.integers(-500, 501, size) * (rng.random(size) < 0.1),
        "one seller": np.where(np.arange(size) == size // 2, 5 * size, -rng.integers(0, 50, size)),
        "one buyer": np.where(np.arange(size) == 0, -7 * size, rng.integers(0, 50, size)),
        "small": rng.integers(-2, 3, size),
        "huge": rng.integers(-(2**31), 2**31, size),
    }[rule]
    return made.tolist()


@st.composite
def agreements(draw, meters, tariff, most=8):
    """Agreements within the tariff, none between two meters twice."""
    if meters < 2:
        return []
    number = st.integers(0, meters - 1)
    pairs = draw(st.lists(st.tuples(number, number).filter(lambda p: p[0] != p[1]), max_size=most, unique=True))
    price = st.integers(tariff.feed_in_micro_per_kwh, tariff.retail_micro_per_kwh)
    limit = st.one_of(st.integers(0, 50), st.just(10**12))
    return [
        Agreement(ZONE, name(seller), name(buyer), draw(limit), draw(price), draw(st.integers(0, 2)), agreement_id=f"A{index}")
        for index, (seller, buyer) in enumerate(pairs)
    ]


@st.composite
def offers(draw, meters, tariff, most=12):
    """Offers of any price, some of one meter and side."""
    if not meters:
        return []
    number, side = st.integers(0, meters - 1), st.sampled_from(["sell", "buy"])
    edge = st.sampled_from([tariff.feed_in_micro_per_kwh, tariff.retail_micro_per_kwh])
    between = st.integers(tariff.feed_in_micro_per_kwh, tariff.retail_micro_per_kwh)
    price = st.one_of(edge, between, st.integers(-1, 2 * tariff.retail_micro_per_kwh + 1))
    limit = st.one_of(st.integers(0, 50), st.just(10**12))
    return [Offer(ZONE, name(draw(number)), draw(side), draw(limit), draw(price)) for _ in range(draw(st.integers(0, most)))]


@st.composite
def networks(draw, meters, tariff):
    """No network at all, or up to three grid zones with ways of any cost."""
    if not meters or draw(st.booleans()):
        return None
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    zones = {name(number): "abc"[which] for number, which in enumerate(rng.integers(0, 3, meters))}
    loss = st.sampled_from([0, 1, 30_000, 100_000, 999_999])
    wheeling = st.one_of(st.just(0), st.integers(0, tariff.retail_micro_per_kwh // 4))
    ways = draw(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), max_size=4, unique=True))
    return Network(zones, {way: Link(draw(loss), draw(wheeling)) for way in ways})
