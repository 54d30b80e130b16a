"""Marts of a market computed by hand (`market_rows`): cases A and C, a correction, and days when the clocks change."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from market_rows import FIRST_OF_SUNDAY, KNOWN_FROM, LAST_OF_SATURDAY, SUMMER_TIME, SWITCHED
from mart_lake import AUTUMN, DAY, SPRING, MartLake

from gridtokenx_pipeline.defs.marts import project

SATURDAY = SPRING - DAY
SINGULAR = (
    "every_meter_balances",
    "pairs_are_all_of_the_campus",
    "flows_between_types_are_the_trades",
    "bills_sum_to_the_campus",
)


def one(marts: MartLake, sql: str) -> dict:
    (row,) = marts.rows(sql)
    return row


def day(marts: MartLake, name: str, date: dt.date, where: str = "true") -> dict:
    return one(marts, f"FROM marts.{name} WHERE zone = 'oracle' AND local_date = DATE '{date}' AND {where}")


def shown(row: dict, *names: str) -> tuple:
    return tuple(row[name] for name in names)


def test_an_interval_is_one_row_whatever_its_corrections(marts):
    found = marts.rows("FROM marts.fct_market_intervals ORDER BY interval_start")
    assert len(found) == 5
    first = found[0]
    assert first["interval_start"] == LAST_OF_SATURDAY
    assert shown(first, "version", "corrections", "state", "correction_state") == (2, 1, "settled", "closed")
    # Of today, but for what was tradable when it was cleared.
    assert shown(first, "supply_wh", "demand_wh", "tradable_wh", "traded_wh") == (2360, 3046, 2401, 2401)
    assert shown(first, "price_micro_per_kwh", "tariff", "mechanism", "meters") == (93_245, "flat", "sdr_bilateral/1", 5)
    assert shown(found[1], "version", "corrections", "correction_state") == (1, 0, None)


def test_trading_is_counted_by_the_days_of_the_site(marts):
    names = ("market_intervals", "market_intervals_corrected", "traded_wh", "trades", "pairs", "amount_micro", "success_pct")
    assert shown(day(marts, "kpi_trading", SATURDAY), *names) == (1, 1, 2401, 4, 4, 223_881, 100)
    assert shown(day(marts, "kpi_trading", SPRING), *names) == (1, 0, 2401, 5, 5, 258_335, 100)
    # 1:55 came twice.
    assert shown(day(marts, "kpi_trading", AUTUMN), *names) == (3, 0, 4902, 9, 4, 455_762, 100)


def test_a_trade_says_what_was_sold_and_what_arrived(marts):
    lossy = one(marts, f"FROM marts.fct_trades WHERE interval_start = '{SWITCHED}'")
    assert shown(lossy, "energy_wh", "loss_wh", "delivered_wh", "wheeling_micro", "pair_id") == (100, 5, 95, 200, "M1 M3")
    agreed = one(marts, "FROM marts.fct_trades WHERE kind = 'agreement'")
    assert shown(agreed, "agreement_id", "seller_building_type", "buyer_building_type") == ("agreed", "academic", "research")
    terms = one(marts, "FROM marts.dim_agreement")
    assert shown(terms, "agreement_id", "pair_id", "seller_building_type", "max_wh") == ("agreed", "M1 M4", "academic", 500)
    assert shown(one(marts, "FROM marts.dim_offer"), "meter_id", "building_type", "side") == ("M3", "residential", "buy")


def test_each_direction_of_a_pair_counts_by_itself(marts):
    names = (
        "trades",
        "energy_wh",
        "a_to_b_wh",
        "b_to_a_wh",
        "a_to_b_amount_micro",
        "b_to_a_amount_micro",
        "loss_wh",
        "wheeling_micro",
    )
    both = day(marts, "fct_pair_daily", AUTUMN, "pair_id = 'M1 M3'")
    assert shown(both, *names) == (3, 3100, 3000, 100, 279_736, 8_000, 5, 200)
    assert shown(both, "building_type_a", "building_type_b", "pair_type") == ("academic", "residential", "inter")
    # M5 sold to M4, which comes first in the alphabet.
    assert shown(day(marts, "fct_pair_daily", SATURDAY, "pair_id = 'M4 M5'"), *names) == (1, 200, 0, 200, 0, 18_649, 0, 0)
    assert day(marts, "fct_pair_daily", SPRING, "pair_id = 'M1 M4'")["agreement_wh"] == 500


def test_utilisation_is_of_all_pairs_and_of_days_that_end_with_the_day(marts):
    names = ("pairs", "pairs_traded", "utilisation_pct", "pairs_traded_7d", "pairs_traded_30d", "energy_per_pair_wh")
    assert shown(day(marts, "kpi_pair_utilisation", SATURDAY), *names) == (10, 4, 40, 4, 4, 600)
    # The agreement adds one pair to Saturday's four.
    assert shown(day(marts, "kpi_pair_utilisation", SPRING), *names) == (10, 5, 50, 5, 5, 480)
    # Spring is more than 30 days ago.
    assert shown(day(marts, "kpi_pair_utilisation", AUTUMN), *names) == (10, 4, 40, 4, 4, 1225)


def test_the_matrix_of_types_has_all_its_cells(marts):
    cells = marts.rows(f"FROM marts.fct_type_flow_daily WHERE zone = 'oracle' AND local_date = DATE '{AUTUMN}'")
    assert len(cells) == 36
    flows = {
        shown(c, "seller_building_type", "buyer_building_type"): shown(
            c, "trades", "pairs", "energy_wh", "delivered_wh", "amount_micro"
        )
        for c in cells
        if c["trades"]
    }
    assert flows == {
        ("academic", "residential"): (4, 2, 3126, 3126, 291_484),
        ("academic", "research"): (2, 1, 1276, 1276, 118_980),
        ("support", "research"): (2, 1, 400, 400, 37_298),
        ("residential", "academic"): (1, 1, 100, 95, 8_000),
    }
    assert sum(c["energy_wh"] for c in cells) == 2 * 2401 + 100


def test_a_correction_is_a_difference_at_the_grid_and_says_what_it_changed(marts):
    found = {row["meter_id"]: row for row in marts.rows("FROM marts.fct_corrections")}
    names = ("net_before_wh", "net_delta_wh", "net_after_wh", "export_delta_wh", "import_delta_wh")
    assert {meter: shown(row, *names) for meter, row in found.items()} == {
        "M1": (1500, 10, 1510, 10, 0),
        "M2": (701, -51, 650, 0, 51),
        "M3": (-1951, -49, -2000, 0, 49),
    }
    amounts = ("amount_before_micro", "amount_delta_micro", "amount_after_micro", "state", "version")
    assert shown(found["M3"], *amounts) == (-108_640, -13_720, -122_360, "closed", 2)
    assert shown(found["M3"], "energy_known_from", "energy_revisions") == (KNOWN_FROM[1], 2)
    assert found["M2"]["energy_known_from"] is None
    # Rows add up to what is known today.
    sums = "sum(net_wh)::INT, sum(export_wh)::INT, sum(import_wh)::INT, sum(amount_micro)::INT, count(DISTINCT interval_start)"
    of_m2 = one(
        marts, f"SELECT {sums} FROM marts.fct_grid_settlements WHERE meter_id = 'M2' AND interval_start = '{LAST_OF_SATURDAY}'"
    )
    assert tuple(of_m2.values()) == (650, 0, 51, -14_280, 1)


@pytest.mark.parametrize(
    ("meter", "energy", "money"),
    [
        # Sold 1500 for 139,868 and 10 to the grid for 800; all at feed-in would be 1510 Wh for 120,800.
        ("M1", (1510, 1500, 0, 10, 0), (139_868, 0, 800, 0, 140_668, 120_800, 19_868)),
        # Sold 51 Wh more than it had: they are bought at 280,000.
        ("M2", (650, 701, 0, 0, 51), (65_364, 0, 0, 14_280, 51_084, 52_000, -916)),
        # 1563 bought for 145,742, and 437 from the grid for 122,360; all at retail would be 560,000.
        ("M3", (-2000, 0, 1563, 0, 437), (0, 145_742, 0, 122_360, -268_102, -560_000, 291_898)),
        ("M4", (-1046, 0, 838, 0, 208), (0, 78_139, 0, 58_240, -136_379, -292_880, 156_501)),
        ("M5", (200, 200, 0, 0, 0), (18_649, 0, 0, 0, 18_649, 16_000, 2_649)),
    ],
)
def test_a_bill_is_trades_and_grid_as_known_today(marts, meter, energy, money):
    bill = day(marts, "fct_meter_bill_daily", SATURDAY, f"meter_id = '{meter}'")
    assert shown(bill, "net_wh", "sold_wh", "received_wh", "export_wh", "import_wh") == energy
    amounts = ("sold_micro", "bought_micro", "export_micro", "import_micro", "balance_micro", "grid_only_micro", "saving_micro")
    assert shown(bill, *amounts) == money
    assert shown(bill, "intervals", "intervals_settled", "corrections") == (1, 1, int(meter in ("M1", "M2", "M3")))


def test_a_bill_has_losses_and_the_way_in_it(marts):
    bill = day(marts, "fct_meter_bill_daily", AUTUMN, "meter_id = 'M1'")
    # Twice case A; then 100 Wh bought of which 95 came, and 5 more from the grid.
    assert shown(bill, "sold_wh", "bought_wh", "received_wh", "import_wh", "net_wh") == (3000, 100, 95, 5, 2900)
    assert shown(bill, "bought_micro", "wheeling_micro", "import_micro") == (8_000, 200, 1_400)
    assert bill["balance_micro"] == 2 * 139_868 - 8_000 - 200 - 1_400


def test_the_campus_is_one_account(marts):
    names = ("net_wh", "export_wh", "import_wh", "loss_wh", "feeder_net_wh", "unaccounted_wh", "grid_amount_micro")
    assert shown(day(marts, "fct_campus_balance_daily", SATURDAY), *names) == (-686, 10, 696, 0, -600, -86, -194_080)
    autumn = day(marts, "fct_campus_balance_daily", AUTUMN)
    assert shown(autumn, *names) == (-1192, 0, 1197, 5, -1200, 8, -335_160)
    assert shown(autumn, "intervals", "intervals_with_feeder", "corrections", "meters") == (3, 2, 0, 5)
    first = one(marts, f"FROM marts.fct_campus_balance WHERE interval_start = '{LAST_OF_SATURDAY}'")
    assert shown(first, "corrections", *names) == (1, -686, 10, 696, 0, -600, -86, -194_080)


def test_a_meter_switches_when_it_changes_sides(marts):
    roles = marts.rows("FROM marts.fct_meter_roles WHERE meter_id = 'M3' ORDER BY interval_start")
    # The second follows the first; between spring and autumn, and between 1:55 and 1:55, is no interval.
    assert [shown(r, "role", "previous_role", "changed", "switched") for r in roles] == [
        ("buyer", None, False, False),
        ("buyer", "buyer", False, False),
        ("buyer", None, False, False),
        ("buyer", None, False, False),
        ("seller", "buyer", True, True),
    ]
    assert [r["position"] for r in roles] == ["deficit"] * 4 + ["surplus"]
    last = {r["meter_id"]: r for r in marts.rows(f"FROM marts.fct_meter_roles WHERE interval_start = '{SWITCHED}'")}
    assert shown(last["M2"], "role", "position", "changed", "switched") == ("neutral", "balanced", True, False)
    assert last["M1"]["local_start"] == dt.datetime(2026, 11, 1, 1) + dt.timedelta(hours=1)
    switching = day(marts, "kpi_role_switching", AUTUMN, "meter_id = 'M1'")
    assert shown(switching, "intervals", "intervals_seller", "intervals_buyer", "switches", "role_changes") == (3, 2, 1, 1, 1)


def test_independence_is_of_consumption_alone_with_trades_and_at_the_connection(marts):
    today = day(marts, "kpi_grid_independence", SATURDAY)
    # Load 1200 + 299 + 2000 + 1296 + 600, generation 3210 + 949 + 250.
    assert shown(today, "meters", "intervals", "consumption_wh", "generation_wh") == (5, 1, 5395, 4409)
    assert shown(today, "surplus_wh", "deficit_wh", "received_wh") == (2360, 3046, 2401)
    assert shown(today, "grid_export_wh", "grid_import_wh", "campus_export_wh", "campus_import_wh") == (10, 696, 0, 686)
    # 1 - 3046/5395, 1 - 696/5395 and 1 - 686/5395, rounded down.
    shares = ("independence_alone_pct", "grid_independence_pct", "self_sufficiency_pct", "self_consumption_pct")
    assert shown(today, *shares) == (Decimal("43.540"), Decimal("87.099"), Decimal("87.284"), 100)
    assert shown(day(marts, "kpi_grid_independence", SPRING), "deficit_wh", "grid_import_wh", "campus_import_wh") == (
        2997,
        596,
        596,
    )


def test_a_view_is_made_again_only_when_it_is_another(marts):
    """The second run found kpi_energy replaced by something else, and kpi_trading as it had left it."""
    versions = "SELECT count(*) AS versions FROM __ducklake_metadata_lake.ducklake_view WHERE view_name = "
    assert one(marts, f"{versions} 'kpi_trading'")["versions"] == 1
    assert one(marts, f"{versions} 'kpi_energy'")["versions"] > 2
    assert len(marts.rows("FROM marts.kpi_energy WHERE zone = 'stanford'")) == 2


def test_the_tests_pass_and_see_what_is_wrong(marts, tmp_path):
    lake = marts.copy(tmp_path / "data")
    models = ("fct_trades", "fct_grid_settlements", "fct_meter_roles", "fct_market_intervals")
    selection = ("--select", *SINGULAR, *(f"{name}_is_sound" for name in models))
    lake.dbt("test", SPRING, AUTUMN + DAY, *selection)
    of_summer = f"interval_start = '{SUMMER_TIME}' AND seller_meter_id = 'M5'"
    tampering = (
        "DELETE FROM marts.dim_pair WHERE pair_id = 'M1 M2'",
        # M1 sells in that interval.
        f"UPDATE market.trades SET buyer_meter_id = 'M1', kind = 'gift' WHERE {of_summer}",
        f"UPDATE market.campus_balances SET export_wh = 1 WHERE interval_start = '{FIRST_OF_SUNDAY}'",
        f"UPDATE market.intervals SET state = 'lost' WHERE interval_start = '{SWITCHED}'",
        f"INSERT INTO market.grid_settlements FROM market.grid_settlements WHERE interval_start = '{SWITCHED}' AND meter_id = 'M2'",
        "CREATE TABLE marts.cells AS FROM marts.fct_type_flow_daily "
        f"WHERE local_date <> DATE '{AUTUMN}' OR seller_building_type <> 'residential' OR buyer_building_type <> 'academic'",
        "DROP VIEW marts.fct_type_flow_daily",
        "ALTER TABLE marts.cells RENAME TO fct_type_flow_daily",
    )
    with lake.warehouse:
        for statement in tampering:
            lake.warehouse.connect().execute(statement)
    with pytest.raises(project.DbtFailed) as failure:
        lake.dbt("test", SPRING, AUTUMN + DAY, *selection)
    found = {part.partition(":")[0]: int(part.split("Got ")[1].split()[0]) for part in str(failure.value).split("; ")}
    assert found == {
        "pairs_are_all_of_the_campus": 1,
        "every_meter_balances": 2,
        "bills_sum_to_the_campus": 2,
        "flows_between_types_are_the_trades": 1,
        "fct_trades_is_sound": 1,
        "fct_meter_roles_is_sound": 1,
        "fct_market_intervals_is_sound": 1,
        "fct_grid_settlements_is_sound": 1,
    }
