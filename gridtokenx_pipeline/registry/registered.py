"""What the configuration registers: production devices with the attributes of their certificates, and pairs that may trade."""

from __future__ import annotations

import datetime as dt
from itertools import combinations
from zoneinfo import ZoneInfo

import polars as pl

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import certificates, market


def devices_frame(settings: Settings) -> pl.DataFrame:
    """Return the frame of `contracts.certificates.DEVICES`: one row for each configured meter, in their order.

    The feeder's meter measures the others' energy again and is no device. A generator is commissioned with the site's day
    `Meter.commissioned_on`, or `certificates.commissioned_on` where the meter has none.
    """
    rules, site = settings.certificates, settings.site
    zone = ZoneInfo(site.timezone)
    rows = [
        {
            "meter_id": meter.id,
            "zone": settings.zone,
            "device_name": f"{meter.building} {rules.technology}",
            "carrier": rules.carrier,
            "source": rules.source,
            "fuel_code": rules.fuel_code,
            "technology": rules.technology,
            "technology_code": rules.technology_code,
            "capacity_kw": meter.rated_kw,
            "storage_kwh": meter.battery_kwh,
            "commissioned_at": _midnight(meter.commissioned_on or rules.commissioned_on, zone),
            "country": rules.country,
            "region": rules.region,
            "location": f"{site.latitude},{site.longitude}",
            "issuer": rules.issuer,
            "registry": rules.registry,
            "configuration": rules.configuration,
        }
        for meter in settings.meters
        if meter.rated_kw > 0 and meter.id != settings.vee.feeder_meter
    ]
    return certificates.DEVICES.conform(pl.DataFrame(rows, schema=certificates.DEVICES.frame_schema()))


def pairs_frame(settings: Settings) -> pl.DataFrame:
    """Return the frame of `contracts.market.PAIRS`: every two configured meters once, in alphabetical order (300 of 25)."""
    rows = [
        {
            "pair_id": f"{a.id} {b.id}",
            "zone": settings.zone,
            "meter_a_id": a.id,
            "meter_b_id": b.id,
            "building_type_a": a.building_type,
            "building_type_b": b.building_type,
            "pair_type": "intra" if a.building_type == b.building_type else "inter",
        }
        for a, b in combinations(sorted(settings.meters, key=lambda meter: meter.id), 2)
    ]
    return market.PAIRS.conform(pl.DataFrame(rows, schema=market.PAIRS.frame_schema()))


def _midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)
