"""Plots of a run's window as Markdown for Dagster's metadata: tables, bars of text, and a picture drawn here.

A plotting library costs a second of import on every tick; a PNG of bars is a zlib stream of pixels.
"""

from __future__ import annotations

import base64
import datetime as dt
import struct
import zlib
from collections.abc import Mapping, Sequence

import polars as pl

from gridtokenx_pipeline.contracts.core import ENERGY_CHANNELS

BARS = "▁▂▃▄▅▆▇█"
# A day in five minutes; longer windows are drawn in that many equal parts.
COLUMNS = 288
_HEIGHT, _PART = 40, 3
# Palette of the picture: background, axis, then a colour for each energy channel.
_PALETTE = (
    (255, 255, 255),
    (190, 190, 190),
    (240, 170, 20),
    (60, 110, 200),
    (40, 150, 90),
    (150, 90, 180),
    (200, 70, 60),
    (20, 150, 170),
)


def energy_plot(frame: pl.DataFrame) -> str:
    """Return Markdown about energy by channel: sum, largest interval, a line of bars, and a picture with a panel a channel.

    `frame` is of `core.energy_5min` or another level: interval_start (Datetime) and *_milli_wh (Int64, nullable), any meters.
    """
    if frame.is_empty():
        return "No energy in the window."
    names = [f"{channel}_milli_wh" for channel in ENERGY_CHANNELS]
    sums = frame.group_by("interval_start").agg(pl.col(names).sum()).sort("interval_start")
    parts = _in_parts(sums, COLUMNS)
    first, last = sums["interval_start"][0], sums["interval_start"][-1]
    lines = [
        f"{frame['meter_id'].n_unique()} meters, {len(sums)} intervals, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC",
        "",
        "| channel | Wh | largest interval, Wh | by time |",
        "|---|---:|---:|---|",
    ]
    for channel, name in zip(ENERGY_CHANNELS, names, strict=True):
        total, largest = (int(value or 0) for value in sums.select(pl.col(name).sum(), most=pl.col(name).max()).row(0))
        bars = sparkline(_in_parts(sums.select("interval_start", name), 48)[name].to_list())
        lines.append(f"| {channel} | {_wh(total)} | {_wh(largest)} | `{bars}` |")
    picture = base64.b64encode(bars_png([parts[name].to_list() for name in names])).decode()
    key = "from the top: " + ", ".join(ENERGY_CHANNELS)
    return "\n".join([*lines, "", f"![energy by channel](data:image/png;base64,{picture})", "", key])


def rejects_table(reasons: Mapping[str, int]) -> str:
    """Return a Markdown table of wire readings refused, by reason, most frequent first."""
    if not reasons:
        return "Nothing was refused."
    most = max(reasons.values())
    rows = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    body = [f"| {reason} | {count} | `{BARS[-1] * max(1, round(20 * count / most))}` |" for reason, count in rows]
    return "\n".join(["| reason | readings | |", "|---|---:|---|", *body])


def completeness_table(frame: pl.DataFrame, limit: int = 50) -> str:
    """Return a Markdown table of meters by completeness, the least complete first, with a bar an hour.

    `frame` is of `core.meter_hours`: meter_id, interval_start, readings_expected, readings_present, readings_estimated (Int32).
    """
    if frame.is_empty():
        return "No meter was expected in the window."
    counts = ["readings_expected", "readings_present", "readings_estimated"]
    by_hour = (
        frame.sort("meter_id", "interval_start")
        .with_columns(
            part=pl.when(pl.col("readings_expected") > 0).then(pl.col("readings_present") / pl.col("readings_expected"))
        )
        .group_by("meter_id", maintain_order=True)
        .agg(pl.col(counts).sum(), pl.col("part").tail(48))
        .with_columns(pct=100 * pl.col("readings_present") / pl.col("readings_expected"))
        .sort("pct", "meter_id", nulls_last=True)
    )
    lines = ["| meter | present | expected | estimated | % | by hour |", "|---|---:|---:|---:|---:|---|"]
    for row in by_hour.head(limit).iter_rows(named=True):
        pct = "" if row["pct"] is None or row["readings_expected"] == 0 else f"{row['pct']:.2f}"
        bars = sparkline(row["part"], top=1.0)
        lines.append(
            f"| {row['meter_id']} | {row['readings_present']} | {row['readings_expected']} | {row['readings_estimated']} | {pct} | `{bars}` |"
        )
    if len(by_hour) > limit:
        lines += ["", f"and {len(by_hour) - limit} more"]
    return "\n".join(lines)


def sparkline(values: Sequence[float | None], top: float | None = None) -> str:
    """Return one bar a value, as high as its part of `top` (the largest, where it is not said); a null is a space."""
    known = [value for value in values if value is not None]
    highest = top if top is not None else max(known, default=0)
    if highest <= 0:
        return "".join(" " if value is None else BARS[0] for value in values)
    steps = len(BARS) - 1
    return "".join(" " if value is None else BARS[max(0, min(steps, round(steps * value / highest)))] for value in values)


def bars_png(series: Sequence[Sequence[float]]) -> bytes:
    """Return a PNG with a panel of bars for each series, all to the scale of the largest value; a bar is three pixels wide."""
    highest = max((value for values in series for value in values if value), default=0)
    width = max(1, *(len(values) * _PART for values in series))
    rows: list[bytes] = []
    for number, values in enumerate(series):
        colour = 2 + number % (len(_PALETTE) - 2)
        heights = [round(_HEIGHT * max(0, value or 0) / highest) if highest else 0 for value in values]
        for level in range(_HEIGHT, 0, -1):
            row = b"".join((bytes([colour]) * (_PART - 1) + b"\0") if height >= level else b"\0" * _PART for height in heights)
            rows.append(row.ljust(width, b"\0"))
        rows.append(b"\1" * width)
    return png(width, rows, _PALETTE)


def png(width: int, rows: Sequence[bytes], palette: Sequence[tuple[int, int, int]]) -> bytes:
    """Return a PNG (ISO/IEC 15948) of rows of palette indices, a byte a pixel."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, len(rows), 8, 3, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    colours = b"".join(bytes(colour) for colour in palette)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"PLTE", colours) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _in_parts(sums: pl.DataFrame, parts: int) -> pl.DataFrame:
    """Sums over equal parts of the time spanned, where there are more intervals than parts."""
    if len(sums) <= parts:
        return sums
    first, last = sums["interval_start"][0], sums["interval_start"][-1]
    step = (last - first) // parts + dt.timedelta(microseconds=1)
    part = ((pl.col("interval_start") - first).dt.total_microseconds() // (step // dt.timedelta(microseconds=1))).alias("part")
    return (
        sums.group_by(part)
        .agg(pl.exclude("interval_start").sum(), pl.col("interval_start").min())
        .sort("interval_start")
        .drop("part")
    )


def _wh(milli_wh: int) -> str:
    return f"{milli_wh // 1000}.{milli_wh % 1000:03d}"
