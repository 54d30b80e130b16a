"""Certificates as owners, the issuer and auditors handle them, in a lake of which every certificate is known."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from gridtokenx_pipeline import clock, config
from gridtokenx_pipeline.cli import app, certificates
from gridtokenx_pipeline.contracts import Table, Type, core, market, settlement
from gridtokenx_pipeline.contracts import certificates as tables
from gridtokenx_pipeline.defs.maintenance.assets import expire_certificates
from gridtokenx_pipeline.defs.resources import Stores
from gridtokenx_pipeline.domain.certificates import CertificateError, fold
from gridtokenx_pipeline.domain.ids import derived_id
from gridtokenx_pipeline.registry.consumption import Consumption, consumption
from gridtokenx_pipeline.registry.record import deciding, record
from gridtokenx_pipeline.registry.registered import devices_frame
from gridtokenx_pipeline.warehouse import Replace, Warehouse

ENG, PHYS = "AMI_METER_STANFORD_ENG_001", "AMI_METER_STANFORD_PHYS_001"
NOON = dt.datetime(2026, 11, 20, 20, tzinfo=dt.UTC)
FIVE = dt.timedelta(minutes=5)
NOW = NOON + dt.timedelta(hours=3, minutes=2)
TRADE = derived_id("test", "trade")
PERIOD = ("--from", "2026-11-20T20:00Z", "--to", "2026-11-20T21:00Z")
_FILL = {Type.TEXT: "x", Type.INTEGER: 1, Type.BIGINT: 0, Type.BOOLEAN: True, Type.ENERGY: 0}


def frame(table: Table, rows: list[dict]) -> pl.DataFrame:
    """A frame of the contract; what a row leaves out is null or a constant."""
    filled = {c.frame_name: None if c.nullable else _FILL.get(c.type) for c in table.columns}
    return pl.DataFrame([filled | {"zone": "stanford"} | row for row in rows], schema=table.frame_schema(), orient="row")


def bundle(name: str, meter: str, step: int, first: int, wh: int, **values: object) -> dict:
    return {
        "bundle_id": derived_id("test", name), "meter_id": meter, "interval_start": NOON + step * FIVE, "energy_wh": wh,
        "interval_end": NOON + (step + 1) * FIVE, "first_wh": first, "last_wh": first + wh - 1, "carrier": "electricity",
        "source": "solar", "state": "issued", "owner": meter, "quality_flags": 1, "origin": "production", "version": 1, **values,
    }  # fmt: skip


B0 = bundle("b0", ENG, -1, 4960, 40)
B1 = bundle("b1", ENG, 0, 5000, 1000)
B2 = bundle("b2", ENG, 1, 6000, 500)
B3 = bundle("b3", PHYS, 1, 0, 50, state="pending")
STORED = bundle("stored", ENG, 1, 100, 30, origin="storage_discharge")
UNSETTLED = bundle("unsettled", ENG, 2, 6500, 700)
BUNDLES = (B0, B1, B2, B3, STORED, UNSETTLED)


def event(of: dict, number: int, kind: str, first: int, wh: int, owner: str, **values: object) -> dict:
    return {
        "event_id": derived_id("test", of["bundle_id"], kind, number), "bundle_id": of["bundle_id"], "number": number, "kind": kind,
        "interval_start": of["interval_start"], "bundle_interval_start": of["interval_start"], "energy_wh": wh, "owner": owner,
        "first_wh": first, "last_wh": first + wh - 1, "actor": "pipeline", "version": 1, **values,
    }  # fmt: skip


def whole(of: dict) -> dict:
    return event(of, 1, "issued" if of["state"] == "issued" else "held", of["first_wh"], of["energy_wh"], of["meter_id"])


CLAIM = {"beneficiary": ENG, "period_start": NOON, "period_end": NOON + FIVE}
EVENTS = [
    *map(whole, BUNDLES),
    event(B0, 2, "locked", 4960, 40, ENG),
    # What the store gave five minutes later: 33 Wh in, 30 Wh out.
    event(B0, 3, "cancelled", 4960, 33, ENG, interval_start=NOON + FIVE, counter_bundle_id=STORED["bundle_id"]),
    event(B1, 2, "claimed", 5000, 200, ENG, **CLAIM),
    event(B1, 3, "locked", 5200, 100, ENG),
    event(B1, 4, "transferred", 5300, 300, PHYS, from_owner=ENG, trade_id=TRADE),
]
# PHYS used 250 Wh at noon and 200 five minutes later; ENG 200 and 100.
LOADS = ((PHYS, 0, 250), (PHYS, 1, 200), (ENG, 0, 200), (ENG, 1, 100), (PHYS, 2, 999), (ENG, 2, 0), (ENG, -1, 0))


def _generation(of: dict | None) -> dict:
    """Energy and register of the interval that a bundle is of, a third of a Wh beside whole ones."""
    if of is None:
        return {}
    return {"generation_milli_wh": 1000 * of["energy_wh"], "generation_register_milli_wh": 1000 * of["last_wh"] + 1333}


def filled(warehouse: Warehouse) -> None:
    bundles, events = frame(tables.BUNDLES, list(BUNDLES)), frame(tables.EVENTS, EVENTS)
    generated = {(b["meter_id"], b["interval_start"]): b for b in BUNDLES if b["origin"] == "production"}
    energy = [
        {
            "meter_id": meter,
            "interval_start": NOON + step * FIVE,
            "duration_s": 300,
            "load_milli_wh": 1000 * wh,
            "load_register_milli_wh": 1000 * (10_000 + wh),
            **_generation(generated.get((meter, NOON + step * FIVE))),
        }
        for meter, step, wh in LOADS
    ]
    states = ("settled", "settled", "settled", "closed")
    intervals = [{"interval_start": NOON + i * FIVE, "version": 1, "state": state} for i, state in enumerate(states, -1)]
    trade = {"trade_id": TRADE, "interval_start": NOON, "seller_meter_id": ENG, "buyer_meter_id": PHYS, "energy_wh": 300}
    item = {"batch_id": "batch", "window_start": NOON}
    items = [
        item | {"item_id": "i1", "kind": "certificate", "natural_key": B1["bundle_id"], "leaf_index": 0},
        item | {"item_id": "i2", "kind": "trade", "natural_key": TRADE, "leaf_index": 1},
    ]
    transactions = [item | {"signature": f"sig-{state}", "state": state, "slot": 7} for state in ("confirmed", "expired")]
    warehouse.commit(
        Replace(tables.BUNDLES, bundles),
        Replace(tables.EVENTS, events),
        Replace(tables.HOLDINGS, fold(events, bundles)),
        Replace(tables.DEVICES, devices_frame(config.load())),
        Replace(core.ENERGY_5MIN, frame(core.ENERGY_5MIN, energy)),
        Replace(market.INTERVALS, frame(market.INTERVALS, intervals)),
        Replace(market.TRADES, frame(market.TRADES, [trade])),
        Replace(settlement.ITEMS, frame(settlement.ITEMS, items)),
        Replace(
            settlement.BATCHES, frame(settlement.BATCHES, [item | {"merkle_root": "ab" * 32, "certificate_wh": B1["energy_wh"]}])
        ),
        Replace(settlement.TRANSACTIONS, frame(settlement.TRANSACTIONS, transactions)),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    data = tmp_path_factory.mktemp("certificates")
    with Warehouse(data / "warehouse") as warehouse:
        filled(warehouse)
    return data


@pytest.fixture
def data(made, tmp_path):
    """A copy to write to, three hours later."""
    shutil.copytree(made, tmp_path / "data")
    clock.set_clock(lambda: NOW)
    yield tmp_path / "data"
    clock.set_clock(clock.system_clock)


def invoke(data: Path, *arguments: str, **options: object):
    """Run a command of the group; the whole tree of commands would be built anew each time."""
    return CliRunner().invoke(certificates.app, [*arguments, "--data", str(data)], **options)


def answer(data: Path, *arguments: str):
    result = invoke(data, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def sums(data: Path, *arguments: str) -> dict[str, int]:
    return {state: row["energy_wh"] for state, row in answer(data, "list", *arguments)["totals"].items()}


def refused(result) -> str:
    """What a refusal says: one line, exit code 1."""
    assert result.exit_code == 1, result.output
    (line,) = result.stderr.strip().splitlines()
    return line


def test_totals_are_those_of_the_filtered_certificates(made):
    assert sums(made) == {"active": 400 + 300 + 500 + 30 + 700, "claimed": 200, "locked": 107, "pending": 50, "cancelled": 33}
    assert sums(made, "--owner", PHYS) == {"active": 300, "pending": 50}
    assert sums(made, "--meter", ENG, "--state", "active", "--to", "2026-11-20T20:05Z") == {"active": 700}
    assert sums(made, "--origin", "storage_discharge") == {"active": 30}
    assert sums(made, "--from", "2026-11-20T20:10Z") == {"active": 700}
    assert answer(made, "list", "--owner", "NOBODY") == {"certificates": [], "totals": {}}


def test_a_listed_range_names_its_ids_owner_and_device(made):
    listed = answer(made, "list", "--owner", PHYS, "--state", "active")["certificates"]
    assert listed == [
        {
            "bundle_id": B1["bundle_id"], "meter_id": ENG, "device_name": "Engineering photovoltaic", "owner": PHYS,
            "state": "active", "origin": "production", "interval_start": "2026-11-20T20:00:00Z",
            "interval_end": "2026-11-20T20:05:00Z", "first_wh": 5300, "last_wh": 5599, "energy_wh": 300,
        }
    ]  # fmt: skip


def test_a_cut_list_says_so_and_its_totals_are_of_all(made):
    result = invoke(made, "list", "--limit", "2")
    assert "the first 2 of 10 ranges" in result.stdout
    assert "1930" in result.stdout


def test_a_bundle_is_shown_from_its_register_to_the_chain(made):
    shown = answer(made, "show", B1["bundle_id"][:8])
    assert {name: shown["attributes"][name] for name in ("carrier", "technology", "fuel_code", "country", "location", "issuer")} == {
        "carrier": "electricity", "technology": "photovoltaic", "fuel_code": "ES100", "country": "US",
        "location": "37.4275,-122.1697", "issuer": "GridTokenX",
    }  # fmt: skip
    assert shown["attributes"]["commissioned_at"] == "2025-01-01T08:00:00Z"
    assert [(r["first_wh"], r["last_wh"], r["state"], r["owner"]) for r in shown["ranges"]] == [
        (5000, 5199, "claimed", ENG),
        (5200, 5299, "locked", ENG),
        (5300, 5599, "active", PHYS),
        (5600, 5999, "active", ENG),
    ]
    assert [e["kind"] for e in shown["history"]] == ["issued", "claimed", "locked", "transferred"]
    assert [t["trade_id"] for t in shown["trades"]] == [TRADE]
    assert [(c["kind"], c["signature"]) for c in shown["on_chain"]] == [
        ("certificate", "sig-confirmed"),
        ("trade", "sig-confirmed"),
    ]


def _queries() -> list[tuple[str, str]]:
    """The queries of the auditor's chapter on certificates, each with the number of what it tests."""
    text = (config.PROJECT_ROOT / "docs" / "auditor.md").read_text(encoding="utf-8")
    found, number = [], "0"
    for heading, sql in re.findall(
        r"^\*\*(\d+)\. |```sql\n(.*?)```", text[text.index("twelve things") :], re.DOTALL | re.MULTILINE
    ):
        number = heading or number
        found += [(number, query) for query in sql.split(";") if query.strip() and "'BUNDLE'" not in query and number != "0"]
    return found


TAMPERED = {
    "1": "UPDATE core.energy_5min SET generation_register_wh = generation_register_wh - 1, generation_wh = generation_wh - 1",
    "2": "DELETE FROM certificates.holdings WHERE state = 'claimed'",
    "3": "UPDATE certificates.bundles SET first_wh = first_wh - 1",
    "4": "UPDATE core.energy_5min SET load_wh = 0",
    "5": "DELETE FROM certificates.events WHERE kind = 'cancelled'",
    "6": "UPDATE certificates.devices SET capacity_kw = 6",
    "7": "UPDATE certificates.bundles SET quality_flags = 17",
    "8": "UPDATE certificates.devices SET commissioned_at = now() + INTERVAL 100 YEAR",
    "9": "UPDATE market.trades SET loss_wh = 1",
    "12": "UPDATE settlement.batches SET certificate_wh = 999",
}


def test_the_auditors_queries_find_nothing_in_sound_certificates(made):
    with Warehouse(made / "warehouse", read_only=True) as warehouse:
        for number, query in _queries():
            assert warehouse.query(query).is_empty(), number


def test_the_auditors_queries_find_what_is_wrong(data):
    """One wrong thing after the other, in one lake, each undone."""
    queries = _queries()
    assert {number for number, _ in queries} == set(TAMPERED)
    with Warehouse(data / "warehouse") as warehouse:
        connection = warehouse.connect()
        for number, change in TAMPERED.items():
            connection.execute("BEGIN")
            connection.execute(change)
            assert any(len(connection.execute(query).fetchall()) for other, query in queries if other == number), number
            connection.execute("ROLLBACK")


def test_an_event_leads_to_its_bundle_and_what_is_not_on_chain_says_so(made):
    moved = EVENTS[-1]["event_id"]
    assert answer(made, "show", moved[:12])["event_id"] == moved
    text = invoke(made, "show", B2["bundle_id"]).stdout
    assert "On chain: none" in text
    assert "Trades they moved with: none" in text


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("show", "12345678"), "no bundle or event has an id that begins with 12345678"),
        (("show", B1["bundle_id"][:5]), "8 characters"),
        (("show", "%_______%"), "no id"),
        (("list", "--state", "sold"), "--state sold: it is one of pending, active"),
        (("list", "--origin", "wind"), "production or storage_discharge"),
    ],
)
def test_what_cannot_be_found_is_one_line(made, arguments, why):
    assert why.replace(" or ", ", ") in refused(invoke(made, *arguments)).replace(" or ", ", ")


def test_the_group_is_part_of_the_command():
    shown = CliRunner().invoke(app, ["certificates", "--help"])
    assert all(name in shown.stdout for name in ("list", "show", "retire", "withdraw", "expire"))


def test_without_a_warehouse_nothing_is_made(tmp_path):
    assert "no warehouse" in refused(invoke(tmp_path / "data", "list"))
    assert not (tmp_path / "data" / "warehouse" / "catalog.sqlite").exists()


def retire(data: Path, *arguments: str, purpose: str = "disclosure"):
    return invoke(data, "retire", *PERIOD, "--purpose", purpose, "--by", "ann", "--yes", "--json", *arguments)


def stored_states(data: Path, owner: str) -> dict[str, int]:
    return sums(data, "--owner", owner)


def is_fold(data: Path) -> bool:
    """Whether the stored holdings are the fold of the stored events."""
    with Warehouse(data / "warehouse", read_only=True) as warehouse:
        stored = [warehouse.read(table) for table in (tables.EVENTS, tables.BUNDLES, tables.HOLDINGS)]
        return fold(stored[0], stored[1]).equals(stored[2])


def test_a_retirement_names_whose_consumption_what_for_when_and_who(data):
    """PHYS owns 300 Wh that it bought, and used 450 Wh in settled intervals of the hour."""
    result = retire(data, "--owner", PHYS, "--wh", "120")
    assert result.exit_code == 0, result.output
    done = json.loads(result.stdout)
    (row,) = done["events"]
    assert {name: row[name] for name in ("kind", "energy_wh", "first_wh", "last_wh", "owner", "beneficiary", "purpose", "actor")} == {
        "kind": "retired", "energy_wh": 120, "first_wh": 5300, "last_wh": 5419, "owner": PHYS, "beneficiary": PHYS,
        "purpose": "disclosure", "actor": "ann",
    }  # fmt: skip
    assert (row["period_start"], row["period_end"]) == ("2026-11-20T20:00:00Z", "2026-11-20T21:00:00Z")
    # It happened when it was decided, not when the energy was generated.
    assert row["interval_start"] == "2026-11-20T23:00:00Z"
    assert done["before"] == {"active": 700, "claimed": 200, "locked": 100}
    assert done["after"] == {"active": 580, "claimed": 200, "locked": 100, "retired": 120}
    assert stored_states(data, PHYS) == {"active": 180, "retired": 120, "pending": 50}
    assert is_fold(data)
    shown = answer(data, "show", row["event_id"])
    assert shown["history"][-1]["actor"] == "ann"


def test_the_same_retirement_twice_is_refused_and_more_of_it_has_to_be_said(data):
    assert retire(data, "--owner", PHYS, "--wh", "120").exit_code == 0
    clock.set_clock(lambda: NOW + dt.timedelta(days=1))
    assert "has retired 120 Wh for this consumption and purpose already" in refused(retire(data, "--owner", PHYS, "--wh", "120"))
    assert stored_states(data, PHYS)["retired"] == 120
    assert retire(data, "--owner", PHYS, "--wh", "30", "--again").exit_code == 0
    assert retire(data, "--owner", PHYS, "--wh", "10", purpose="another").exit_code == 0
    assert stored_states(data, PHYS) == {"active": 140, "retired": 160, "pending": 50}
    assert retire(data, "--bundle", B1["bundle_id"][:8], "--owner", PHYS).exit_code == 0
    assert "0 Wh are active" in refused(retire(data, "--bundle", B1["bundle_id"][:8], "--owner", PHYS))
    assert is_fold(data)


def test_no_more_is_retired_than_was_consumed_and_nothing_stands_for_yet(data):
    """PHYS used 450 Wh in settled intervals. ENG used 300, of which 200 are claimed."""
    assert "999" not in refused(retire(data, "--owner", ENG, "--beneficiary", PHYS, "--wh", "451"))
    assert "200 Wh are covered" in refused(retire(data, "--owner", ENG, "--wh", "101"))
    assert retire(data, "--owner", ENG, "--wh", "100").exit_code == 0
    assert retire(data, "--owner", PHYS, "--wh", "300").exit_code == 0
    # For PHYS 150 are left, whoever retires.
    assert "450 Wh" in refused(retire(data, "--owner", ENG, "--beneficiary", PHYS, "--wh", "151"))
    assert retire(data, "--owner", ENG, "--beneficiary", PHYS, "--wh", "150").exit_code == 0
    assert is_fold(data)


def test_a_claim_that_a_correction_took_back_makes_room_again(data):
    """Of the 200 Wh that ENG claimed 50 are withdrawn: of its 300 Wh of load 150 are covered."""
    with Warehouse(data / "warehouse") as warehouse:
        back = event(B1, 5, "withdrawn", 5150, 50, ENG, reason="correction", version=2)
        assert len(record(warehouse, frame(tables.EVENTS, [back])).events) == 1
        # On record already: nothing more happens.
        assert record(warehouse, frame(tables.EVENTS, [back])).events.is_empty()
        found = consumption(warehouse, ENG, NOON, NOON + 12 * FIVE)
    assert found == Consumption(metered_wh=300, covered_wh=150)
    assert is_fold(data)


def test_an_impossible_event_is_not_written(data):
    with Warehouse(data / "warehouse") as warehouse:
        twice = event(B1, 6, "retired", 5100, 10, ENG)
        with pytest.raises(CertificateError, match="cannot happen"):
            record(warehouse, frame(tables.EVENTS, [twice]))
    assert is_fold(data)


def test_a_claim_that_touches_a_period_counts_whole_in_it(data):
    """No way to divide an hour lets a Wh of load stand for two certificates."""
    part = ("--from", "2026-11-20T20:00Z", "--to", "2026-11-20T20:05Z", "--purpose", "half", "--by", "ann", "--yes")
    assert retire(data, "--owner", PHYS, "--wh", "250").exit_code == 0
    assert "250 Wh are covered" in refused(invoke(data, "retire", "--owner", PHYS, "--wh", "1", *part))


def test_generation_outside_the_period_does_not_count(data):
    later = ("--from", "2026-11-20T20:05Z", "--to", "2026-11-20T20:10Z", "--purpose", "x", "--by", "ann", "--yes")
    assert "0 Wh are active in the period" in refused(invoke(data, "retire", "--owner", PHYS, "--wh", "1", *later))
    assert "0 Wh are active" in refused(retire(data, "--bundle", UNSETTLED["bundle_id"]))


def test_a_bundle_of_one_owner_needs_no_owner_and_one_of_two_does(data):
    assert "say whose" in refused(retire(data, "--bundle", B1["bundle_id"]))
    assert retire(data, "--bundle", B2["bundle_id"][:8], "--wh", "40").exit_code == 0
    assert stored_states(data, ENG)["retired"] == 40


def test_the_issuer_withdraws_what_is_not_final_and_says_why(data):
    result = invoke(data, "withdraw", B1["bundle_id"][:8], "--reason", "wrong panels", "--by", "registrar", "--yes", "--json")
    assert result.exit_code == 0, result.output
    done = json.loads(result.stdout)
    assert done["after"] == {"claimed": 200, "locked": 100, "withdrawn": 700}
    assert {(e["reason"], e["actor"], e["kind"]) for e in done["events"]} == {("wrong panels", "registrar", "withdrawn")}
    # Who owned them, owned them to the end.
    assert sorted(e["owner"] for e in done["events"]) == [ENG, PHYS]
    assert "0 Wh are active or pending" in refused(
        invoke(data, "withdraw", B1["bundle_id"], "--reason", "x", "--by", "r", "--yes")
    )
    assert "not settled" in refused(invoke(data, "withdraw", UNSETTLED["bundle_id"], "--reason", "x", "--by", "r", "--yes"))
    assert is_fold(data)


def test_what_is_past_its_validity_expires_once(data):
    first = invoke(data, "expire", "--by", "registrar", "--yes")
    assert (first.exit_code, "nothing to do" in first.stdout) == (0, True)
    clock.set_clock(lambda: NOON + dt.timedelta(days=730, minutes=7))
    answered = json.loads(invoke(data, "expire", "--by", "registrar", "--yes", "--json").stdout)
    # All of B1, B2 and the store's that was active; what is locked, pending or not settled stays.
    assert answered["after"]["expired"] == 400 + 300 + 500 + 30
    assert "nothing to do" in invoke(data, "expire", "--by", "registrar", "--yes").stdout
    assert sums(data) == {"active": 700, "cancelled": 33, "claimed": 200, "expired": 1230, "locked": 107, "pending": 50}
    assert is_fold(data)


def test_the_night_expires_what_is_past_its_validity_and_waits_for_people(data):
    stores, said = Stores(data=str(data)), []
    later = NOON + dt.timedelta(days=730, minutes=7)
    with deciding(stores.warehouse):
        assert expire_certificates(stores, later, said.append) == 0
    assert "deciding" in said.pop()
    assert [expire_certificates(stores, later, said.append) for _ in range(2)] == [1230, 0]
    assert not said
    stores.warehouse.close()
    assert is_fold(data)


def test_nothing_happens_until_it_is_confirmed(data):
    command = ("retire", *PERIOD, "--owner", PHYS, "--wh", "5", "--purpose", "x", "--by", "ann")
    asked = invoke(data, *command, input="n\n")
    assert asked.exit_code == 1
    assert "retire 5 Wh" in asked.stderr
    assert "retired" not in stored_states(data, PHYS)
    agreed = invoke(data, *command, input="y\n")
    assert agreed.exit_code == 0
    assert "retired 5 Wh" in agreed.stdout
    assert stored_states(data, PHYS)["retired"] == 5


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("retire", "--owner", PHYS, "--wh", "1", "--purpose", "x"), "--from and --to"),
        (("retire", *PERIOD, "--wh", "1", "--purpose", "x"), "--owner"),
        (("retire", *PERIOD, "--owner", PHYS, "--wh", "1"), "what for"),
        (("retire", *PERIOD, "--owner", PHYS, "--wh", "1", "--purpose", "x", "--by", "pipeline"), "actor"),
        (("retire", *PERIOD, "--owner", PHYS, "--wh", "301", "--purpose", "x"), "300 Wh are active"),
        (("retire", *PERIOD, "--owner", PHYS, "--beneficiary", "ACME", "--wh", "1", "--purpose", "x"), "ACME is no meter"),
        (("retire", "--from", PERIOD[3], "--to", PERIOD[1], "--owner", PHYS, "--purpose", "x"), "empty"),
        (("withdraw", B1["bundle_id"], "--reason", "  "), "says why"),
        (("withdraw", "00000000", "--reason", "x"), "no bundle"),
    ],
)
def test_a_wrong_decision_changes_nothing_and_says_why(data, arguments, why):
    assert why in refused(invoke(data, *arguments, "--yes"))
    with Warehouse(data / "warehouse", read_only=True) as warehouse:
        assert len(warehouse.read(tables.EVENTS)) == len(EVENTS)


def test_two_cannot_decide_at_once(data):
    with Warehouse(data / "warehouse") as warehouse, deciding(warehouse):
        assert "somebody else" in refused(retire(data, "--owner", PHYS, "--wh", "5"))
    assert retire(data, "--owner", PHYS, "--wh", "5").exit_code == 0
