"""Clean series as posts of meters: simulated ones, and replayed ones from a plain table of energies."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import polars as pl

from campus_simulator.meter import MeterMemory, simulate
from campus_simulator.models import Building, Site, Window
from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS

SITE = Site(37.4275, -122.1697, 30, "America/Los_Angeles")
FIRST_REGISTER = 5_000_000_000


@dataclass
class Post:
    """What a meter says of one interval, and when it is received (epoch s). Energies and registers by channel (milli-Wh).

    `values` of a channel: [energy, register], either of which may be None. `starts` is what the meter's clock says.
    """

    meter: str
    start: int
    length: int
    received: float
    values: dict[str, list[int | None]]
    state: int | None = None
    device: int = 0
    multiplier: int = -3
    cut: bool = False
    shift: int = 0
    separators: bool = False


@dataclass
class Feed:
    """The posts of a meter, in order, and what it sends them as."""

    meter: str
    posts: list[Post]
    legacy: bool = False
    extra: list[Post] = field(default_factory=list)

    def settle(self) -> None:
        """Make what is measured consistent again after energies were changed: the connection, and the registers."""
        totals = dict.fromkeys(ENERGY_CHANNELS, FIRST_REGISTER)
        for post in self.posts:
            energy = {channel: value[0] or 0 for channel, value in post.values.items()}
            if {"import", "load"} <= set(energy):
                net = energy["generation"] + energy["discharge"] - energy["load"] - energy["charge"]
                post.values["import"][0], post.values["export"][0] = max(-net, 0), max(net, 0)
            for channel, value in post.values.items():
                # A register never counts backwards, so it does not know of an inverter's own use.
                totals[channel] += max(value[0] or 0, 0)
                value[1] = None if self.legacy else totals[channel]

    def clean(self) -> dict[str, int]:
        """Energy of each channel."""
        return {c: sum(post.values[c][0] or 0 for post in self.posts if c in post.values) for c in ENERGY_CHANNELS}


def simulated(meter: str, start: dt.datetime, hours: int, seed: int) -> Feed:
    """A meter of the simulated campus."""
    building = Building(meter, "Building", "academic", 50, 30, 40)
    series = simulate(building, SITE, Window(start, hours * 240), seed, MeterMemory.first(building, seed))
    energy = {channel: values.tolist() for channel, values in series.energy.items()}
    table = pl.DataFrame({"start": [series.window.start_s + 15 * i for i in range(hours * 240)], **energy})
    return replayed(meter, table)


def replayed(meter: str, table: pl.DataFrame, length: int = 15, legacy: bool = False) -> Feed:
    """A meter that measured `table`: start (epoch s) and the milli-Wh of its channels, one row for each interval."""
    posts = []
    for row in table.iter_rows(named=True):
        start = row.pop("start")
        values = {channel: [energy, None] for channel, energy in row.items()}
        posts.append(Post(meter, start, length, start + length + 1.0, values, 5000))
    feed = Feed(meter, posts, legacy)
    feed.settle()
    return feed


def table(start: dt.datetime, hours: int, seed: int, generation: int, load: int, connection: bool = True) -> pl.DataFrame:
    """A plain table that wobbles around `generation` and `load` (milli-Wh in 15 s), without a battery."""
    n, first = hours * 240, int(start.timestamp())
    steps = range(n)

    def around(base: int, salt: int) -> list[int]:
        return [base + (i * 7919 + (seed + salt) * 104_729) % 1009 if base else 0 for i in steps]

    columns = {"start": [first + 15 * i for i in steps], "generation": around(generation, 1), "load": around(load, 2)}
    columns |= {"charge": [0] * n, "discharge": [0] * n}
    return pl.DataFrame(columns | ({"import": [0] * n, "export": [0] * n} if connection else {}))
