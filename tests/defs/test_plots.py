"""Plots are Markdown that says the numbers, and a picture any reader can decode."""

from __future__ import annotations

import base64
import datetime as dt
import re
import struct
import zlib

import polars as pl

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.defs.plots import bars_png, completeness_table, energy_plot, rejects_table, sparkline

START = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)


def decoded(data: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height and rows of palette indices; every chunk's checksum is checked."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, pixels, size = 8, b"", (0, 0)
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length]) == (zlib.crc32(name + body),)
        if name == b"IHDR":
            size = struct.unpack(">II", body[:8])
        if name == b"IDAT":
            pixels += zlib.decompress(body)
        at += 12 + length
    width, height = size
    assert len(pixels) == height * (width + 1)
    return width, height, [pixels[i * (width + 1) + 1 : (i + 1) * (width + 1)] for i in range(height)]


def test_bars_are_as_high_as_their_values():
    width, height, rows = decoded(bars_png([[0, 10, 5], [10, 0, 0]]))
    assert (width, height) == (9, 82)
    coloured = [[sum(row[3 * bar] > 1 for row in rows[panel * 41 : (panel + 1) * 41]) for bar in range(3)] for panel in (0, 1)]
    assert coloured == [[0, 40, 20], [40, 0, 0]]


def test_energy_is_summed_over_meters_and_drawn():
    rows = [
        {"interval_start": START + dt.timedelta(minutes=5 * i), "meter_id": meter}
        | {f"{channel}_milli_wh": 1_500 * (i + 1) if channel != "export" else None for channel in core.ENERGY_CHANNELS}
        for i in range(600)
        for meter in ("a", "b")
    ]
    text = energy_plot(pl.DataFrame(rows))
    total = 2 * 1_500 * 600 * 601 // 2
    assert f"| generation | {total // 1000}.{total % 1000:03d} | 1800.000 |" in text
    assert "| export | 0.000 | 0.000 |" in text
    picture = re.search(r"base64,([^)]+)\)", text)
    width, _, _ = decoded(base64.b64decode(picture[1]))
    assert width <= 3 * 288
    assert energy_plot(core.ENERGY_5MIN.empty()) == "No energy in the window."


def test_tables_put_the_worst_first():
    assert rejects_table({}) == "Nothing was refused."
    lines = rejects_table({"future": 1, "duplicate": 40}).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| duplicate", "| future"]
    schema = {
        name: core.METER_HOURS.frame_schema()[name]
        for name in ("meter_id", "interval_start", "readings_expected", "readings_present", "readings_estimated")
    }
    frame = pl.DataFrame(
        [
            ("a", START, 240, 240, 0),
            ("b", START, 240, 120, 3),
            ("b", START + dt.timedelta(hours=1), 240, 0, 0),
            ("c", START, 0, 0, 0),
        ],
        schema=schema,
        orient="row",
    )
    lines = completeness_table(frame).splitlines()[2:]
    assert lines[0].startswith("| b | 120 | 480 | 3 | 25.00 |")
    assert [line[2] for line in lines] == ["b", "a", "c"]
    assert completeness_table(frame, limit=1).endswith("and 2 more")


def test_a_bar_for_each_value_and_a_space_for_none():
    assert sparkline([0, None, 10]) == "▁ █"
    assert sparkline([None, 0]) == " ▁"
