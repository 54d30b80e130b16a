"""Solar generation of a building: PVWatts (NREL/TP-6A20-62641) on the sky of `weather`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from . import noise, weather
from .models import KWH, Building, Site

DC_AC_RATIO = 1.1
TEMPERATURE_COEFFICIENT = -0.004
"""Of power, per degree Celsius: PVWatts' standard module."""
_AZIMUTHS = (155.0, 180.0, 205.0)


def azimuth_of(building: Building, site: Site) -> float:
    """Return where the roof faces, degrees clockwise from north: a constant of the building, towards the equator."""
    facing = _AZIMUTHS[int(noise.uniform(0, f"roof {building.meter_id}") * len(_AZIMUTHS))]
    return facing if site.latitude >= 0 else (facing + 180.0) % 360.0


def generation(building: Building, site: Site, block_start_s: int, interval_s: int, seed: int) -> NDArray[np.int64]:
    """Return milli-Wh generated in each interval of the UTC hour: 0 at night, never above `rated_kw` times the interval."""
    from pvlib import inverter, pvsystem, temperature

    sky = weather.sky(site, azimuth_of(building, site), block_start_s, interval_s, seed)
    if not sky.clear_w_m2.any():
        return np.zeros(len(sky.clear_w_m2), dtype=np.int64)
    local = 1.0 + 0.04 * noise.smooth(seed, f"shade {building.meter_id}", 90, weather.middles(block_start_s, interval_s))
    irradiance = sky.clear_w_m2 * np.minimum(sky.clearness * local, 1.0)
    cell = temperature.ross(irradiance, sky.air_c, k=0.0208)
    dc_rating = building.rated_kw * DC_AC_RATIO
    dc = pvsystem.pvwatts_dc(irradiance, cell, dc_rating, TEMPERATURE_COEFFICIENT) * (1.0 - pvsystem.pvwatts_losses() / 100.0)
    ac = inverter.pvwatts(dc, pdc0=building.rated_kw / 0.96)
    kw = np.clip(np.nan_to_num(ac), 0.0, building.rated_kw)
    return np.floor(kw * KWH * interval_s / 3600.0).astype(np.int64)
