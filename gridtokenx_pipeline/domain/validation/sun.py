"""The sun's elevation, by the closed formulas of NOAA's solar calculator."""

from __future__ import annotations

import math

import polars as pl

_J2000_S = 946_728_000  # 2000-01-01T12:00:00Z
_CENTURY_S = 36_525 * 86_400


def elevation_deg(at: pl.Expr, latitude: float, longitude: float) -> pl.Expr:
    """Return the elevation (Float64, degrees, without refraction) at epoch seconds `at`, degrees north and east.

    The formulas are those of NOAA's Solar Calculator (gml.noaa.gov/grad/solcalc/calcdetails.html), after Meeus, Astronomical
    Algorithms. Between 1901 and 2099 they are within a few hundredths of a degree of NREL's SPA.
    """
    t = (at - _J2000_S) / _CENTURY_S
    mean_longitude = (280.46646 + t * (36000.76983 + t * 0.0003032)) % 360
    anomaly = (357.52911 + t * (35999.05029 - t * 0.0001537)).radians()
    eccentricity = 0.016708634 - t * (0.000042037 + t * 0.0000001267)
    centre = (
        anomaly.sin() * (1.914602 - t * (0.004817 + t * 0.000014))
        + (anomaly * 2).sin() * (0.019993 - t * 0.000101)
        + (anomaly * 3).sin() * 0.000289
    )
    node = (125.04 - t * 1934.136).radians()
    apparent = (mean_longitude + centre - 0.00569 - node.sin() * 0.00478).radians()
    mean_obliquity = 23 + (26 + (21.448 - t * (46.815 + t * (0.00059 - t * 0.001813))) / 60) / 60
    obliquity = (mean_obliquity + node.cos() * 0.00256).radians()
    declination = (obliquity.sin() * apparent.sin()).arcsin()
    y, twice = (obliquity / 2).tan().pow(2), (mean_longitude * 2).radians()
    equation_of_time = (
        y * twice.sin()
        - eccentricity * anomaly.sin() * 2
        + eccentricity * y * anomaly.sin() * twice.cos() * 4
        - y.pow(2) * (twice * 2).sin() / 2
        - eccentricity.pow(2) * (anomaly * 2).sin() * 1.25
    ).degrees()
    hour_angle = (at % 86_400 / 240 + equation_of_time + longitude - 180).radians()
    north = math.radians(latitude)
    height = declination.sin() * math.sin(north) + declination.cos() * hour_angle.cos() * math.cos(north)
    return height.clip(-1, 1).arcsin().degrees()
