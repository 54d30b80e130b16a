"""What the checks of event hours look at."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import polars as pl

LOOKBACK = dt.timedelta(hours=1)
"""How far before the hours readings are looked at. What needs more is told by 5-minute energy (`Evidence.history`)."""


@dataclass(frozen=True)
class Site:
    """Where the campus is: degrees north and east, metres above the sea, IANA time zone."""

    latitude: float
    longitude: float
    altitude_m: float
    timezone: str


@dataclass(frozen=True)
class Evidence:
    """Frames of one zone for the event hours [start, end), which are whole hours (UTC).

    - `readings`: core.readings, any versions, at least of [start - LOOKBACK, end). Earlier ones say when a meter was last seen;
      later ones are not looked at.
    - `rejected`: core.rejected_readings of the hours. `edits`: core.edits of the hours.
    - `meters`: `domain.thresholds.ratings_frame`. Readings of other meters are not judged. Type `feeder` is the connection's.
    - `history`: meter_id (String), interval_start (Datetime us UTC), generation_milli_wh, load_milli_wh (Int64) of 5 minutes:
      the same time of earlier days, and the day before whole. It may be empty.
    - `closed_before`: intervals that end later have not closed, so that nothing is missing there yet.
    - `watermark_s`: an interval closes this long (s) after its end.
    - `last_seen`: meter_id (String), last_seen_at (Datetime us UTC): start of the last reading of each meter, as far as known.
    """

    readings: pl.DataFrame
    rejected: pl.DataFrame
    edits: pl.DataFrame
    meters: pl.DataFrame
    history: pl.DataFrame
    zone: str
    site: Site
    start: dt.datetime
    end: dt.datetime
    closed_before: dt.datetime
    watermark_s: int
    last_seen: pl.DataFrame | None = None
