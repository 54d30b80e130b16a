"""Marts of certificates, of a lake whose every certificate is known: the worked numbers are in the comments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import polars as pl
import pytest
from mart_lake import DAY, MartLake, frame

from gridtokenx_pipeline import config
from gridtokenx_pipeline.contracts import Table, certificates, core
from gridtokenx_pipeline.defs.marts import project
from gridtokenx_pipeline.domain.ids import derived_id
from gridtokenx_pipeline.warehouse import Replace

MARCH, APRIL = dt.datetime(2026, 3, 31, 20, tzinfo=dt.UTC), dt.datetime(2026, 4, 1, 20, tzinfo=dt.UTC)
FIVE = dt.timedelta(minutes=5)
TESTS = (
    "certificates_never_exceed_generation",
    "every_certificate_has_one_state",
    "owners_hold_what_they_got",
    "registry_units_lose_nothing",
    "devices_are_registered_before_they_generate",
)
MODELS = (
    "fct_certificates",
    "fct_certificate_events",
    "fct_certificate_holdings",
    "fct_granular_certificates",
    "kpi_certificates",
)
SELECTED = ("--select", "dim_meter", "stg_certificate_volume+", *MODELS, "--exclude", "fct_campus_daily")
# Bundle: meter, start, first Wh, Wh, state, origin.
BUNDLES = {
    "a1": ("A", MARCH, 0, 1_700_000, "issued", "production"),
    "a2": ("A", APRIL, 1_700_000, 400_000, "issued", "production"),
    # The first ten minutes of a quarter of an hour, and its last five.
    "b1": ("B", MARCH, 500, 60_000, "issued", "production"),
    "b2": ("B", MARCH + 2 * FIVE, 60_500, 50_000, "issued", "production"),
    "b3": ("B", MARCH + 3 * FIVE, 110_500, 95_000, "issued", "production"),
    "c1": ("C", MARCH, 0, 1_000_000, "pending", "production"),
    "c2": ("C", MARCH, 0, 300_000, "released", "storage_discharge"),
}
# Bundle, kind, start, first Wh, Wh, owner, former owner.
MOVES = [
    ("a1", "transferred", MARCH, 0, 100, "B", "A"),
    ("a1", "claimed", MARCH, 100, 50, "A", None),
    ("a2", "withdrawn", APRIL + FIVE, 1_700_000, 350_000, "A", None),
    # Never issued, so no registry misses them.
    ("c1", "withdrawn", APRIL, 0, 1_000_000, "C", None),
]
HOLDINGS = [
    ("a1", 0, 100, "B", "active"),
    ("a1", 100, 50, "A", "claimed"),
    ("a1", 150, 1_699_850, "A", "active"),
    ("a2", 1_700_000, 350_000, "A", "withdrawn"),
    ("a2", 2_050_000, 50_000, "A", "active"),
    ("b1", 500, 60_000, "B", "active"),
    ("b2", 60_500, 50_000, "B", "active"),
    ("b3", 110_500, 95_000, "B", "active"),
    ("c1", 0, 1_000_000, "C", "withdrawn"),
    ("c2", 0, 300_000, "C", "active"),
]


def tables() -> list[tuple[Table, pl.DataFrame]]:
    bundles, events, holdings, energy = [], [], [], []
    for name, (meter, start, first, wh, state, origin) in BUNDLES.items():
        bundle = {"bundle_id": name, "meter_id": meter, "interval_start": start, "interval_end": start + FIVE, "origin": origin}
        bundle |= {"energy_wh": wh, "first_wh": first, "last_wh": first + wh - 1, "state": state, "owner": meter}
        bundles.append(bundle)
        kind = "held" if state == "pending" else "issued"
        events.append(event(name, kind, start, first, wh, meter))
        if origin == "production":
            energy.append({"meter_id": meter, "interval_start": start, "generation_milli_wh": 1000 * wh})
    events += [event(*move) for move in MOVES]
    for name, first, wh, owner, state in HOLDINGS:
        meter, start, *_ = BUNDLES[name]
        row = {"bundle_id": name, "meter_id": meter, "interval_start": start, "owner": owner, "state": state}
        holdings.append(row | {"first_wh": first, "last_wh": first + wh - 1, "energy_wh": wh})
    devices = [{"meter_id": m, "commissioned_at": MARCH - DAY, "country": "US", "configuration": 1} for m in ("A", "B", "C")]
    meters = [{"meter_id": m, "building": f"House {m}", "building_type": "academic"} for m in ("A", "B", "C")]
    return [
        (core.METERS, frame(core.METERS, meters)),
        (core.ENERGY_5MIN, frame(core.ENERGY_5MIN, energy)),
        (certificates.BUNDLES, frame(certificates.BUNDLES, bundles)),
        (certificates.EVENTS, frame(certificates.EVENTS, events)),
        (certificates.HOLDINGS, frame(certificates.HOLDINGS, holdings)),
        (certificates.DEVICES, frame(certificates.DEVICES, devices)),
    ]


def event(name: str, kind: str, start: dt.datetime, first: int, wh: int, owner: str, former: str | None = None) -> dict:
    return {
        "event_id": derived_id("test", name, kind, first), "bundle_id": name, "interval_start": start, "kind": kind,
        "energy_wh": wh, "owner": owner, "from_owner": former, "first_wh": first, "last_wh": first + wh - 1,
        "actor": "pipeline" if kind != "withdrawn" else "ann",
    }  # fmt: skip


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MartLake]:
    lake = MartLake(config.load(data=tmp_path_factory.mktemp("certificates")))
    with lake.warehouse:
        lake.warehouse.commit(*(Replace(table, content) for table, content in tables()))
    lake.dbt("run", dt.date(2026, 3, 31), dt.date(2026, 4, 2), *SELECTED)
    yield lake
    lake.close()


def test_months_of_whole_megawatt_hours_carry_their_residual(lake):
    found = lake.rows("FROM marts.fct_certificates_mwh ORDER BY meter_id, month")
    columns = ("meter_id", "month", "residual_in_wh", "issued_wh", "withdrawn_wh", "certificates", "residual_out_wh")
    march, april = dt.date(2026, 3, 1), dt.date(2026, 4, 1)
    assert [tuple(row[name] for name in columns) for row in found] == [
        # 1.7 MWh: one certificate, 0.7 MWh over; 0.4 issued and 0.35 withdrawn in April: 0.75 MWh, none.
        ("A", march, 0, 1_700_000, 0, 1, 700_000),
        ("A", april, 700_000, 400_000, 350_000, 0, 750_000),
        # 205 kWh; nothing of C, whose production was never issued and whose storage is not counted again.
        ("B", march, 0, 205_000, 0, 0, 205_000),
    ]


def test_quarters_of_an_hour_carry_into_units_of_100_kwh(lake):
    found = lake.rows("FROM marts.fct_certificates_erc WHERE meter_id = 'B' ORDER BY window_start")
    columns = ("window_start", "residual_in_wh", "wh", "certificates", "certificate_kwh", "residual_out_wh", "certificates_total")
    assert [tuple(row[name] for name in columns) for row in found] == [
        # 60 + 50 kWh: a unit and 10 kWh over. 10 + 95 kWh: another, and 5 kWh over.
        (MARCH, 0, 110_000, 1, 100, 10_000, 1),
        (MARCH + 3 * FIVE, 10_000, 95_000, 1, 100, 5_000, 2),
    ]
    # A in March: 17 units of 1,700 kWh and nothing over; 4 more in April, and 3.5 withdrawn five minutes later in the same window.
    found = lake.rows("FROM marts.fct_certificates_erc WHERE meter_id = 'A' ORDER BY window_start")
    assert [(row["certificates"], row["residual_out_wh"]) for row in found] == [(17, 0), (0, 50_000)]


def test_a_withdrawal_takes_units_back_and_leaves_those_before_as_they_were(lake, tmp_path):
    later = lake.copy(tmp_path / "data")
    with later.warehouse:
        rows = [event("a1", "withdrawn", APRIL + 12 * FIVE, 150, 800_000, "A")]
        later.warehouse.commit(
            Replace(certificates.EVENTS, frame(certificates.EVENTS, rows), APRIL + 12 * FIVE, APRIL + 13 * FIVE)
        )
    before, after = (x.rows("FROM marts.fct_certificates_erc WHERE meter_id = 'A' ORDER BY window_start") for x in (lake, later))
    assert after[:2] == before
    # 50 kWh over less 800 kWh: eight units back, 50 kWh over.
    assert (after[2]["certificates"], after[2]["residual_out_wh"], after[2]["certificates_total"]) == (-8, 50_000, 9)
    months = later.rows("FROM marts.fct_certificates_mwh WHERE meter_id = 'A' ORDER BY month")
    # 0.75 MWh over less 0.8 MWh: March's certificate is taken back in April.
    assert [(row["certificates"], row["residual_out_wh"]) for row in months] == [(1, 700_000), (-1, 950_000)]


def test_an_owner_sees_what_it_got_and_what_became_of_it(lake):
    columns = ("bundle_wh", "issued_wh", "received_wh", "transferred_wh", "active_wh", "claimed_wh", "withdrawn_wh")
    found = lake.rows("FROM marts.kpi_certificates ORDER BY owner, local_date")
    days = [(row["owner"], row["local_date"].day, *(row[name] for name in columns)) for row in found]
    assert days == [
        ("A", 31, 1_700_000, 1_700_000, 0, 100, 1_699_850, 50, 0),
        ("A", 1, 400_000, 400_000, 0, 0, 50_000, 0, 350_000),
        ("B", 31, 205_000, 205_000, 100, 0, 205_100, 0, 0),
        ("C", 31, 1_300_000, 300_000, 0, 0, 300_000, 0, 1_000_000),
    ]


def test_a_certificate_has_the_attributes_of_its_device_and_tells_production_from_storage(lake):
    rows = {row["bundle_id"]: row for row in lake.rows("FROM marts.fct_granular_certificates")}
    assert set(rows) == set(BUNDLES)
    produced, stored, pending = rows["a1"], rows["c2"], rows["c1"]
    assert (produced["production_start"], produced["discharge_start"], produced["is_after_storage"]) == (MARCH, None, False)
    assert (stored["production_start"], stored["discharge_start"], stored["is_after_storage"]) == (None, MARCH, True)
    assert (produced["issue_date"], produced["issued_wh"], produced["commissioned_at"]) == (MARCH.date(), 1_700_000, MARCH - DAY)
    assert (produced["active_wh"], produced["used_wh"], produced["void_wh"]) == (1_699_950, 50, 0)
    assert (pending["issued_wh"], pending["issue_date"], pending["is_usable_for_disclosure"]) == (0, None, False)


def test_sound_certificates_pass_and_each_kind_of_error_is_found(lake, tmp_path):
    days = (dt.date(2026, 3, 31), dt.date(2026, 4, 2))
    lake.dbt(
        "test",
        *days,
        "--select",
        *TESTS,
        *(f"{name}_is_sound" for name in (*MODELS, "fct_certificates_mwh", "fct_certificates_erc")),
    )
    wrong = lake.copy(tmp_path / "data")
    with wrong.warehouse:
        connection = wrong.warehouse.connect()
        # A range that overlaps the one before and leaves as many out: sums and ends still agree.
        connection.execute("UPDATE certificates.holdings SET first_wh = 149, energy_wh = 1699851 WHERE first_wh = 150")
        connection.execute("UPDATE marts.fct_certificates SET energy_wh = energy_wh + 2 WHERE bundle_id = 'b1'")
        connection.execute(f"UPDATE certificates.devices SET commissioned_at = TIMESTAMPTZ '{MARCH + FIVE}' WHERE meter_id = 'B'")
        connection.execute("UPDATE certificates.events SET owner = 'C' WHERE kind = 'transferred'")
    with pytest.raises(project.DbtFailed) as failure:
        wrong.dbt("test", *days, "--select", *TESTS)
    found = {part.partition(":")[0]: int(part.split("Got ")[1].split()[0]) for part in str(failure.value).split("; ")}
    assert found == {
        "certificates_never_exceed_generation": 1,
        "every_certificate_has_one_state": 1,
        # A has a Wh twice, B did not get what it holds, and C got what it does not hold.
        "owners_hold_what_they_got": 3,
        "devices_are_registered_before_they_generate": 1,
    }
