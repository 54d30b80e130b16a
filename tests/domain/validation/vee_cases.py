"""Evidence of small hours, and what examining it finds."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parent.parent))

from series import MIDNIGHT, at, edits, meters, reading, readings, run

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.thresholds import Ratings, Thresholds, ratings_frame
from gridtokenx_pipeline.domain.validation import Evidence, Site, examine, meter_hours

# 12:00 of a Wednesday on the campus.
NOON = 20 * 3600
HOUR = 3600
SITE = Site(37.4275, -122.1697, 30, "America/Los_Angeles")
NO_HISTORY = pl.DataFrame(
    schema={
        "zone": pl.String,
        "meter_id": pl.String,
        "interval_start": pl.Datetime("us", "UTC"),
        "generation_milli_wh": pl.Int64,
        "load_milli_wh": pl.Int64,
    }
)

__all__ = ["HOUR", "MIDNIGHT", "NOON", "Ratings", "Thresholds", "at", "codes", "edits", "evidence", "found", "history", "hours", "meter", "meters", "ratings_frame", "reading", "readings", "rejected", "run", "wobbling"]  # fmt: skip


def evidence(
    *rows,
    start=NOON,
    end=None,
    ratings=None,
    closed=None,
    edited=(),
    refused=(),
    history=NO_HISTORY,
    last_seen=None,
    watermark_s=60,
):
    """Evidence of the hours [start, end), one by default, seconds after midnight; all of it has closed by default."""
    end = start + HOUR if end is None else end
    return Evidence(
        readings=rows[0] if len(rows) == 1 and isinstance(rows[0], pl.DataFrame) else readings(*rows),
        rejected=rejected(*refused),
        edits=edits(*edited),
        meters=meters() if ratings is None else ratings,
        history=history,
        zone="stanford",
        site=SITE,
        start=at(start),
        end=at(end),
        closed_before=at(end if closed is None else closed),
        watermark_s=watermark_s,
        last_seen=last_seen,
    )


def found(evidence_, *only):
    """(meter, channel, start in seconds after midnight, length) of the exceptions of the codes `only`, by code where several."""
    frame = examine(evidence_).filter(pl.col("code").is_in(only))
    rows = [
        (row["meter_id"], row["channel"], int((row["interval_start"] - MIDNIGHT) / dt.timedelta(seconds=1)), row["duration_s"])
        for row in frame.iter_rows(named=True)
    ]
    return rows if len(only) == 1 else list(zip(frame["code"].to_list(), rows, strict=True))


def codes(evidence_):
    return sorted(set(examine(evidence_)["code"]))


def hours(evidence_, estimates=None):
    return meter_hours(evidence_, examine(evidence_), core.ESTIMATES.empty() if estimates is None else estimates).to_dicts()


def wobbling(n, base=20_000, seed=7):
    """`n` values around `base`, no two neighbours equal."""
    return [base + (i * 7919 + seed * 104_729) % 1009 for i in range(n)]


def meter(name="M1", start=NOON, n=240, duration=15, scale=1, without=(), **channels):
    """Readings of all six channels that balance; `channels` replace a channel's energies by others."""
    generation = [v * scale for v in wobbling(n, seed=sum(map(ord, name)))]
    load = [v * scale for v in wobbling(n, 30_000, seed=sum(map(ord, name)) + 1)]
    values = {"generation": generation, "load": load, "charge": [0] * n, "discharge": [0] * n, **channels}
    net = [g + d - u - c for g, u, c, d in zip(*values.values(), strict=True)][:n]
    values = {"import": [max(-v, 0) for v in net], "export": [max(v, 0) for v in net]} | values
    rows = []
    for channel, energies in values.items():
        if channel not in without:
            rows += run(energies, name, channel, start, duration, register=1_000_000)
    return rows


def rejected(*rows):
    """core.rejected_readings of (channel, start, reason)."""
    full = [
        {
            "message_id": f"r{n}", "zone": "stanford", "meter_id": "M1", "channel": channel, "interval_start": at(start), "reason": reason,
            "detail": "", "mmr_mrid": None, "position": n, "parts": 1, "received_at": at(start + 16),
        }
        for n, (channel, start, reason) in enumerate(rows)
    ]  # fmt: skip
    return core.REJECTED_READINGS.conform(pl.DataFrame(full, schema=core.REJECTED_READINGS.frame_schema(), orient="row"))


def history(days, generation=None, load=None, name="M1", start=NOON, n=12):
    """5-minute energy of `n` slots from `start`, on `days` (days before); values, or functions of (day, slot)."""

    def value(of, day, slot):
        return of(day, slot) if callable(of) else of

    rows = [
        ("stanford", name, at(start + 300 * slot - 86_400 * day), value(generation, day, slot), value(load, day, slot))
        for day in days
        for slot in range(n)
    ]
    return pl.DataFrame(rows, schema=NO_HISTORY.schema, orient="row")
