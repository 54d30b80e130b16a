from __future__ import annotations

import hashlib
import json
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_pipeline.contracts.core import READING_TYPES, READINGS
from gridtokenx_pipeline.contracts.raw import MESSAGES
from gridtokenx_pipeline.domain.aggregate import aggregate
from gridtokenx_pipeline.domain.legacy.feeds import Feed, Feeds
from gridtokenx_pipeline.domain.legacy.parse import parse_gateway, parse_landed
from gridtokenx_pipeline.domain.vee import Rules, Validated, validate
from ingest_server.gateway.documents import EXPORT_OBIS, IMPORT_OBIS, JSON_LINES, NO_DEVICE

sys.path.insert(0, str(Path(__file__).parent))

from reading_documents import METERS, assert_accounted, at, full_mup, full_post, interval, listed, messages

# The first simulator's record: energy computed for a quarter of an hour, whatever the interval.
ORIGINAL = {
    "timestamp": "2026-01-01T00:00:15+00:00", "meter_id": "M1", "meter_type": "Solar_Prosumer", "location": "Zone_1", "user_type": "Prosumer",
    "energy_generated": 0.1234, "energy_consumed": 0.0567, "energy_available_for_sale": 0.05, "energy_needed_from_grid": 0.0,
    "battery_level": 0.0, "voltage": 239.87, "current": 1.234, "power_factor": 0.951, "frequency": 50.01, "temperature": 31.2,
    "irradiance": 812.5, "panel_temperature": 45.1, "weather_condition": "Sunny", "grid_connection_status": "Connected",
    "grid_feed_in_rate": 0.12, "grid_purchase_rate": 0.28, "surplus_energy": 0.0667, "deficit_energy": 0.0, "trading_preference": "Moderate",
    "max_sell_price": 0.25, "max_buy_price": 0.3, "rec_eligible": True, "carbon_offset": 0.086,
}  # fmt: skip
SECONDS_15 = Feeds((Feed("original", interval_s=15), Feed("readings", interval_s=15), Feed("dlms", interval_s=15)))


def short(start: int = 0, **fields: object) -> dict:
    """A reading of POST /api/v1/meters/readings whose interval starts `start` seconds after T0."""
    moment = at(start + 15).isoformat()
    return {"meter_id": "M1", "timestamp": moment, "energy_generated": 0.1, "energy_consumed": 0.05, **fields}


def dlms(start: int = 0, **payload: object) -> dict:
    return {"protocol": "dlms", "device_id": "M1", "payload": {"timestamp": at(start + 15).isoformat(), **payload}}


def landed(*contents: object, first: int = 0, content_type: str = "application/json") -> pl.DataFrame:
    """A raw.messages frame of the gateway, a message each 15 s from 15 s after T0."""
    rows = []
    for number, content in enumerate(contents, first):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        rows.append(
            {
                "message_id": f"gw:{number:06d}", "received_at": at(15 + number * 15), "zone": "stanford", "device_lfdi": NO_DEVICE, "meter_id": "",
                "method": "POST", "path": "/api/v1/meters/readings", "content_type": content_type, "body": body,
                "body_sha256": hashlib.sha256(body).hexdigest(), "source": "gateway", "segment": "gw", "sequence": number + 1,
            }
        )  # fmt: skip
    return MESSAGES.conform(pl.DataFrame(rows, schema=MESSAGES.frame_schema()))


def line(frame: pl.DataFrame, feeds: Feeds = SECONDS_15, prior: pl.DataFrame | None = None) -> Validated:
    parsed = parse_landed(frame, feeds)
    result = validate(parsed, READING_TYPES.empty(), READINGS.empty() if prior is None else prior, METERS, Rules())
    assert_accounted(parsed, result, frame)
    return result


def energies(result: Validated) -> dict[str, int]:
    return {row["channel"]: row["energy_milli_wh"] for row in result.readings.to_dicts()}


def test_the_original_record_becomes_energy_and_telemetry():
    result = line(landed(ORIGINAL))
    assert energies(result) == {"generation": 123_400, "load": 56_700, "charge": 0, "discharge": 0}
    assert result.readings["interval_start"].unique().to_list() == [at(0)]
    assert result.readings["duration_s"].unique().to_list() == [15]
    measured = {(row["uom"], row["power_of_ten"]): row["value"] for row in result.telemetry.to_dicts()}
    assert measured == {(29, -3): 239_870, (5, -3): 1234, (33, -3): 50_010, (65, -3): 951}
    assert result.outcomes.select("document", "readings_total").rows() == [("OriginalReading", 8)]


def test_interval_length_is_data_and_never_assumed():
    stated = line(landed(short(interval_seconds=30) | {"timestamp": at(30).isoformat()}), Feeds())
    assert set(stated.readings["duration_s"]) == {30}
    unknown = line(landed(short()), Feeds())
    assert unknown.readings.is_empty()
    assert set(unknown.rejected["reason"]) == {"bad_interval"}
    assert "configuration" in unknown.rejected["detail"][0]
    # A quarter of an hour's energy claimed for 15 s implies 60 times the power: more than the meter is rated for.
    implied = line(
        landed(short(energy_generated=12.5, energy_consumed=0)), Feeds((Feed("readings", interval_s=15, storage="none"),))
    )
    assert implied.rejected.select("channel", "reason").rows() == [("generation", "out_of_range")]


@pytest.mark.parametrize(
    ("fields", "expected", "reason"),
    [
        ({"meter_type": "Hybrid_Prosumer"}, {"load": 50_000}, "storage_in_generation"),
        ({"meter_type": "Hybrid_Prosumer", "energy_generated": 0}, {"load": 50_000, "generation": 0, "discharge": 0}, None),
        (
            {"meter_type": "Hybrid_Prosumer", "battery_discharge": 0.04},
            {"load": 50_000, "generation": 60_000, "discharge": 40_000},
            None,
        ),
        (
            {"meter_type": "Hybrid_Prosumer", "battery_discharge": 0.2},
            {"load": 50_000, "discharge": 200_000},
            "storage_in_generation",
        ),
        ({"meter_type": "Hybrid_Prosumer", "battery_discharge": -0.1}, {"load": 50_000}, "storage_in_generation"),
        ({"meter_type": "Battery_Storage"}, {"load": 50_000, "generation": 0, "discharge": 100_000}, None),
        ({"meter_type": "Battery_Storage", "irradiance": 5.0}, {"load": 50_000}, "storage_in_generation"),
        ({}, {"load": 50_000}, "storage_in_generation"),
        ({"metadata": {"device_type": "smart_meter"}}, {"load": 50_000}, "storage_in_generation"),
    ],
)
def test_battery_discharge_is_never_generation(fields, expected, reason):
    result = line(landed(short(**fields)))
    assert energies(result) == expected
    found = [row for row in result.rejected.to_dicts() if row["channel"] == "generation"]
    assert [row["reason"] for row in found] == ([reason] if reason else [])


def test_a_meter_with_a_configured_battery_cannot_call_itself_solar_only():
    feeds = Feeds(SECONDS_15.feeds, batteries=frozenset({"M1"}))
    result = line(landed(ORIGINAL), feeds)
    assert "generation" not in energies(result)
    assert "storage_in_generation" in result.rejected["reason"].to_list()
    metered_apart = Feeds((Feed("original", interval_s=15, storage="separate"),), batteries=frozenset({"M1"}))
    assert energies(line(landed(ORIGINAL), metered_apart))["generation"] == 123_400


def test_obis_values_are_registers_unless_the_feed_says_interval():
    posts = [dlms(15 * n, **{IMPORT_OBIS: 5000 + 40 * n, EXPORT_OBIS: 100.5}) for n in range(3)]
    registers = line(landed(*posts))
    derived = registers.readings.filter(channel="import").sort("interval_start").to_dicts()
    assert [(row["energy_milli_wh"], row["register_milli_wh"]) for row in derived] == [(40_000, 5_040_000), (40_000, 5_080_000)]
    assert registers.rejected.filter(channel="import")["reason"].to_list() == ["unpaired_register"]
    interval_feed = Feeds((Feed("dlms", interval_s=15, obis="interval"),))
    deltas = line(landed(dlms(**{IMPORT_OBIS: 41.5, EXPORT_OBIS: 0.0})), interval_feed)
    assert energies(deltas) == {"import": 41_500, "export": 0}
    # Today's simulator puts gross consumption and generation into them.
    gross = Feeds((Feed("dlms", interval_s=15, obis="interval", flow="gross", storage="none"),))
    assert energies(line(landed(dlms(**{IMPORT_OBIS: 41.5, EXPORT_OBIS: 7})), gross)) == {
        "load": 41_500, "generation": 7_000, "charge": 0, "discharge": 0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("timestamp", "stamp", "tolerance", "start"),
    [
        ("2026-01-01T00:00:15Z", "end", 0, 0),
        ("2026-01-01T00:00:15Z", "start", 0, 15),
        ("2026-01-01T07:00:14.250+07:00", "end", 1, 0),
        ("2026-01-01T00:00:17Z", "end", 2, 0),
        ("2026-01-01T00:00:17Z", "end", 1, None),
        ("2026-01-01T00:00:15.001Z", "end", 0, None),
    ],
)
def test_timestamps_place_intervals_as_the_feed_says(timestamp, stamp, tolerance, start):
    feeds = Feeds((Feed("readings", interval_s=15, stamp=stamp, clock_tolerance_s=tolerance, storage="none"),))
    result = line(landed(short(timestamp=timestamp)).with_columns(pl.lit(at(60)).alias("received_at")), feeds)
    if start is None:
        assert set(result.rejected["reason"]) == {"bad_interval"}
        assert "tolerance" in result.rejected["detail"][0]
    else:
        assert set(result.readings["interval_start"]) == {at(start)}


def test_a_batch_of_several_meters_keeps_each_reading_with_its_meter():
    result = line(landed([short(), short(meter_id="M2", energy_consumed=0.07), short(meter_id="M9")]))
    assert dict(result.readings.filter(channel="load").select("meter_id", "energy_milli_wh").rows()) == {
        "M1": 50_000,
        "M2": 70_000,
    }
    assert set(result.rejected.filter(reason="unknown_meter")["meter_id"]) == {"M9"}
    assert result.outcomes["readings_total"].to_list() == [6]


def test_json_lines_and_the_same_message_twice():
    body = "\n".join(json.dumps(short(15 * n)) for n in range(3)).encode()
    result = line(landed(body, body, content_type=JSON_LINES))
    assert result.readings["interval_start"].sort().to_list() == [at(0), at(15), at(30)]
    assert result.rejected.filter(reason="duplicate").height == 3


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"{", "malformed_document"), (b"\xff", "malformed_document"), (b"{}", "unknown_document"), (b"[1]", "unknown_document")],
)
def test_an_unreadable_message_ends_in_outcomes_with_its_reason(body, reason):
    result = line(landed(body))
    assert result.rejected.select("reason", "parts").rows() == [(reason, 0)]
    assert result.outcomes["readings_total"].to_list() == [0]


def test_ieee_2030_5_wins_whichever_comes_first():
    """Both protocols report 00:00:00 to 00:00:15 of M1, the gateway wrongly; the gateway alone reports the next interval."""
    gateway = landed(short(0, energy_consumed=0.3), short(15, energy_consumed=0.2), first=2)
    own = messages((0, full_mup()), (16, full_post(0, 1000)))
    late_gateway = line(pl.concat([own, gateway]))
    assert late_gateway.rejected.filter(channel="load")["reason"].to_list() == ["overruled"]
    early_gateway = line(
        pl.concat(
            [
                landed(short(0, energy_consumed=0.3), short(15, energy_consumed=0.2)),
                messages((40, full_mup()), (45, full_post(0, 1000))),
            ]
        )
    )
    for result in (late_gateway, early_gateway):
        load = aggregate(result.readings, 15).sort("interval_start")["load_milli_wh"].to_list()
        assert load == [1000, 200_000]
    # Another hour's run sees the first report as prior.
    again = line(gateway, prior=line(own).readings)
    assert again.rejected.filter(channel="load")["reason"].to_list() == ["overruled"]


def test_types_are_the_same_whatever_came_before():
    both = parse_gateway(landed(short(0), short(15)), SECONDS_15)
    second = parse_gateway(landed(short(15), first=1), SECONDS_15)
    assert both.wire["mmr_mrid"].to_list()[-2:] == second.wire["mmr_mrid"].to_list()
    assert both.reading_types.height == second.reading_types.height == 2


@given(st.decimals(min_value=0, max_value=1000, places=9))
def test_kwh_become_milli_wh_by_decimal_arithmetic(kwh):
    body = json.dumps(short(energy_generated=None)).replace("0.05", f"{kwh:f}")
    (value,) = parse_gateway(landed(body.encode()), SECONDS_15).wire["value"]
    assert abs(value - kwh * 1_000_000) <= Decimal("0.5")


def test_2030_5_messages_are_read_as_before_beside_the_gateways():
    wire = parse_landed(pl.concat([messages(listed(interval("load", 1000, 0))), landed(short())]), SECONDS_15).wire
    assert wire.sort("message_id").select("message_id", "value", "device_lfdi").row(-1) == ("seg:000000", 1000, "A1" * 20)
    assert wire.height == 3
