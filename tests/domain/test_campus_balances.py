"""The campus's account at its connection."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from gridtokenx_pipeline.contracts import market
from gridtokenx_pipeline.domain.invariants import market_violations
from gridtokenx_pipeline.domain.market import Tariff, clear, positions
from gridtokenx_pipeline.domain.market.campus import campus_balances
from gridtokenx_pipeline.domain.market.corrections import corrections

START = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
LATER = START + dt.timedelta(hours=1)


@pytest.fixture
def cleared(energy_frame):
    """M1 has 20 Wh over, M2 lacks 25: 20 are traded, 5 come from the grid."""
    energy = energy_frame(
        {"meter_id": "M1", "generation_milli_wh": 30_000, "load_milli_wh": 10_000}, {"meter_id": "M2", "load_milli_wh": 25_000}
    )
    return clear(positions(energy, 100), Tariff(80_000, 280_000), closed_before=LATER)


@pytest.fixture
def feeder(energy_frame):
    """The feeder's meter, given import and export in milli-Wh."""

    def build(taken, given=0, **more):
        return energy_frame({"meter_id": "PCC", "import_milli_wh": taken, "export_milli_wh": given, **more})

    return build


def test_the_account_adds_up(cleared, feeder):
    frames = cleared.intervals, cleared.trades, cleared.grid_settlements
    (balance,) = campus_balances(*frames, feeder(6_900, 300)).to_dicts()
    amount = cleared.trades["amount_micro"].sum()
    assert balance == {
        "zone": "stanford", "interval_start": START, "duration_s": 300, "version": 1, "meters": 2, "net_wh": -5, "export_wh": 0,
        "import_wh": 5, "loss_wh": 0, "feeder_net_wh": -6, "unaccounted_wh": 1, "trade_amount_micro": amount, "wheeling_micro": 0,
        "grid_amount_micro": -1_400,
    }  # fmt: skip


def test_losses_and_wheeling_are_booked_not_unaccounted(cleared, feeder):
    trades = cleared.trades.with_columns(loss_wh=pl.lit(2, dtype=pl.Int64), wheeling_micro=pl.lit(30, dtype=pl.Int64))
    grid = cleared.grid_settlements.with_columns(energy_wh=pl.Series([0, -7]), traded_wh=pl.Series([20, -18]))
    (balance,) = campus_balances(cleared.intervals, trades, grid, feeder(7_000)).to_dicts()
    columns = ("net_wh", "loss_wh", "export_wh", "import_wh", "feeder_net_wh", "unaccounted_wh", "wheeling_micro")
    assert tuple(balance[name] for name in columns) == (-5, 2, 0, 7, -7, 0, 30)


@pytest.mark.parametrize("missing", [None, "import_register_milli_wh", "export_milli_wh"])
def test_a_feeder_that_is_not_known_leaves_nothing_accounted(cleared, feeder, missing):
    frames = cleared.intervals, cleared.trades, cleared.grid_settlements
    energy = None if missing is None else feeder(6_000, **{missing: None})
    balances = campus_balances(*frames, energy)
    assert balances.select("feeder_net_wh", "unaccounted_wh", "net_wh").rows() == [(None, None, -5)]
    assert campus_balances(*frames, feeder(0)[:0]).equals(balances)


def test_a_correction_is_the_difference(cleared, energy_frame, feeder):
    intervals = cleared.intervals.with_columns(state=pl.lit("settled"))
    first = campus_balances(intervals, cleared.trades, cleared.grid_settlements, feeder(5_000))
    now = energy_frame(
        {"meter_id": "M1", "generation_milli_wh": 31_000, "load_milli_wh": 10_000}, {"meter_id": "M2", "load_milli_wh": 17_000}
    )
    made = corrections(positions(now, 100), intervals, cleared.grid_settlements, closed_before=LATER)
    grid = pl.concat([cleared.grid_settlements, made.grid_settlements])
    second = campus_balances(made.intervals, cleared.trades, grid, feeder(0, 3_000), earlier=first)
    columns = ("version", "meters", "net_wh", "export_wh", "import_wh", "feeder_net_wh", "unaccounted_wh", "grid_amount_micro")
    # M2 had 5 Wh from the grid and gives it 3 now: five imported less, three exported more, and one more of M1.
    assert second.select(columns).rows() == [(2, 2, 9, 4, -5, 8, 1, 1_400 + 240 + 80)]
    assert second["trade_amount_micro"].to_list() == [0]
    both = pl.concat([intervals, made.intervals])
    balances = pl.concat([first, second])
    frames = both, cleared.trades, grid
    assert market_violations(*frames, max_partners=25, balances=balances).is_empty()
    # What nobody knew of the feeder at first, no correction knows the difference to.
    silent = campus_balances(intervals, cleared.trades, cleared.grid_settlements, None)
    later = campus_balances(made.intervals, cleared.trades, grid, feeder(0, 3_000), earlier=silent)
    assert later["feeder_net_wh"].to_list() == [None]
    # All versions made at once: the first says all there is of the feeder.
    at_once = campus_balances(both, cleared.trades, grid, feeder(0, 3_000))
    assert at_once.sort("version")["feeder_net_wh"].to_list() == [3, 0]
    assert market_violations(*frames, max_partners=25, balances=at_once).is_empty()


def test_open_intervals_have_no_balance(energy_frame):
    made = clear(positions(energy_frame({}), 100), Tariff(80_000, 280_000), closed_before=START)
    balances = campus_balances(made.intervals, made.trades, made.grid_settlements)
    assert balances.equals(market.CAMPUS_BALANCES.empty())


@pytest.mark.parametrize(
    "changes",
    [
        {"net_wh": -4},
        {"import_wh": 6, "export_wh": 1, "grid_amount_micro": 0},
        {"loss_wh": 1},
        {"feeder_net_wh": -5},
        {"unaccounted_wh": 0},
        {"unaccounted_wh": None},
        {"meters": 3},
        {"trade_amount_micro": 0},
        {"wheeling_micro": 5},
        {"version": 2},
    ],
)
def test_an_account_that_does_not_add_up_is_caught(cleared, feeder, changes):
    frames = cleared.intervals, cleared.trades, cleared.grid_settlements
    balances = campus_balances(*frames, feeder(6_000))
    assert market_violations(*frames, max_partners=25, balances=balances).is_empty()
    tampered = pl.DataFrame([balances.row(0, named=True) | changes], schema=balances.schema)
    assert set(market_violations(*frames, max_partners=25, balances=tampered)["name"]) == {"campus_balance"}
