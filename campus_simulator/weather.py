"""Sky and air over a site: clear-sky irradiance on a plane, cloudiness, air temperature.

Everything is a function of (site, hour, seed) and cached for the meters that share it. pvlib takes seconds to import, so it is
imported on first use.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from . import noise
from .models import BLOCK_S, Site

LINKE_TURBIDITY = 3.0
"""Clean continental air; the yearly mean of coastal California."""
TILT_DEG = 20.0
ALBEDO = 0.2


@dataclass(frozen=True, slots=True)
class Sky:
    """One hour over a site; arrays with one value for each interval, at its middle.

    `clear_w_m2`: irradiance of a clear sky in the plane of the array, 0 while the sun is below the horizon.
    `clearness`: share of it that the clouds of the site let through, 0.4 .. 1. `air_c`: air temperature, degrees Celsius.
    """

    clear_w_m2: NDArray[np.float64]
    clearness: NDArray[np.float64]
    air_c: NDArray[np.float64]


def middles(block_start_s: int, interval_s: int) -> NDArray[np.float64]:
    """Return the middle of each interval of the hour, epoch seconds."""
    return block_start_s + interval_s * (np.arange(BLOCK_S // interval_s, dtype=np.float64) + 0.5)


@lru_cache(maxsize=512)
def plane_of_array(site: Site, azimuth_deg: float, block_start_s: int, interval_s: int) -> NDArray[np.float64]:
    """Return clear-sky irradiance (W/m2) on a plane tilted `TILT_DEG` to `azimuth_deg`: Ineichen-Perez, isotropic diffuse."""
    import pandas as pd
    from pvlib import atmosphere, clearsky, irradiance, solarposition

    times = pd.to_datetime(middles(block_start_s, interval_s), unit="s", utc=True)
    sun = solarposition.get_solarposition(times, site.latitude, site.longitude, altitude=site.altitude_m, method="nrel_numpy")
    zenith = sun["apparent_zenith"].to_numpy()
    azimuth = sun["azimuth"].to_numpy()
    up = zenith < 90.0
    if not up.any():
        return np.zeros(len(times))
    airmass = atmosphere.get_absolute_airmass(atmosphere.get_relative_airmass(zenith), atmosphere.alt2pres(site.altitude_m))
    extra = np.asarray(irradiance.get_extra_radiation(times))
    # Night hours inside a twilight block divide by zero in the formula; they are masked below.
    with np.errstate(divide="ignore", invalid="ignore"):
        clear = clearsky.ineichen(zenith, airmass, LINKE_TURBIDITY, altitude=site.altitude_m, dni_extra=extra)
    total = irradiance.get_total_irradiance(
        TILT_DEG, azimuth_deg, zenith, azimuth, clear["dni"], clear["ghi"], clear["dhi"], albedo=ALBEDO, model="isotropic"
    )
    in_plane = np.asarray(total["poa_global"], dtype=np.float64)
    return np.where(up, np.nan_to_num(in_plane), 0.0).clip(min=0.0)


@lru_cache(maxsize=512)
def _clearness(site: Site, block_start_s: int, interval_s: int, seed: int) -> NDArray[np.float64]:
    at = middles(block_start_s, interval_s)
    name = f"clouds {site.latitude} {site.longitude}"
    front = noise.smooth(seed, name, 6 * 3600, at)
    passing = noise.smooth(seed, name, 1200, at)
    cover = (0.75 * front + 0.25 * passing - 0.1).clip(min=0.0) / 0.9
    return 1.0 - 0.6 * cover


@lru_cache(maxsize=512)
def _air(site: Site, block_start_s: int, interval_s: int, seed: int) -> NDArray[np.float64]:
    at = middles(block_start_s, interval_s)
    day = dt.datetime.fromtimestamp(block_start_s, dt.UTC).timetuple().tm_yday
    hemisphere = 1.0 if site.latitude >= 0 else -1.0
    season = hemisphere * np.cos(2 * np.pi * (day - 205) / 365.25)
    solar_hour = (at / 3600.0 + site.longitude / 15.0) % 24.0
    mean = 27.0 - 0.32 * abs(site.latitude)
    return mean + 5.0 * season + 5.0 * np.cos(2 * np.pi * (solar_hour - 15.0) / 24.0) + 3.0 * noise.smooth(seed, "air", 43200, at)


def sky(site: Site, azimuth_deg: float, block_start_s: int, interval_s: int, seed: int) -> Sky:
    """Return the sky of the UTC hour that starts at `block_start_s`, for arrays that face `azimuth_deg`."""
    return Sky(
        clear_w_m2=plane_of_array(site, azimuth_deg, block_start_s, interval_s),
        clearness=_clearness(site, block_start_s, interval_s, seed),
        air_c=_air(site, block_start_s, interval_s, seed),
    )
