"""Every invariant holds on honest frames and catches a tampered one."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from gridtokenx_pipeline.domain.aggregate import rollup
from gridtokenx_pipeline.domain.certificates import issue
from gridtokenx_pipeline.domain.invariants import (
    VIOLATIONS,
    certificate_violations,
    energy_violations,
    market_violations,
    settlement_violations,
)
from gridtokenx_pipeline.domain.market import Agreement, Link, Network, Tariff, clear, positions
from gridtokenx_pipeline.domain.market.campus import campus_balances
from gridtokenx_pipeline.domain.market.corrections import corrections
from gridtokenx_pipeline.domain.settlement import plan

START = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
TARIFF = Tariff(80_000, 280_000)


def tampered(frame, row, **changes):
    """`frame` with the values of one row changed; a change may be a function of the old value."""
    rows = frame.to_dicts()
    rows[row] |= {name: change(rows[row][name]) if callable(change) else change for name, change in changes.items()}
    return pl.DataFrame(rows, schema=frame.schema, orient="row")


def names(violations):
    assert violations.schema == pl.Schema(VIOLATIONS)
    assert violations.select(pl.exclude("detail")).null_count().sum_horizontal()[0] == 0
    assert violations["detail"].null_count() == 0
    return set(violations["name"])


@pytest.fixture(scope="module")
def energy(energy_frame):
    """Two windows of four meters: two sellers, a buyer, and a meter with too few readings."""
    rows = []
    for number, start in enumerate((START, START + dt.timedelta(minutes=5))):
        for meter, generation, load in (("M1", 30_000, 10_000), ("M2", 12_000, 2_000), ("M3", 0, 45_000), ("M4", 9_000, 1_000)):
            rows.append(
                {
                    "meter_id": meter,
                    "interval_start": start,
                    "generation_milli_wh": generation,
                    "generation_register_milli_wh": 500_000 + generation * (number + 1),
                    "load_milli_wh": load,
                    "load_register_milli_wh": 500_000 + load * (number + 1),
                    "readings_present": 19 if meter == "M4" else 20,
                }
            )
    return energy_frame(*rows)


@pytest.fixture(scope="module")
def cleared(energy):
    made = positions(energy, 100)
    later = START + dt.timedelta(hours=1)
    agreement = Agreement("stanford", "M1", "M3", 5, 100_000)
    return clear(made, TARIFF, closed_before=later, agreements=[agreement])


@pytest.fixture
def check_market(energy, cleared):
    def check(intervals=None, trades=None, grid=None, max_partners=25, with_positions=True):
        return names(
            market_violations(
                cleared.intervals if intervals is None else intervals,
                cleared.trades if trades is None else trades,
                cleared.grid_settlements if grid is None else grid,
                max_partners=max_partners,
                positions=positions(energy, 100) if with_positions else None,
            )
        )

    return check


def test_honest_market(check_market, cleared):
    assert cleared.trades["kind"].to_list()[:3] == ["agreement", "pool", "pool"]
    assert check_market() == set()
    empty = [frame.clear() for frame in (cleared.intervals, cleared.trades, cleared.grid_settlements)]
    assert check_market(*empty) == set()


@pytest.mark.parametrize(
    ("changes", "caught"),
    [
        ({"buyer_meter_id": "M1"}, {"self_trade", "meter_balance"}),
        ({"energy_wh": 0}, {"trade_energy", "amount", "meter_balance", "traded_volume"}),
        ({"energy_wh": lambda wh: wh + 1}, {"meter_balance", "traded_volume"}),
        ({"price_micro_per_kwh": 79_999}, {"price_bounds", "pool_price"}),
        ({"price_micro_per_kwh": 280_001}, {"price_bounds", "pool_price"}),
        ({"price_micro_per_kwh": lambda price: price + 1_000}, {"pool_price", "amount"}),
        ({"amount_micro": lambda amount: amount + 1}, {"amount"}),
        ({"buyer_meter_id": "GHOST"}, {"zero_sum", "meter_balance"}),
        ({"version": 2}, {"orphan", "meter_balance", "correction"}),
        ({"mechanism": "mmr/1"}, {"mechanism"}),
        ({"quality_flags": 17}, {"quality_flags"}),
        ({"loss_wh": 1}, {"loss", "meter_balance"}),
        ({"loss_wh": -1}, {"loss", "meter_balance"}),
        ({"loss_wh": 10**6}, {"loss", "individual_rationality"}),
        ({"wheeling_micro": -1}, {"wheeling"}),
        ({"wheeling_micro": 10**7}, {"wheeling", "individual_rationality"}),
        ({"amount_micro": 1}, {"amount", "individual_rationality"}),
    ],
)
def test_tampered_trade_is_caught(check_market, cleared, changes, caught):
    assert check_market(trades=tampered(cleared.trades, 1, **changes)) >= caught


def test_missing_and_repeated_trades_are_caught(check_market, cleared):
    assert check_market(trades=cleared.trades[1:]) >= {"meter_balance", "traded_volume"}
    assert check_market(trades=pl.concat([cleared.trades, cleared.trades[:1]])) >= {"meter_balance", "traded_volume"}


@pytest.mark.parametrize(
    ("row", "changes", "caught"),
    [
        (0, {"net_wh": lambda wh: wh + 1}, {"meter_balance", "coverage", "interval_totals"}),
        (0, {"traded_wh": 21, "energy_wh": -1}, {"meter_balance", "zero_sum", "amount"}),
        (0, {"traded_wh": lambda wh: wh - 1, "energy_wh": lambda wh: wh + 1}, {"meter_balance", "zero_sum"}),
        (2, {"amount_micro": lambda amount: amount - 1}, {"amount"}),
        (2, {"amount_micro": lambda amount: -amount}, {"amount"}),
        (3, {"traded_wh": 1, "energy_wh": 7}, {"grid_only_meters_do_not_trade", "zero_sum"}),
        (3, {"reason": "residual"}, {"interval_totals"}),
        (3, {"meter_id": "GHOST"}, {"coverage"}),
        (3, {"meter_id": "M3"}, {"coverage", "interval_totals"}),
        (3, {"version": 2}, {"orphan", "coverage", "interval_totals", "correction"}),
        (3, {"reason": "correction"}, {"correction"}),
    ],
)
def test_tampered_grid_settlement_is_caught(check_market, cleared, row, changes, caught):
    assert check_market(grid=tampered(cleared.grid_settlements, row, **changes)) >= caught


def test_a_meter_settled_never_or_twice_is_caught(check_market, cleared):
    grid = cleared.grid_settlements
    assert check_market(grid=grid[1:]) >= {"coverage", "interval_totals", "zero_sum"}
    assert check_market(grid=pl.concat([grid, grid[:1]])) >= {"coverage", "interval_totals"}
    assert check_market(grid=grid[1:], with_positions=False) >= {"interval_totals", "zero_sum"}


@pytest.mark.parametrize(
    ("changes", "caught"),
    [
        ({"traded_wh": lambda wh: wh - 1}, {"traded_volume"}),
        ({"traded_wh": lambda wh: wh - 1, "capped_wh": 1}, {"traded_volume"}),
        ({"traded_wh": lambda wh: wh + 1, "capped_wh": -1}, {"traded_volume"}),
        ({"supply_wh": lambda wh: wh + 1}, {"interval_totals"}),
        ({"demand_wh": lambda wh: wh + 1}, {"interval_totals"}),
        ({"meters": 5}, {"interval_totals"}),
        ({"meters_grid_only": 0}, {"interval_totals"}),
        ({"price_micro_per_kwh": lambda price: price + 1}, {"pool_price"}),
        ({"retail_micro_per_kwh": 90_000}, {"price_bounds", "amount"}),
        ({"state": "open"}, {"open_interval"}),
        ({"version": 3}, {"version_order", "orphan"}),
        ({"loss_wh": 1}, {"loss"}),
        ({"wheeling_micro": 1}, {"wheeling"}),
    ],
)
def test_tampered_interval_is_caught(check_market, cleared, changes, caught):
    assert check_market(intervals=tampered(cleared.intervals, 0, **changes)) >= caught


def test_too_many_partners_are_caught(check_market):
    assert check_market(max_partners=1) == {"partner_cap"}


def test_amounts_beyond_64_bits_are_still_checked(position_frame):
    made = position_frame(("M1", 10**9, 0, 0, 0), ("M2", 0, 3 * 10**9, 0, 0))
    dear = clear(made, Tariff(10**10, 10**11), closed_before=START + dt.timedelta(hours=1))
    assert market_violations(dear.intervals, dear.trades, dear.grid_settlements, max_partners=25, positions=made).is_empty()


@pytest.fixture(scope="module")
def corrected(energy, cleared):
    """The first window was settled, and then corrected: M1 had generated 12 Wh less, M3 used 1 Wh more."""
    settled = cleared.intervals.with_columns(state=pl.lit("settled"))
    changes = {"M1": {"generation": -12_000}, "M3": {"load": 1_000}}
    rows = energy.to_dicts()
    for row in rows:
        if row["interval_start"] == START:
            for channel, more in changes.get(row["meter_id"], {}).items():
                row[f"{channel}_milli_wh"] += more
                row[f"{channel}_register_milli_wh"] += more
    now = positions(pl.DataFrame(rows, schema=energy.schema), 100)
    made = corrections(now, settled, cleared.grid_settlements, closed_before=START + dt.timedelta(hours=1))
    return pl.concat([settled, made.intervals]), pl.concat([cleared.grid_settlements, made.grid_settlements]), now


def found_in(cleared, intervals, grid, now=None):
    return names(market_violations(intervals, cleared.trades, grid, max_partners=25, positions=now))


def test_honest_corrections(cleared, corrected):
    intervals, grid, now = corrected
    assert intervals["version"].to_list() == [1, 1, 2]
    assert grid.filter(version=2).select("meter_id", "net_wh").rows() == [("M1", -12), ("M3", -1)]
    assert found_in(cleared, *corrected) == set()
    # What is not known of a settled interval any more is no reason to settle it again.
    assert found_in(cleared, intervals, grid, now.filter(pl.col("meter_id") != "M1")) == set()


@pytest.mark.parametrize(
    ("changes", "caught"),
    [
        ({"traded_wh": 1}, {"correction", "traded_volume"}),
        ({"capped_wh": 1}, {"correction", "traded_volume"}),
        ({"supply_wh": 0}, {"interval_totals"}),
        ({"demand_wh": 0}, {"interval_totals"}),
        ({"meters": 3}, {"interval_totals"}),
        ({"mechanism": "mmr/1"}, {"correction"}),
        ({"retail_micro_per_kwh": 300_000}, {"correction", "amount"}),
        ({"version": 3}, {"version_order", "orphan"}),
    ],
)
def test_a_tampered_version_is_caught(cleared, corrected, changes, caught):
    intervals, grid, now = corrected
    assert found_in(cleared, tampered(intervals, 2, **changes), grid, now) >= caught


@pytest.mark.parametrize(
    ("row", "changes", "caught"),
    [
        (-2, {"amount_micro": lambda amount: amount + 1}, {"amount"}),
        (-1, {"amount_micro": 0}, {"amount"}),
        (-1, {"energy_wh": -2, "net_wh": -2}, {"amount", "coverage", "interval_totals"}),
        (-1, {"traded_wh": -1, "energy_wh": 0}, {"meter_balance", "zero_sum", "amount"}),
        (-1, {"reason": "residual"}, {"correction"}),
    ],
)
def test_a_tampered_correction_is_caught(cleared, corrected, row, changes, caught):
    intervals, grid, now = corrected
    assert found_in(cleared, intervals, tampered(grid, row, **changes), now) >= caught


def test_a_correction_before_its_interval_is_settled_is_caught(cleared, corrected):
    intervals, grid, now = corrected
    early = intervals.with_columns(state=pl.lit("closed"))
    assert found_in(cleared, early, grid, now) == {"version_order"}
    assert found_in(cleared, intervals[:2], grid, now) >= {"orphan"}


@pytest.fixture(scope="module")
def far(energy):
    """The same meters with M3 behind a line that loses 2 % and costs something; M1's agreement has to pay it too."""
    network = Network({"M1": "north", "M2": "north", "M3": "south"}, {("south", "north"): Link(20_000, 5_000)})
    made = positions(energy, 100)
    agreement = Agreement("stanford", "M1", "M3", 5, 100_000)
    later = START + dt.timedelta(hours=1)
    return network, made, clear(made, TARIFF, closed_before=later, agreements=[agreement], network=network)


def test_honest_losses(far):
    network, made, cleared = far
    assert cleared.trades["loss_wh"].min() > 0
    frames = cleared.intervals, cleared.trades, cleared.grid_settlements
    balances = campus_balances(*frames)
    assert names(market_violations(*frames, max_partners=25, positions=made, balances=balances, network=network)) == set()
    assert names(market_violations(*frames, max_partners=25, network=Network())) == {"loss", "wheeling"}


@pytest.mark.parametrize(
    ("changes", "caught"),
    [
        ({"loss_wh": 0}, {"loss", "meter_balance", "zero_sum"}),
        ({"wheeling_micro": 0}, {"wheeling"}),
        ({"wheeling_micro": 10_000}, {"wheeling", "individual_rationality"}),
    ],
)
def test_a_tampered_way_is_caught(far, changes, caught):
    network, _, cleared = far
    trades = tampered(cleared.trades, 1, **changes)
    found = market_violations(cleared.intervals, trades, cleared.grid_settlements, max_partners=25, network=network)
    assert names(found) >= caught


@pytest.fixture(scope="module")
def aggregated(energy_frame):
    """An hour's beginning in 15 s, 5 min and 15 min; M2's battery was not measured."""
    fine, middle = [], []
    for meter, charge in (("M1", 3), ("M2", None)):
        fine += [
            {
                "meter_id": meter,
                "interval_start": START + dt.timedelta(seconds=15 * n),
                "load_milli_wh": n,
                "charge_milli_wh": charge,
            }
            for n in range(60)
        ]
        middle += [
            {
                "meter_id": meter,
                "interval_start": START + dt.timedelta(minutes=5 * n),
                "load_milli_wh": sum(range(20 * n, 20 * n + 20)),
                "charge_milli_wh": charge and charge * 20,
            }
            for n in range(3)
        ]
    coarse = [
        {"meter_id": "M1", "load_milli_wh": sum(range(60)), "charge_milli_wh": 180},
        {"meter_id": "M2", "load_milli_wh": sum(range(60)), "charge_milli_wh": None},
    ]
    return [energy_frame(*fine, duration_s=15), energy_frame(*middle), energy_frame(*coarse, duration_s=900)]


def test_honest_aggregates(aggregated):
    assert names(energy_violations(*aggregated)) == set()
    assert names(energy_violations(*(frame.clear() for frame in aggregated))) == set()


@pytest.mark.parametrize(
    ("level", "caught"),
    [
        (0, {"energy_5min_sum", "energy_15min_from_15s"}),
        (1, {"energy_5min_sum", "energy_15min_sum"}),
        (2, {"energy_15min_sum", "energy_15min_from_15s"}),
    ],
)
def test_a_milli_watt_hour_more_is_caught_at_every_level(aggregated, level, caught):
    frames = list(aggregated)
    frames[level] = tampered(frames[level], 0, load_milli_wh=lambda energy: energy + 1)
    assert names(energy_violations(*frames)) == caught
    frames[level] = aggregated[level][1:]
    assert names(energy_violations(*frames)) == caught


def test_zero_is_not_the_same_as_not_measured(aggregated):
    fine, middle, coarse = aggregated
    assert names(energy_violations(fine, middle, tampered(coarse, 1, charge_milli_wh=0))) == {
        "energy_15min_sum",
        "energy_15min_from_15s",
    }


def test_honest_certificates(energy):
    bundles = issue(energy).bundles
    assert names(certificate_violations(bundles, energy)) == set()
    assert names(certificate_violations(bundles.clear(), energy.clear())) == set()


@pytest.mark.parametrize(
    ("row", "changes", "caught"),
    [
        (0, {"energy_wh": 31, "last_wh": 530}, {"bundle_energy", "bundle_overlap", "issued_over_register"}),
        (0, {"energy_wh": 29}, {"bundle_size", "bundle_energy"}),
        (3, {"first_wh": 529, "last_wh": 558}, {"bundle_overlap", "bundle_energy"}),
        (0, {"meter_id": "GHOST"}, {"bundle_energy", "issued_over_register", "issued_without_measurement"}),
        (0, {"quality_flags": 9}, {"issued_without_measurement"}),
        (0, {"quality_flags": 0}, {"issued_without_measurement"}),
    ],
)
def test_tampered_bundle_is_caught(energy, row, changes, caught):
    bundles = issue(energy).bundles
    assert bundles["meter_id"].to_list() == ["M1", "M2", "M4", "M1", "M2", "M4"]
    assert names(certificate_violations(tampered(bundles, row, **changes), energy)) >= caught


def test_a_bundle_issued_twice_is_caught(energy):
    bundles = issue(energy).bundles
    twice = pl.concat([bundles, bundles[:1]])
    assert names(certificate_violations(twice, energy)) == {"bundle_energy", "bundle_overlap", "issued_over_register"}


def test_certificates_from_estimated_energy_are_caught_whatever_the_bundle_says(energy):
    bundles = issue(energy).bundles
    estimated = tampered(energy, 0, quality_flags=8)
    assert names(certificate_violations(bundles, estimated)) == {"issued_without_measurement"}
    assert names(certificate_violations(issue(estimated).bundles, estimated)) == set()


@pytest.fixture(scope="module")
def planned(energy, cleared):
    bundles = issue(energy).bundles
    return plan(positions(energy, 100), cleared.trades, cleared.grid_settlements, bundles, cleared.intervals)


def test_honest_settlement(planned):
    assert names(settlement_violations(planned.items, planned.batches)) == set()
    assert names(settlement_violations(planned.items.clear(), planned.batches.clear())) == set()


@pytest.mark.parametrize(
    ("changes", "caught"),
    [
        ({"payload": lambda text: text.replace('"energy_wh":30', '"energy_wh":31')}, {"leaf", "root", "batch_totals", "memo"}),
        ({"payload": lambda text: text.replace(",", ", ")}, {"payload", "leaf", "root"}),
        ({"payload": "not json"}, {"payload", "leaf", "root"}),
        ({"payload": "[]"}, {"payload"}),
        ({"payload": lambda text: text.replace('"version":1', '"version":2')}, {"payload", "leaf"}),
        ({"natural_key": "another"}, {"payload"}),
        ({"kind": "trade"}, {"payload", "leaf_order"}),
        ({"leaf_sha256": "00" * 32}, {"leaf"}),
        ({"leaf_index": 1}, {"leaf_order"}),
        ({"batch_id": "another"}, {"orphan", "item_count", "root"}),
        ({"proof": ""}, {"proof"}),
        ({"proof": lambda text: text.translate({ord("L"): "R", ord("R"): "L"})}, {"proof"}),
    ],
)
def test_tampered_item_is_caught(planned, changes, caught):
    assert planned.items["kind"][0] == "certificate"
    row = planned.items["payload"].str.contains('"energy_wh":30').arg_max()
    assert names(settlement_violations(tampered(planned.items, row, **changes), planned.batches)) >= caught


@pytest.mark.parametrize(
    ("changes", "caught"),
    [
        ({"items": 1}, {"item_count"}),
        ({"merkle_root": "00" * 32}, {"root"}),
        ({"traded_wh": 1}, {"batch_totals"}),
        ({"amount_micro": 1}, {"batch_totals"}),
        ({"certificate_wh": 1}, {"batch_totals"}),
        ({"memo": lambda memo: memo.replace(":v1:", ":v2:")}, {"memo"}),
        ({"batch_id": "another"}, {"orphan"}),
    ],
)
def test_tampered_batch_is_caught(planned, changes, caught):
    assert names(settlement_violations(planned.items, tampered(planned.batches, 0, **changes))) == caught


def test_a_correction_that_trades_or_reads_other_meters_is_caught(energy, cleared, corrected):
    intervals, grid, now = corrected
    none = cleared.trades.clear(), issue(energy).bundles.clear()
    second = plan(now, none[0], grid.filter(version=2), none[1], intervals.filter(version=2))
    assert names(settlement_violations(second.items, second.batches)) == set()
    readings = second.items["kind"] == "energy_reading"
    assert "correction" in names(settlement_violations(second.items.filter(~readings), second.batches))
    # A first version that calls itself the second trades, and settles for other reasons.
    first = cleared.trades, cleared.grid_settlements, none[1], cleared.intervals
    pretending = plan(now, *(frame.with_columns(version=pl.lit(2, dtype=pl.Int32)) for frame in first))
    assert names(settlement_violations(pretending.items, pretending.batches)) == {"correction"}


def test_a_batch_of_before_there_were_proofs_is_whole(planned):
    assert settlement_violations(planned.items.with_columns(proof=pl.lit("")), planned.batches).is_empty()


def test_a_missing_item_is_caught(planned):
    assert names(settlement_violations(planned.items[1:], planned.batches)) >= {"item_count", "root", "leaf_order", "memo"}


def test_hours_and_days_are_the_sums_of_what_is_finer(energy_frame):
    midnight = START.replace(hour=0)
    fine = energy_frame(
        *({"interval_start": midnight + dt.timedelta(seconds=15 * n), "load_milli_wh": n} for n in range(5760)),
        duration_s=15,
        readings_expected=1,
        readings_present=1,
    )
    frames = [fine]
    for seconds in (300, 900, 3600, 86_400):
        frames.append(rollup(frames[-1], seconds))
    assert names(energy_violations(*frames)) == set()
    assert names(energy_violations(*frames[:3], tampered(frames[3], 5, load_milli_wh=0))) == {"energy_1h_sum"}
    assert names(energy_violations(*frames[:3], frames[3][1:], frames[4])) == {"energy_1h_sum", "energy_1d_sum"}
    assert names(energy_violations(*frames[:4], tampered(frames[4], 0, load_milli_wh=0))) == {"energy_1d_sum"}


def test_energy_below_zero_and_too_many_readings_are_caught(aggregated):
    fine, middle, coarse = aggregated
    below = [tampered(frame, 0, load_milli_wh=-5) for frame in aggregated]
    assert "energy_negative" in names(energy_violations(*below))
    more = tampered(middle, 0, readings_present=15, readings_estimated=6)
    assert names(energy_violations(fine, more, coarse)) == {"energy_counts"}
