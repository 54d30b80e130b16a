"""The simulated campus of the configuration: its fleet, and the window that the demo posts."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.enrolment import Enrolment

if TYPE_CHECKING:
    from campus_simulator.models import Window
    from campus_simulator.session import Device, Options

MORNING = dt.time(10)
SATURDAY = 5


def fleet(settings: Settings, enrolment: Enrolment) -> list[Device]:
    """Return the campus's meters, each with its own certificate."""
    from campus_simulator.models import Building
    from campus_simulator.session import Device

    return [
        Device(
            Building(meter.id, meter.building, meter.building_type, meter.rated_kw, meter.battery_kwh, meter.baseline_kw),
            credential.certificate,
            credential.key,
        )
        for meter, credential in zip(settings.meters, enrolment.meters, strict=True)
    ]


def simulator_options(
    settings: Settings, enrolment: Enrolment, base_url: str, seed: int, *, subscribe: bool = True, offers: bool = False
) -> Options:
    """Return how the fleet reaches the server and where it keeps its memory.

    With `subscribe`, live meters are notified of changes; with `offers`, each makes a standing offer between the two tariffs.
    """
    from campus_simulator.models import Site
    from campus_simulator.session import Options
    from ieee2030_5.retry import Retry

    site = settings.site
    return Options(
        base_url=base_url,
        ca=enrolment.authority.certificate_path,
        site=Site(site.latitude, site.longitude, site.altitude_m, site.timezone),
        memory_dir=settings.simulator_dir,
        seed=seed,
        subscribe=subscribe,
        offer_band=(settings.market.feed_in_micro_per_kwh, settings.market.retail_micro_per_kwh) if offers else None,
        # A server that was killed on a busy machine takes its time to come back; a meter has nothing better to do than wait.
        retry=Retry(attempts=60, max_s=5.0),
    )


def window(settings: Settings, start: dt.datetime, minutes: int) -> Window:
    """Return a window of `minutes` from `start` in the meters' interval. Raises `ValueError` for a bad start."""
    from campus_simulator.models import Window

    return Window(start, minutes * 60 // settings.metering.interval_s, settings.metering.interval_s)


def latest_working_morning(settings: Settings, now: dt.datetime, minutes: int) -> dt.datetime:
    """Return the start (UTC) of the latest `minutes` from 10:00 local time of a working day that have passed.

    The campus is between a night of buyers and a noon of sellers then, in every season: prices move.
    """
    zone = ZoneInfo(settings.site.timezone)
    day = now.astimezone(zone).date()
    while True:
        start = dt.datetime.combine(day, MORNING, zone).astimezone(dt.UTC)
        if day.weekday() < SATURDAY and start + dt.timedelta(minutes=minutes, seconds=settings.vee.watermark_s) <= now:
            return start
        day -= dt.timedelta(days=1)
