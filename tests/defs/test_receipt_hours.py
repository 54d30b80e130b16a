"""Receipt hours give the same rows one by one, together, again, and for one meter alone."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import polars as pl
import pytest

from gridtokenx_pipeline import config
from gridtokenx_pipeline.contracts import core, raw
from gridtokenx_pipeline.defs.readings.assets import TABLES, _chunks, legacy_feeds, validate_hour
from gridtokenx_pipeline.domain.legacy.parse import parse_landed
from gridtokenx_pipeline.warehouse import Append, Warehouse

sys.path.insert(0, str(Path(__file__).parents[1] / "domain"))

from reading_documents import LFDI, T0, at, full_mup, full_post, interval, listed, messages, register

HOUR = dt.timedelta(hours=1)
METER = {"building": "b", "building_type": "academic", "rated_kw": 50, "battery_kwh": 30, "baseline_kw": 40}
RESET = (
    f'<LogEvent xmlns="urn:ieee:std:2030.5:ns"><createdDateTime>{T0}</createdDateTime><functionSet>0</functionSet>'
    "<logEventCode>1</logEventCode><logEventID>7</logEventID><logEventPEN>37244</logEventPEN><profileID>2</profileID></LogEvent>"
).encode()


def pair(channel, energy, start, total):
    return listed(interval(channel, energy, start), register(channel, total, start + 15))


POSTS = [
    (0, full_mup(), "M1"),
    (20, full_post(0), "M1"),
    (25, RESET, "M1"),
    # A register alone at the end of an hour is where the next hour's first one begins.
    (3589, listed(register("load", 600_000, 3585)), "M1"),
    (3601, listed(register("load", 600_700, 3600)), "M1"),
    (3605, listed(interval("generation", 5, -1_767_225_600)), "M1"),
    # The types of this one come an hour late.
    (3590, listed(interval("load", 5, 3570)), "M2"),
    (3640, full_mup(), "M2"),
    (3650, full_post(3630), "M2"),
    # After a long silence the last register is far away, and over its end.
    (3700, pair("export", 5, 3675, 10**8 - 9), "M2"),
    (3 * 86_400 + 30, pair("export", 7, 3 * 86_400, 3), "M2"),
    (3 * 86_400 + 40, pair("export", 8, 3 * 86_400, 3), "M2"),
    (3 * 86_400 + 50, full_post(3630), "M2"),
]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return config.load(data=tmp_path_factory.mktemp("data"), meters=[METER | {"id": name} for name in ("M1", "M2")])


@pytest.fixture
def warehouse(tmp_path, settings):
    with Warehouse(tmp_path / "warehouse") as opened:
        opened.commit(Append(raw.MESSAGES, messages(*POSTS)))
        yield opened


def tables(warehouse):
    return {table: warehouse.read(table) for table in TABLES}


HOURS = [at(0), at(3600), at(3 * 86_400)]


def test_hours_are_the_same_one_by_one_together_again_and_for_one_meter(warehouse, settings):
    validate_hour(warehouse, settings, at(0), at(4 * 86_400))
    whole = tables(warehouse)
    readings = whole[core.READINGS]
    assert readings.filter(message_id="seg:000004")["energy_milli_wh"].to_list() == [700]
    assert readings.filter(message_id="seg:000006")["energy_milli_wh"].to_list() == [5]
    assert readings.filter(message_id="seg:000010")["findings"].to_list() == ["register_rollover"]
    assert readings.filter(message_id="seg:000011")["findings"].to_list() == ["conflict,register_rollover"]
    assert set(whole[core.REJECTED_READINGS]["reason"]) == {"unpaired_register", "duplicate"}
    assert whole[core.LOG_EVENTS].height == 1

    for table in TABLES:
        warehouse.connect().execute(f"DELETE FROM {table.full_name}")
    # The second time the types that come an hour late are known.
    for hour in (*HOURS, *HOURS):
        validate_hour(warehouse, settings, hour, hour + HOUR)
    for table, frame in tables(warehouse).items():
        assert frame.equals(whole[table]), table.full_name
    for hour in HOURS:
        for meter in ("M1", "M2", None):
            assert not any(done.changed for done in validate_hour(warehouse, settings, hour, hour + HOUR, meter))

    warehouse.connect().execute("DELETE FROM core.readings WHERE meter_id = 'M2'")
    for hour in HOURS:
        validate_hour(warehouse, settings, hour, hour + HOUR, "M2")
    assert warehouse.read(core.READINGS).equals(readings)


def test_hours_are_taken_together_up_to_a_day_and_so_many_messages(warehouse, monkeypatch):
    end = at(5 * 86_400)
    assert list(_chunks(warehouse, at(0), end)) == [(at(0), at(7200), 10), (HOURS[2], HOURS[2] + HOUR, 3)]
    monkeypatch.setattr("gridtokenx_pipeline.defs.readings.assets.CHUNK_MESSAGES", 5)
    assert [count for _, _, count in _chunks(warehouse, at(0), end)] == [5, 5, 3]


def test_the_gateways_types_do_not_depend_on_what_is_parsed_together(settings):
    body = b'{"meter_id": "M1", "timestamp": "%s", "energy_generated": 0.1, "energy_consumed": 0.05}'
    moments = (at(15), at(30), at(3615))
    frame = messages(*((15 + int((m - at(0)).total_seconds()), body % m.isoformat().encode(), "M1") for m in moments))
    frame = frame.with_columns(pl.lit("gateway").alias("source"), pl.lit("application/json").alias("content_type"))
    feeds = legacy_feeds(settings)
    whole = parse_landed(frame, feeds).reading_types
    parts = pl.concat([parse_landed(part, feeds).reading_types for part in (frame[:2], frame[2:])])
    assert whole.equals(parts)
    assert set(whole["message_id"]) == {"seg:000000", "seg:000002"}
    assert LFDI["M1"] in whole["device_lfdi"].to_list()
