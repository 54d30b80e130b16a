"""Standing offers of a meter to the peer-to-peer pool: what its roof may spare, at a price of its own."""

from __future__ import annotations

import datetime as dt
import logging

from ieee2030_5.client import Client, ClientError, NotTrusted
from ieee2030_5.extensions.p2p import OfferStatus, P2PCapability, Side, StandingOffer
from ieee2030_5.resources import DateTimeInterval

from . import noise
from .device import mrid_of
from .models import Building

log = logging.getLogger(__name__)

ENTRY = "/p2p"
"""Where the extension begins, as /dcap does for the standard, which has no link to it."""
_DAY_S = 86_400
_DEFAULT_INTERVAL_S = 300


def standing_offer(building: Building, lfdi: str, at_s: int, interval_s: int, band: tuple[int, int], seed: int) -> StandingOffer:
    """The offer of a UTC day: all that the inverter can feed in an interval of the market of `interval_s` seconds.

    Its price is a constant of the building between the bounds of `band`, in millionths of the currency unit per kWh. The same day
    gives the same offer.
    """
    low, high = band
    day = at_s // _DAY_S * _DAY_S
    date = dt.datetime.fromtimestamp(day, dt.UTC).date().isoformat()
    return StandingOffer(
        mrid=mrid_of(lfdi, "StandingOffer", date),
        description="roof",
        creation_time=day,
        energy_limit=int(building.rated_kw * 1000 * interval_s // 3600),
        interval=DateTimeInterval(duration=_DAY_S, start=day),
        price_limit=low + int((high - low) * noise.uniform(seed, f"offer {building.meter_id}")),
        side=Side.SELL,
        status=OfferStatus.ACTIVE,
    )


async def offer(client: Client, building: Building, at_s: int, band: tuple[int, int], seed: int) -> bool:
    """Post the offer of the day of `at_s` where the server has a market; whether it took it. Raises `NotTrusted`."""
    try:
        capability = await client.get(ENTRY, P2PCapability)
        link = capability.standing_offer_list_link
        if link is None or not link.href:
            return False
        interval_s = capability.interval_length or _DEFAULT_INTERVAL_S
        await client.post(link.href, standing_offer(building, client.lfdi, at_s, interval_s, band, seed))
    except NotTrusted:
        raise
    except ClientError as error:
        log.info("no offer of %s: %s", building.meter_id, error)
        return False
    return True
