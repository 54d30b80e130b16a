"""The configured meters as validation sees them: ratings and thresholds."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.domain.thresholds import Ratings, ratings_frame

FEEDER = "feeder"


def meters_frame(settings: Settings) -> pl.DataFrame:
    """Return the frame of `domain.thresholds.ratings_frame`: the configured meters, and the feeder's meter where there is one."""
    vee = settings.vee
    meters = [
        Ratings(m.id, m.building_type, m.rated_kw, m.battery_kwh, m.baseline_kw, vee.thresholds(m.building_type))
        for m in settings.meters
    ]
    if vee.feeder_meter:
        meters.append(Ratings(vee.feeder_meter, FEEDER, vee.feeder_kw, 0, vee.feeder_kw, vee.thresholds(FEEDER)))
    return ratings_frame(meters)
