"""Prices over time as a chart of text, and as a picture drawn here: a plotting library would be a large thing for a few lines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from gridtokenx_pipeline.defs.plots import png

from .font import HEIGHT, text_pixels
from .outcome import Outcome

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_ROWS = 4
_WIDTH, _TALL, _LEFT, _RIGHT, _TOP, _BOTTOM = 1200, 480, 110, 20, 50, 40
_PALETTE = (
    (255, 255, 255),
    (60, 60, 60),
    (220, 220, 220),
    (60, 110, 200),
    (230, 120, 20),
    (40, 150, 90),
    (200, 70, 60),
    (150, 90, 180),
)
_TEXT, _GRID, _FIRST = 1, 2, 3
_DASH = 8

Series = Sequence[float | None]


def prices(outcome: Outcome, columns: int) -> tuple[list[dt.datetime], list[float | None]]:
    """Return starts and mean prices of trades (micro per kWh, by Wh; null without trades) of at most `columns` equal parts."""
    rows = outcome.intervals.select("interval_start", "worth", "traded_wh").sort("interval_start")
    first, last = rows["interval_start"][0], rows["interval_start"][-1]
    steps = rows["interval_start"].diff().drop_nulls()
    shortest = steps.min() if len(steps) else dt.timedelta(minutes=5)
    assert isinstance(shortest, dt.timedelta)
    whole = round((last - first) / shortest) + 1
    step = shortest * -(-whole // max(1, columns))
    part = ((pl.col("interval_start") - first).dt.total_microseconds() // (step // dt.timedelta(microseconds=1))).alias("part")
    found = dict(rows.group_by(part).agg(pl.col("worth").sum() / pl.col("traded_wh").sum()).iter_rows())
    count = max(found) + 1
    means = [found.get(number) for number in range(count)]
    return [first + number * step for number in range(count)], [None if m is None or m != m else m for m in means]


def band(outcomes: Mapping[str, Outcome]) -> tuple[int, int]:
    """Return the least feed-in and the highest retail tariff (micro per kWh) of all outcomes: prices lie between them."""
    low = min(int(one.intervals["feed_in_micro_per_kwh"].min()) for one in outcomes.values())  # type: ignore[arg-type]
    high = max(int(one.intervals["retail_micro_per_kwh"].max()) for one in outcomes.values())  # type: ignore[arg-type]
    return low, max(high, low + 1)


def lines(outcomes: Mapping[str, Outcome], currency: str, width: int) -> list[str]:
    """Return the prices of each outcome as lines of bars from the feed-in tariff up to the retail tariff."""
    low, high = band(outcomes)
    labels = [f"{high / 1e6:.3f}", *[""] * (_ROWS - 2), f"{low / 1e6:.3f}"]
    margin = max(map(len, labels)) + 1
    drawn = []
    for name, outcome in outcomes.items():
        starts, means = prices(outcome, max(10, width - margin - 1))
        levels = [None if m is None else 1 + round((8 * _ROWS - 1) * (m - low) / (high - low)) for m in means]
        drawn.append(f"{name}: price of trades, {currency} per kWh")
        for row, label in zip(range(_ROWS - 1, -1, -1), labels, strict=True):
            bars = "".join(" " if level is None else _EIGHTHS[max(0, min(8, level - 8 * row))] for level in levels)
            drawn.append(f"{label:>{margin - 1}} {bars}".rstrip())
        last: dt.datetime = outcome.intervals["interval_start"][-1]
        drawn.append(f"{'':{margin}}{starts[0]:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC")
    return drawn


def picture(outcomes: Mapping[str, Outcome], currency: str) -> bytes:
    """Return a PNG of the prices of all outcomes over time, with the tariffs as its bounds."""
    low, high = band(outcomes)
    canvas = np.zeros((_TALL, _WIDTH), dtype=np.uint8)
    bottom, right = _TALL - _BOTTOM, _WIDTH - _RIGHT
    for part in range(5):
        y = bottom - (bottom - _TOP) * part // 4
        canvas[y, _LEFT:right] = _GRID
        _write(canvas, f"{(low + (high - low) * part / 4) / 1e6:.3f}", 10, y - HEIGHT // 2, _TEXT)
    _write(canvas, f"{currency} per kWh", 10, 10, _TEXT)
    spans = [(one.intervals["interval_start"].min(), one.intervals["interval_start"].max()) for one in outcomes.values()]
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)  # type: ignore[type-var]
    assert isinstance(first, dt.datetime)
    assert isinstance(last, dt.datetime)
    _write(canvas, f"{first:%Y-%m-%d %H:%M}", _LEFT, bottom + 12, _TEXT)
    label = f"{last:%Y-%m-%d %H:%M} UTC"
    _write(canvas, label, right - text_pixels(label).shape[1], bottom + 12, _TEXT)
    x = _LEFT + 150
    drawn = {name: prices(outcome, right - _LEFT)[1] for name, outcome in outcomes.items()}
    for number, (name, means) in enumerate(drawn.items()):
        colour = _FIRST + number % (len(_PALETTE) - _FIRST)
        # Dashes let a line be seen that lies under another.
        turn = np.arange(_WIDTH) // _DASH % (number + 1) == 0
        _draw(canvas, means, low, high, colour, turn)
        canvas[12:20, x : x + 8] = colour
        _write(canvas, name, x + 14, 11, _TEXT)
        x += 14 + text_pixels(name).shape[1] + 24
    return png(_WIDTH, [row.tobytes() for row in canvas], _PALETTE)


def write_picture(path: Path, outcomes: Mapping[str, Outcome], currency: str) -> None:
    """Write the picture to a file."""
    path.write_bytes(picture(outcomes, currency))


def _draw(canvas: np.ndarray, means: Series, low: int, high: int, colour: int, columns: np.ndarray) -> None:
    """A line of steps in `columns` (a mask), two pixels thick, broken where nothing was traded."""
    bottom, right = _TALL - _BOTTOM, _WIDTH - _RIGHT
    before = None
    for number, mean in enumerate(means):
        left, end = (_LEFT + (right - _LEFT) * place // len(means) for place in (number, number + 1))
        if mean is None:
            before = None
            continue
        y = bottom - round((bottom - _TOP) * (mean - low) / (high - low))
        span = slice(left, max(end, left + 1))
        canvas[y - 1 : y + 1, span][:, columns[span]] = colour
        if before is not None:
            canvas[min(before, y) - 1 : max(before, y) + 1, left : left + 2] = colour
        before = y


def _write(canvas: np.ndarray, text: str, x: int, y: int, colour: int) -> None:
    pixels = text_pixels(text)
    wide = min(pixels.shape[1], canvas.shape[1] - x)
    area = canvas[y : y + pixels.shape[0], x : x + wide]
    area[pixels[:, :wide]] = colour
