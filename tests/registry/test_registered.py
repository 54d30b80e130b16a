"""What the configuration registers for certificates and trading."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest

from gridtokenx_pipeline import config
from gridtokenx_pipeline.registry.registered import devices_frame, pairs_frame


@pytest.fixture(scope="module")
def settings():
    return config.load()


def with_meters(settings, *meters):
    return settings.model_copy(update={"meters": meters})


def test_every_generating_meter_is_a_device_commissioned_with_its_local_day(settings):
    first, second, *others = settings.meters
    summer = first.model_copy(update={"commissioned_on": dt.date(2024, 7, 1)})
    frame = devices_frame(with_meters(settings, summer, second, *others))
    assert frame["meter_id"].to_list() == [meter.id for meter in settings.meters]
    # Midnight in California: seven hours behind in summer, eight in winter.
    assert frame["commissioned_at"].to_list()[:2] == [
        dt.datetime(2024, 7, 1, 7, tzinfo=dt.UTC),
        dt.datetime(2025, 1, 1, 8, tzinfo=dt.UTC),
    ]
    assert frame.row(0, named=True) | {"commissioned_at": None} == {
        "meter_id": first.id, "zone": "stanford", "device_name": "Engineering photovoltaic", "carrier": "electricity",
        "source": "solar", "fuel_code": "ES100", "technology": "photovoltaic", "technology_code": None, "capacity_kw": 50,
        "storage_kwh": 30, "commissioned_at": None, "country": "US", "region": None, "location": "37.4275,-122.1697",
        "issuer": "GridTokenX", "registry": "GridTokenX", "configuration": 1,
    }  # fmt: skip


def test_the_feeder_and_a_meter_without_a_generator_are_no_devices(settings):
    first, second, third, *_ = settings.meters
    without = second.model_copy(update={"rated_kw": 0})
    vee = settings.vee.model_copy(update={"feeder_meter": third.id})
    campus = with_meters(settings, first, without, third).model_copy(update={"vee": vee})
    assert devices_frame(campus)["meter_id"].to_list() == [first.id]


def test_pairs_are_all_that_can_trade_and_each_once(settings):
    pairs = pairs_frame(settings)
    ids = sorted(meter.id for meter in settings.meters)
    assert list(pairs.select("meter_a_id", "meter_b_id").iter_rows()) == list(itertools.combinations(ids, 2))
    assert len(pairs) == 300
    assert dict(pairs["pair_type"].value_counts().iter_rows()) == {"inter": 246, "intra": 54}


def test_the_order_of_meters_in_the_configuration_does_not_matter_to_pairs(settings):
    assert pairs_frame(with_meters(settings, *reversed(settings.meters))).equals(pairs_frame(settings))


@pytest.mark.parametrize("meters", [0, 1, 2])
def test_few_meters(settings, meters):
    few = with_meters(settings, *settings.meters[:meters])
    assert (len(devices_frame(few)), len(pairs_frame(few))) == (meters, meters * (meters - 1) // 2)
