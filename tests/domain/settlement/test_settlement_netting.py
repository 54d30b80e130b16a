"""Netting moves the same energy, money and certificates as one by one."""

from __future__ import annotations

import json
from collections import Counter

import polars as pl
import pytest
from certificate_registry import START, STEP, energy_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from settled_examples import settled_campuses
from settled_registry import ZONE, Settled, certified

from gridtokenx_pipeline.contracts import settlement
from gridtokenx_pipeline.domain.ids import derived_id
from gridtokenx_pipeline.domain.settlement import NETTED_KINDS, SettlementInputError, net, net_id, stage_of

END = START + 12 * STEP
PERIOD = {"zone": ZONE, "period_start": START, "period_end": END}


def net_of(campus: Settled, ids, number: int = 1, reverse: bool = False):
    batches, actions = (frame.filter(pl.col("batch_id").is_in(list(ids))) for frame in (campus.batches, campus.actions))
    if reverse:
        batches, actions = batches.reverse(), actions.reverse()
    return net(batches, actions, **PERIOD, number=number)


def values(actions, *kinds):
    rows = actions.filter(pl.col("kind").is_in(kinds)).select("kind", "arguments").iter_rows()
    return [{"kind": kind} | json.loads(text) for kind, text in rows]


def sums(campus: Settled, ids) -> tuple[Counter, Counter]:
    """Energy bought less sold and money received less paid, of each meter, trade by trade."""
    energy, amount = Counter(), Counter()
    for trade in values(campus.actions.filter(pl.col("batch_id").is_in(list(ids))), "execute_trade"):
        for meter, sign in ((trade["seller_meter_id"], -1), (trade["buyer_meter_id"], 1)):
            energy[meter] += sign * trade["energy_wh"]
            amount[meter] -= sign * trade["amount_micro"]
    return energy, amount


@settings(max_examples=12)
@given(settled_campuses(), st.data())
def test_nets_are_what_they_net(campus, data):
    ids = sorted(campus.batches["batch_id"])
    later = data.draw(st.sets(st.sampled_from(ids), max_size=len(ids) - 1))
    parts = [set(ids) - later, later]
    made = [net_of(campus, part, number) for number, part in enumerate(parts, 1)]
    for number, (part, this) in enumerate(zip(parts, made, strict=True), 1):
        energy, amount = sums(campus, part)
        rows = {row["meter_id"]: row for row in this.nets.to_dicts()}
        found = [{meter: row[name] for meter, row in rows.items() if row[name]} for name in ("energy_wh", "amount_micro")]
        assert found == [{meter: n for meter, n in counted.items() if n} for counted in (energy, amount)]
        assert this.nets["energy_wh"].sum() == this.nets["amount_micro"].sum() == 0
        own = campus.actions.filter(pl.col("batch_id").is_in(list(part)))
        assert (
            {m: row["certified_wh"] for m, row in rows.items() if row["certified_wh"]}
            == certified(own)
            == certified(this.actions)
        )
        minted = {value["meter_id"]: value["energy_wh"] for value in values(this.actions, "mint_grid")}
        assert minted == {meter: -row["energy_wh"] for meter, row in rows.items() if row["energy_wh"] < 0}
        again = net_of(campus, part, number, reverse=True)
        assert all(one.equals(other) for one, other in zip(vars(this).values(), vars(again).values(), strict=True))
    netted = pl.concat(this.netted for this in made)
    assert sorted(netted["batch_id"]) == ids
    # Together with what people decided they are what the ledger has.
    assert certified(*(this.actions for this in made), campus.late) == campus.live
    assert pl.concat([*(this.actions for this in made), campus.late])["action_id"].is_unique().all()


@settings(max_examples=8)
@given(settled_campuses(), st.data())
def test_nobody_delivers_what_there_is_not(campus, data):
    """Stage by stage, in any order within: meters deliver what they were minted, and then it is there to be taken."""
    made = net_of(campus, campus.batches["batch_id"])
    order = data.draw(st.permutations(values(made.actions, "mint_grid", "settle_position")))
    held, vault, stages = Counter(), 0, []
    for value in sorted(order, key=lambda value: stage_of(value["kind"], value)):
        stages.append(stage_of(value["kind"], value))
        held[value["meter_id"]] += value["energy_wh"]
        if value["kind"] == "settle_position":
            vault -= value["energy_wh"]
        assert min(vault, held[value["meter_id"]]) >= 0
    assert vault == 0
    assert stages == sorted(made.actions.filter(pl.col("kind").is_in(["mint_grid", "settle_position"]))["stage"])


@settings(max_examples=8)
@given(settled_campuses(), st.data())
def test_no_two_mints_are_of_one_interval_and_each_has_its_reading(campus, data):
    """The chain mints GRID of a meter once for an interval, whose reading it must have counted."""
    ids = sorted(campus.batches["batch_id"])
    later = data.draw(st.sets(st.sampled_from(ids), max_size=len(ids)))
    made = [net_of(campus, part, number) for number, part in enumerate((set(ids) - later, later), 1)]
    minted = [(v["meter_id"], v["last_window"]) for this in made for v in values(this.actions, "mint_grid")]
    assert len(minted) == len(set(minted))
    readings = set(campus.actions.filter(kind="submit_energy_reading")["natural_key"])
    windows = minted + [(v["meter_id"], v["last_window"]) for this in made for v in values(this.actions, "mint_rec")]
    assert {f"{meter}@{window}" for meter, window in windows} <= readings


@pytest.fixture(scope="module")
def campus() -> Settled:
    def meter(name, number, **energies):
        return name, number, {channel: (1000 * number, wh) for channel, wh in energies.items()}, {}

    rows = [
        meter("M1", 0, generation=50), meter("M2", 0, load=50), meter("M3", 0, load=30, generation=10),
        meter("M1", 1, load=20), meter("M2", 1, generation=60), meter("M3", 1, load=40),
    ]  # fmt: skip
    made = Settled()
    made.settle(energy_rows(rows), range(2))
    return made


def test_a_net_by_hand(campus):
    """M1 sells 50 and buys 20 back, M2 buys and sells, M3 buys and certifies nothing: it claims what it generates."""
    made = net_of(campus, campus.batches["batch_id"])
    this = net_id(ZONE, START, END, 1)
    energy, amount = sums(campus, campus.batches["batch_id"])
    assert energy == {"M1": -30, "M2": -24, "M3": 54}
    certified_wh = {"M1": 50, "M2": 60}
    assert made.nets.select("net_id", "meter_id", "energy_wh", "amount_micro", "certified_wh", "number").rows() == [
        (this, meter, energy[meter], amount[meter], certified_wh.get(meter, 0), 1) for meter in ("M1", "M2", "M3")
    ]
    first, second, last = (f"2026-11-22T20:{minute}:00Z" for minute in ("00", "05", "55"))
    common = {"duration_s": 300}
    by_key = {(row["kind"], row["natural_key"]): json.loads(row["arguments"]) for row in made.actions.to_dicts()}
    assert by_key["mint_grid", f"M1@{this}"] == common | {
        "meter_id": "M1", "energy_wh": 30, "first_window": first, "last_window": first,
    }  # fmt: skip
    assert by_key["mint_grid", f"M2@{this}"]["last_window"] == second
    assert by_key["settle_position", f"M3@{this}"] == common | {
        "meter_id": "M3", "energy_wh": 54, "amount_micro": amount["M3"], "number": 1, "first_window": first, "last_window": last,
    }  # fmt: skip
    assert by_key["mint_rec", f"M2@{this}"] == common | {
        "bundle_id": f"M2@{this}", "meter_id": "M2", "energy_wh": 60, "first_window": second, "last_window": second,
    }  # fmt: skip
    assert made.actions.select("kind", "stage").unique().sort("stage", "kind").rows() == [
        ("mint_grid", 2), ("mint_rec", 2), ("settle_position", 3), ("settle_position", 4),
    ]  # fmt: skip
    assert set(made.actions.select("batch_id", "window_start").rows()) == {(this, START)}
    assert settlement.ACTIONS.conform(made.actions).height == 7
    for row in made.actions.iter_rows(named=True):
        assert row["action_id"] == derived_id("settlement_action", row["kind"], row["natural_key"])


def test_more_that_ended_than_was_made_is_retired():
    campus = Settled()
    rows = [
        ("M1", n, {"generation": (0, 100 * (n == 0)), "charge": (0, 100 * (n == 0)), "discharge": (0, 40 * n)}, {})
        for n in (0, 1)
    ]
    campus.settle(energy_rows(rows), range(2))
    second = campus.batches.filter(pl.col("window_start") > START)["batch_id"]
    made = net_of(campus, second, 2)
    (said,) = values(made.actions, "retire_rec")
    assert said == {
        "kind": "retire_rec", "retirement_id": f"M1@{net_id(ZONE, START, END, 2)}", "meter_id": "M1", "energy_wh": 10,
        "window": "2026-11-22T20:05:00Z", "duration_s": 300,
    }  # fmt: skip
    assert made.nets["certified_wh"].to_list() == [-10]


def test_batches_with_nothing_to_net_are_netted_all_the_same(campus):
    actions = campus.actions.filter(~pl.col("kind").is_in(NETTED_KINDS))
    made = net(campus.batches, actions, **PERIOD, number=1)
    assert made.nets.is_empty()
    assert made.actions.is_empty()
    assert set(made.netted["net_id"]) == {net_id(ZONE, START, END, 1)}
    assert made.netted.height == 2


def test_what_is_of_another_period_or_batch_is_refused(campus):
    for period in ({"zone": "elsewhere"}, {"period_start": START + STEP}, {"period_end": START + STEP}):
        with pytest.raises(SettlementInputError, match="batch of another period"):
            net(campus.batches, campus.actions, **PERIOD | period, number=1)
    with pytest.raises(SettlementInputError, match="action of another batch"):
        net(campus.batches[:1], campus.actions, **PERIOD, number=1)


@pytest.mark.parametrize(
    ("energy_wh", "amount_micro", "stage"), [(-1, 5, 3), (-1, -5, 3), (0, -5, 3), (0, 5, 4), (1, 5, 4), (1, -5, 4)]
)
def test_who_takes_comes_after_who_gives(energy_wh, amount_micro, stage):
    assert stage_of("settle_position", {"energy_wh": energy_wh, "amount_micro": amount_micro}) == stage


def test_there_are_no_other_kinds():
    with pytest.raises(ValueError, match="'burn' is no kind of action; there are submit_energy_reading, "):
        stage_of("burn")
