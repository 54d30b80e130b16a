"""Late and edited energy of settled intervals: exact differences, which sum to what is known."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtokenx_pipeline.contracts import market
from gridtokenx_pipeline.domain.invariants import market_violations
from gridtokenx_pipeline.domain.market import Rules, Tariff, amount_micro, clear, positions
from gridtokenx_pipeline.domain.market.campus import campus_balances
from gridtokenx_pipeline.domain.market.corrections import corrections

START = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
LATER = START + dt.timedelta(hours=1)
FEED_IN, RETAIL = 80_000, 280_000
TARIFF = Tariff(FEED_IN, RETAIL)
METERS = ("M1", "M2", "M3", "M4")


def worth(rest):
    return amount_micro(rest, FEED_IN) if rest >= 0 else -amount_micro(-rest, RETAIL)


class Market:
    """An interval whose versions are settled one after the other, as the pipeline would."""

    def __init__(self, now):
        self.frames = clear(now, TARIFF, closed_before=LATER)
        self._settle()

    def correct(self, now, *, check=True, **more):
        made = corrections(now, self.frames.intervals, self.frames.grid_settlements, closed_before=LATER, **more)
        frames = [
            pl.concat([getattr(self.frames, name), getattr(made, name)]) for name in ("intervals", "trades", "grid_settlements")
        ]
        self.frames = type(self.frames)(*frames)
        found = self.violations(now) if check else pl.DataFrame()
        self._settle()
        assert found.is_empty(), found.to_dicts()
        return made

    def violations(self, now):
        frames = self.frames.intervals, self.frames.trades, self.frames.grid_settlements
        return market_violations(*frames, max_partners=25, positions=now, balances=campus_balances(*frames))

    def _settle(self):
        self.frames = type(self.frames)(
            self.frames.intervals.with_columns(state=pl.lit("settled")), self.frames.trades, self.frames.grid_settlements
        )

    def sums(self, meter):
        rows = self.frames.grid_settlements.filter(pl.col("meter_id") == meter)
        return tuple(int(rows[name].sum()) for name in ("net_wh", "traded_wh", "energy_wh", "amount_micro"))


@pytest.fixture
def now(energy_frame):
    """Positions of meters given as meter=(generation, load) in Wh, or with more columns; others of `METERS` are absent."""

    def build(**meters):
        rows = []
        for meter, (generation, load, *more) in meters.items():
            row = {"meter_id": meter, "generation_milli_wh": generation * 1000, "load_milli_wh": load * 1000}
            rows.append(row | (more[0] if more else {}))
        return positions(energy_frame(*rows), 100)

    return build


def test_late_energy_is_settled_with_the_grid_at_the_intervals_tariffs(now):
    made = Market(now(M1=(30, 10), M2=(0, 25)))
    trades = made.frames.trades
    assert trades.select("seller_meter_id", "buyer_meter_id", "energy_wh").rows() == [("M1", "M2", 20)]
    # M1 had sold 20 Wh and generated 4 less: it buys them for its buyer; M2 used 3 Wh more.
    correction = made.correct(now(M1=(26, 10), M2=(0, 28)))
    assert correction.grid_settlements.select(
        "meter_id", "net_wh", "traded_wh", "energy_wh", "amount_micro", "reason"
    ).rows() == [
        ("M1", -4, 0, -4, -amount_micro(4, RETAIL), "correction"),
        ("M2", -3, 0, -3, -(amount_micro(8, RETAIL) - amount_micro(5, RETAIL)), "correction"),
    ]
    (interval,) = correction.intervals.to_dicts()
    (first,) = made.frames.intervals.filter(pl.col("version") == 1).to_dicts()
    assert interval | {"state": "settled"} == first | {
        "version": 2, "supply_wh": -4, "demand_wh": 3, "traded_wh": 0, "capped_wh": 0, "meters": 2, "meters_grid_only": 0,
    }  # fmt: skip
    assert made.frames.trades.equals(trades)
    assert made.correct(now(M1=(26, 10), M2=(0, 28))).intervals.is_empty()
    back = made.correct(now(M1=(30, 10), M2=(0, 25)))
    assert back.intervals["version"].to_list() == [3]
    assert [made.sums(meter) for meter in METERS[:2]] == [(20, 20, 0, 0), (-25, -20, -5, -amount_micro(5, RETAIL))]


def test_other_flags_alone_are_a_correction_of_nothing(now):
    made = Market(now(M1=(30, 10), M2=(0, 25, {"quality_flags": 17})))
    correction = made.correct(now(M1=(30, 10), M2=(0, 25, {"quality_flags": 3})))
    columns = ("meter_id", "net_wh", "amount_micro", "quality_flags")
    assert correction.grid_settlements.select(columns).rows() == [("M2", 0, 0, 3)]
    assert correction.intervals.select("supply_wh", "demand_wh", "meters").rows() == [(0, 0, 1)]
    assert made.correct(now(M1=(30, 10), M2=(0, 25, {"quality_flags": 3}))).intervals.is_empty()


def test_a_meter_that_becomes_complete_is_corrected_once(now):
    made = Market(now(M1=(30, 10), M2=(0, 25, {"readings_present": 19})))
    correction = made.correct(now(M1=(30, 10), M2=(0, 25)))
    assert correction.grid_settlements.select("meter_id", "net_wh").rows() == [("M2", 0)]
    assert made.correct(now(M1=(30, 10), M2=(0, 25))).intervals.is_empty()


def test_meters_outside_the_market_settle_and_count_neither_as_supply_nor_demand(now):
    unknown = {"generation_register_milli_wh": None}
    made = Market(now(M1=(30, 10), M2=(0, 25, {"readings_present": 19}), M3=(4, 0, unknown)))
    assert made.frames.intervals.select("supply_wh", "demand_wh", "meters_grid_only").rows() == [(20, 0, 2)]
    correction = made.correct(now(M1=(31, 10), M2=(0, 26), M3=(4, 0), M4=(0, 9)))
    assert correction.intervals.select("supply_wh", "demand_wh", "meters").rows() == [(1, 0, 4)]
    assert correction.grid_settlements.select("meter_id", "net_wh").rows() == [("M1", 1), ("M2", -1), ("M3", 4), ("M4", -9)]
    assert made.sums("M4") == (-9, 0, -9, worth(-9))
    # None of them joins the market by coming late: M4 was not there in version 1, whatever it says in version 2.
    assert made.correct(now(M1=(31, 10), M2=(0, 26), M3=(4, 0), M4=(0, 12))).intervals["demand_wh"].to_list() == [0]


def test_what_is_unknown_now_is_not_corrected(now):
    made = Market(now(M1=(30, 10), M2=(0, 25)))
    assert made.correct(now(M1=(0, 0, {"generation_register_milli_wh": None}))).intervals.is_empty()


def test_channels_that_change_by_as_much_are_seen_where_the_settled_energy_is_given(now):
    before = now(M1=(30, 10), M2=(0, 25))
    settled = before.select("zone", "interval_start", "meter_id", "generation_wh", "load_wh")
    made = Market(before)
    changed = now(M1=(31, 11), M2=(0, 25))
    assert made.correct(changed).intervals.is_empty()
    assert made.correct(before, settled_energy=settled).intervals.is_empty()
    unknown = settled.with_columns(generation_wh=pl.lit(None, dtype=pl.Int64))
    assert made.correct(before, settled_energy=unknown).grid_settlements["meter_id"].to_list() == ["M1", "M2"]
    assert made.correct(changed, settled_energy=settled).grid_settlements.select("meter_id", "net_wh").rows() == [("M1", 0)]


def test_a_correction_waits_for_the_watermark_like_any_interval(now):
    made = Market(now(M1=(30, 10), M2=(0, 25)))
    changed = now(M1=(29, 10), M2=(0, 25))
    frames = made.frames.intervals, made.frames.grid_settlements
    end = START + dt.timedelta(seconds=360)
    for moment, state, rows in ((end, "closed", 1), (end - dt.timedelta(microseconds=1), "open", 0)):
        made_then = corrections(changed, *frames, closed_before=moment, rules=Rules(watermark_s=60))
        assert made_then.intervals["state"].to_list() == [state]
        assert len(made_then.grid_settlements) == rows


def test_nothing_settled_is_nothing_to_correct(now):
    none = corrections(now(M1=(30, 10)), market.INTERVALS.empty(), market.GRID_SETTLEMENTS.empty(), closed_before=LATER)
    assert none.intervals.equals(market.INTERVALS.empty())
    assert none.grid_settlements.equals(market.GRID_SETTLEMENTS.empty())


ENERGY = st.tuples(st.integers(0, 60), st.integers(0, 60), st.sampled_from([1, 3, 17]), st.sampled_from([20, 20, 19]))
STATE = st.dictionaries(st.sampled_from(METERS), ENERGY, min_size=1)


@settings(max_examples=20)
@given(st.lists(STATE, min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_versions_sum_to_what_is_known_after_any_corrections(energy_frame, states, random):
    def known(state):
        rows = [
            {
                "meter_id": meter,
                "generation_milli_wh": generation * 1000,
                "load_milli_wh": load * 1000,
                "quality_flags": flags,
                "readings_present": present,
            }
            for meter, (generation, load, flags, present) in state.items()
        ]
        random.shuffle(rows)
        return positions(energy_frame(*rows), 100)

    made, latest = Market(known(states[0])), dict(states[0])
    settled = made.frames.grid_settlements
    trades = made.frames.trades
    for state in states[1:]:
        latest |= state
        current = known(latest)
        frames = made.frames.intervals, made.frames.grid_settlements
        shuffled = [frame.sample(fraction=1, shuffle=True, seed=random.randrange(99)) for frame in (current, *frames)]
        other_order = corrections(*shuffled, closed_before=LATER)
        first = made.correct(current, check=state is states[-1])
        assert first.intervals.equals(other_order.intervals)
        assert first.grid_settlements.equals(other_order.grid_settlements)
        again = made.correct(current, check=False)
        assert again.intervals.is_empty()
        assert again.grid_settlements.is_empty()
    for meter, (generation, load, *_) in latest.items():
        net, traded, rest, micro = made.sums(meter)
        assert net == generation - load == traded + rest
        assert micro == worth(rest)
    taking_part = set(settled.filter(pl.col("reason") == "residual")["meter_id"])
    nets = [generation - load for meter, (generation, load, *_) in latest.items() if meter in taking_part]
    intervals = made.frames.intervals
    assert intervals["supply_wh"].sum() == sum(net for net in nets if net > 0)
    assert intervals["demand_wh"].sum() == -sum(net for net in nets if net < 0)
    assert made.frames.trades.equals(trades)
    assert made.frames.grid_settlements.head(len(settled)).equals(settled)
