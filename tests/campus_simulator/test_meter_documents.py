from __future__ import annotations

import datetime as dt

from campus_simulator.device import PEN, interval_readings, mirror_usage_point
from campus_simulator.meter import MeterMemory, simulate
from campus_simulator.models import CHANNELS, ENERGY_CHANNELS, Building, Site, Window
from ieee2030_5 import xml
from ieee2030_5.resources import MirrorMeterReadingList, MirrorUsagePoint

BUILDING = Building("AMI_METER_STANFORD_ENG_001", "Engineering", "academic", 50, 30, 40)
LFDI = "0A" * 20


def decoded(resource: object, cls: type) -> object:
    return xml.decode(xml.parse(xml.encode(resource)), cls)


def test_the_usage_point_declares_thirteen_reading_types() -> None:
    point = decoded(mirror_usage_point(BUILDING, LFDI, 15), MirrorUsagePoint)
    assert (point.role_flags, point.service_category_kind, point.status) == (0x0B, 0, 1)
    assert (point.device_lfdi, point.description) == (LFDI, BUILDING.meter_id)
    items = point.mirror_meter_readings
    assert len(items) == 13
    assert len({item.mrid for item in items} | {point.mrid}) == 14
    assert all(item.mrid.endswith(f"{PEN:08X}") and len(item.mrid) == 32 for item in [*items, point])
    assert all(item.reading is None for item in items)
    assert {item.description for item in items} == set(CHANNELS)
    for item in items:
        declared = item.reading_type
        assert (declared.commodity, declared.data_qualifier) == (1, 12)
        if item.description == "state_of_charge":
            assert (declared.uom, declared.kind, declared.power_of_ten_multiplier, declared.accumulation_behaviour) == (
                0,
                0,
                -2,
                12,
            )
            continue
        assert (declared.uom, declared.kind, declared.power_of_ten_multiplier) == (72, 12, -3)
        assert declared.flow_direction == (19 if item.description in ("generation", "discharge", "export") else 1)
        assert (declared.accumulation_behaviour, declared.interval_length) in ((4, 15), (9, None))


def test_identifiers_are_the_devices_own_and_stay() -> None:
    one, again = (mirror_usage_point(BUILDING, LFDI, 15) for _ in range(2))
    other = mirror_usage_point(BUILDING, "0B" * 20, 15)
    assert xml.encode(one) == xml.encode(again)
    mine, theirs = ({i.mrid for i in point.mirror_meter_readings} | {point.mrid} for point in (one, other))
    assert not mine & theirs


def test_readings_decode_back_to_what_was_measured(site: Site) -> None:
    window = Window(dt.datetime(2026, 6, 21, 20, tzinfo=dt.UTC), 4)
    series = simulate(BUILDING, site, window, 42, MeterMemory.first(BUILDING, 42))
    types = {i.mrid: (i.description, i.reading_type) for i in mirror_usage_point(BUILDING, LFDI, 15).mirror_meter_readings}
    sent = [decoded(document, MirrorMeterReadingList) for document in interval_readings(series, LFDI)]
    assert len(sent) == 4
    for i, document in enumerate(sent):
        start = window.start_s + 15 * i
        assert (document.all, document.results, len(document.mirror_meter_readings)) == (13, 13, 13)
        seen = set()
        for item in document.mirror_meter_readings:
            channel, declared = types[item.mrid]
            seen.add((channel, declared.accumulation_behaviour))
            assert item.reading_type is None
            period = item.reading.time_period
            if declared.accumulation_behaviour == 4:
                assert (period.start, period.duration) == (start, 15)
                assert item.reading.value == series.energy[channel][i]
                continue
            assert (period.start, period.duration) == (start + 15, 0)
            expected = series.registers[channel] if channel in ENERGY_CHANNELS else series.state_of_charge
            assert item.reading.value == expected[i]
        assert len(seen) == 13


def test_the_wire_format_is_as_agreed(site: Site) -> None:
    series = simulate(BUILDING, site, Window(dt.datetime(2026, 6, 21, 20, tzinfo=dt.UTC), 1), 42, MeterMemory.first(BUILDING, 42))
    (document,) = interval_readings(series, LFDI)
    text = xml.encode(document).decode()
    first = mirror_usage_point(BUILDING, LFDI, 15).mirror_meter_readings[0].mrid
    assert text.startswith(
        '<MirrorMeterReadingList xmlns="urn:ieee:std:2030.5:ns" all="13" results="13">'
        f"<MirrorMeterReading><mRID>{first}</mRID><Reading><timePeriod><duration>15</duration><start>1782072000</start></timePeriod>"
        f"<value>{series.energy['generation'][0]}</value></Reading></MirrorMeterReading>"
    )
    assert len(text.encode()) < 4096
