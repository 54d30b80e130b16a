"""Campuses on bad days: feeds with defects, the labels of the defects, and what the feeds' energy truly was."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass, field

import dirt_defects as d
import polars as pl
from dirt_feeds import SITE, Feed, replayed, simulated, table
from dirt_wire import landed

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain import validation, vee
from gridtokenx_pipeline.domain.aggregate import energy_15s
from gridtokenx_pipeline.domain.legacy.feeds import Feed as LegacyFeed
from gridtokenx_pipeline.domain.legacy.feeds import Feeds
from gridtokenx_pipeline.domain.legacy.parse import parse_landed
from gridtokenx_pipeline.domain.thresholds import Ratings, ratings_frame

FEEDER, ZONE = "PCC", "campus"
LEGACY = Feeds((LegacyFeed("readings", interval_s=15, stamp="start", storage="none"),))
_HISTORY = {
    "meter_id": pl.String,
    "interval_start": pl.Datetime("us", "UTC"),
    "generation_milli_wh": pl.Int64,
    "load_milli_wh": pl.Int64,
}
_SEEN = {"meter_id": pl.String, "last_seen_at": pl.Datetime("us", "UTC")}


@dataclass
class Scenario:
    """`truth`: energy by meter and channel of the feeds that defects do not touch, or only in ways that lose nothing."""

    start: dt.datetime
    hours: int
    feeds: list[Feed]
    labels: list[d.Label] = field(default_factory=list)
    truth: dict[str, dict[str, int]] = field(default_factory=dict)
    silent: tuple[str, ...] = ()
    history: list[tuple[str, dt.datetime, int, int]] = field(default_factory=list)
    last_seen: list[tuple[str, dt.datetime]] = field(default_factory=list)

    def result(self) -> Result:
        return Result(self)


class Result:
    """The line from messages to exceptions, run over a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        end = scenario.start + dt.timedelta(hours=scenario.hours)
        names = [*(feed.meter for feed in scenario.feeds), *scenario.silent]
        self.meters = ratings_frame(Ratings(n, "feeder" if n == FEEDER else "academic", *((2000, 0, 2000) if n == FEEDER else (50, 30, 40))) for n in names)  # fmt: skip
        self.messages = landed(d.sent(scenario.feeds))
        parsed = parse_landed(self.messages, LEGACY)
        self.validated = vee.validate(parsed, core.READING_TYPES.empty(), core.READINGS.empty(), self.meters, vee.Rules())
        self.evidence = validation.Evidence(
            readings=self.validated.readings,
            rejected=self.validated.rejected,
            edits=core.EDITS.empty(),
            meters=self.meters,
            history=pl.DataFrame(scenario.history, schema=_HISTORY, orient="row"),
            zone=ZONE,
            site=validation.Site(SITE.latitude, SITE.longitude, SITE.altitude_m, SITE.timezone),
            start=scenario.start,
            end=end,
            closed_before=end,
            watermark_s=60,
            last_seen=pl.DataFrame(scenario.last_seen, schema=_SEEN, orient="row"),
        )
        self.exceptions = validation.examine(self.evidence)

    def sums(self, meter: str) -> dict[str, int]:
        """Energy of each channel as it is aggregated."""
        energy = energy_15s(self.validated.readings.filter(pl.col("meter_id") == meter))
        return {channel: energy[f"{channel}_milli_wh"].sum() or 0 for channel in core.ENERGY_CHANNELS}


def simulated_day() -> Scenario:
    """Ten simulated meters from 10:00 to 14:00; what is wrong with each follows its number."""
    start = dt.datetime(2026, 1, 7, 18, tzinfo=dt.UTC)
    feeds = [simulated(f"S{n}", start, 4, seed=11) for n in range(10)]
    lossy, resent, snapped, rolled, swapped, dark, wrong, changed, clean, alone = feeds
    labels = d.flat(dark, 100, 30, "generation", 70_013) + d.dark(dark, 480, 160)
    truth = {feed.meter: feed.clean() for feed in (resent, snapped, rolled, swapped, dark, changed, clean, alone)}
    labels += d.gap(lossy, 100, 40) + d.gap(lossy, 230, 20) + d.truncated(lossy, [300, 500])
    labels += d.late(lossy, 600, 20, 7200) + d.late(lossy, 700, 20, 7 * 86_400) + d.out_of_order(lossy, 800, 100)
    labels += d.duplicate(resent, 50, 20) + d.conflict(resent, [200, 201, 400]) + d.drift(resent, 480, 240, 25)
    truth[resent.meter]["load"] += 3
    labels += d.off_by_a_second(snapped, 240, 60) + d.drift(snapped, 720, 240, -22)
    labels += d.rollover(rolled, 300) + d.swap(swapped, 500)
    labels += (
        d.wrong_interval_value(wrong, 200, 40) + d.wrong_channel(wrong, 600, 40, 20_000) + d.without(wrong, 800, 20, "charge")
    )
    labels += d.refused(wrong, [30, 31], "generation", 1000, "out_of_range") + d.refused(wrong, [50], "load", -1, "negative")
    d.other_unit(changed, 400)
    d.out_of_order(alone, 0, 900)
    return Scenario(start, 4, feeds, labels, truth)


def replayed_night() -> Scenario:
    """Three replayed meters and the feeder's, from midnight to 2:00."""
    start = dt.datetime(2026, 1, 7, 8, tzinfo=dt.UTC)
    feeds = [replayed(f"N{n}", table(start, 2, n, 0, load)) for n, load in ((1, 20_000), (2, 30_000), (3, 0))]
    first, second, third = feeds
    labels = d.moonshine(first, 60, 40, 5000) + d.tare(second, 100, 80)
    labels.append(d.Label("zero_load", third.meter, "load", int(start.timestamp()), int(start.timestamp()) + 7200))
    truth = {feed.meter: feed.clean() for feed in (first, third)}
    net = [sum(f.posts[i].values["import"][0] - f.posts[i].values["export"][0] for f in feeds) for i in range(480)]
    connection = pl.DataFrame(
        {"start": [post.start for post in first.posts], "import": [max(v, 0) * 11 // 10 for v in net], "export": 0}
    )
    feeder = replayed(FEEDER, connection)
    for post in feeder.posts:
        post.state = None
    labels.append(d.Label("feeder_imbalance", ZONE, "all", int(start.timestamp()) + 3600, int(start.timestamp()) + 7200))
    history = [(third.meter, start - dt.timedelta(minutes=5 * n), 0, 0) for n in range(1, 289)]
    return Scenario(start, 2, [*feeds, feeder], labels, truth, history=history)


def legacy_noon() -> Scenario:
    """Three meters of the legacy gateway, without registers, and one that is silent, from noon to 14:00."""
    start = dt.datetime(2026, 1, 7, 20, tzinfo=dt.UTC)
    feeds = [replayed(f"L{n}", table(start, 2, n, 70_000, 140_000, connection=False), legacy=True) for n in (1, 2, 3, 5)]
    first, second, third, clean = feeds
    labels = d.multiplied(first, 80, 20, "load", 4, "spike")
    truth = {feed.meter: feed.clean() for feed in (first, clean)}
    labels += d.too_often(second, 240, 120) + d.with_separators(third, [10, 11, 300])
    whole = (int(start.timestamp()), int(start.timestamp()) + 7200)
    labels += [d.Label(code, "L4", "all", *whole) for code in ("missing", "prolonged_estimation")]
    history = [
        (feed.meter, start + dt.timedelta(minutes=5 * slot) - dt.timedelta(days=day), 1_410_000, 2_810_000 + 1000 * day)
        for feed in feeds
        for day in (1, 2, 5, 6, 7, 8)
        for slot in range(24)
    ]
    last = [("L4", start - dt.timedelta(days=9))]
    return Scenario(start, 2, feeds, labels, truth, silent=("L4",), history=history, last_seen=last)


def spikes_of_all_sizes(seed: int) -> Scenario:
    """Twelve meters without registers whose load differs from like days by up to 10 %, and is 2.5 to 6 times as much twice."""
    start = dt.datetime(2026, 1, 7, 19, tzinfo=dt.UTC)
    chance = random.Random(seed)
    feeds, labels, history = [], [], []
    for n in range(12):
        feed = replayed(f"H{n:02}", table(start, 1, n, 0, chance.randint(55_000, 66_000), connection=False), legacy=True)
        for slot in chance.sample(range(12), 2):
            factor = chance.uniform(2.5, 6)
            for post in feed.posts[slot * 20 : slot * 20 + 20]:
                post.values["load"][0] = int((post.values["load"][0] or 0) * factor)
            at = feed.posts[slot * 20].start
            labels.append(d.Label("spike", feed.meter, "load", at, at + 300))
        feeds.append(feed)
        history += [
            (feed.meter, start + dt.timedelta(minutes=5 * slot) - dt.timedelta(days=day), 0, chance.randint(1_080_000, 1_330_000))
            for day in (1, 2, 5, 6, 7, 8)
            for slot in range(12)
        ]
    truth = {feed.meter: feed.clean() for feed in feeds}
    clean = replayed("H99", table(start, 1, 99, 0, 60_000, connection=False), legacy=True)
    return Scenario(start, 1, [*feeds, clean], labels, truth, history=history)


def clean_summer_day() -> Scenario:
    """Three simulated meters from midnight to midnight (UTC) of a June day: nothing is wrong."""
    start = dt.datetime(2026, 6, 17, tzinfo=dt.UTC)
    feeds = [simulated(f"C{n}", start, 24, seed=5 + n) for n in range(3)]
    return Scenario(start, 24, feeds, [], {feed.meter: feed.clean() for feed in feeds})
