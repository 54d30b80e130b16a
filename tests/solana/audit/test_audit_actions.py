"""What is done is found on a real chain, one by one; what is not, or is otherwise, is named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from settled_chain import BOUGHT, IDLE, SOLD, Campus, done, known

from gridtokenx_pipeline.domain.ids import iso
from gridtokenx_pipeline.domain.settlement import meter_totals
from gridtokenx_pipeline.solana.audit import (
    Compared,
    Expected,
    ahead,
    compare_actions,
    compare_deeds,
    compare_roots,
    compare_supply,
    compare_totals,
    compare_windows,
)

ROOT, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
async def campus(tmp_path: Path):
    async with Campus(tmp_path) as found:
        yield found


def by_name(found: list[Compared]) -> dict[str, Compared]:
    return {one.name: one for one in found}


def changed(rows: pl.DataFrame, **values: object) -> pl.DataFrame:
    """Done rows whose arguments say something else than was sent."""
    text = pl.col("arguments").map_elements(lambda t: json.dumps(json.loads(t) | values, sort_keys=True), return_dtype=pl.String)
    return rows.with_columns(arguments=text)


async def test_a_settled_interval_agrees_and_every_lie_about_it_is_named(campus: Campus):
    readings = await campus.carry_out(pl.concat([campus.reading(SOLD, 0, 5000, 100), campus.reading(BOUGHT, 0, 0, 900)]))
    roots = await campus.carry_out(campus.root(ROOT))
    grid = await campus.carry_out(campus.grid(3000))
    trades = await campus.carry_out(pl.concat([campus.trade("t1", 1000), campus.trade("t2", 2000)]))
    bundles = await campus.carry_out(campus.bundle("b1", 2500))
    retired = await campus.carry_out(campus.retirement("r1", 400))
    everything = pl.concat([readings, roots, grid, trades, bundles, retired])

    found = by_name(await compare_actions(campus.chain, known(everything), "gridtokenx"))
    assert {name: (one.compared, one.problems) for name, one in found.items()} == {
        "meters": (2, ()),
        "roots": (1, ()),
        "memos": (1, ()),
        "trades": (2, ()),
        "energy minted": (1, ()),
        "bundles": (1, ()),
        "retirements": (1, ()),
    }
    totals = await compare_totals(campus.chain, meter_totals(everything), [])
    assert (totals.compared, totals.problems) == (2, ())
    supply = await compare_supply(campus.chain, Expected(3000), Expected(2100, 2150, {"not_minted_waiting": 50}), {})
    assert (supply.problems, supply.numbers["rec_not_minted_waiting_wh"]) == ((), 50)

    lies = [
        changed(trades.head(1), energy_wh=1001),
        changed(bundles, energy_wh=2501),
        changed(retired, meter_id=BOUGHT),
        done(campus.trade("t3", 5), dict.fromkeys(campus.trade("t3", 5)["action_id"], trades["signature"][0])),
    ]
    problems = by_name(await compare_deeds(campus.chain, known(*lies)))
    assert [p.partition(":")[0] for p in problems["trades"].problems] == ["trade t1", "trade t3"]
    assert "another content" in problems["trades"].problems[0]
    assert "does not have it" in problems["trades"].problems[1]
    assert problems["bundles"].problems[0].startswith("bundle b1: the chain has it with another content")
    assert problems["retirements"].problems == ("retirement r1: is done, and the chain does not have it",)
    wrong = meter_totals(pl.concat([everything, lies[3]]).filter(pl.col("kind") != "mint_rec"))
    assert (await compare_totals(campus.chain, wrong, [])).problems == (
        f"meter {SOLD}: rec_minted_wh is 2500 on chain and 0 in the warehouse",
    )
    short = await compare_supply(campus.chain, Expected(2999, 3010), Expected(2100, 2100), {})
    assert short.problems == (
        "GRID: the supply is 3000 Wh, 1 Wh more than the 2999 Wh that are done",
        "GRID: the books have 3010 Wh, +11 Wh against what is done, of which nothing is explained",
    )
    never = done(campus.reading(SOLD, 1, 10), dict.fromkeys(campus.reading(SOLD, 1, 10)["action_id"], "x"))
    strange = done(campus.reading(IDLE, 0, 10), dict.fromkeys(campus.reading(IDLE, 0, 10)["action_id"], "x"))
    windows = await compare_windows(campus.chain, known(never, strange))
    assert windows.problems == tuple(
        f"meter {meter}: {iso(campus.window(at))} is done and did not count on chain" for meter, at in ((SOLD, 1), (IDLE, 0))
    )


async def test_what_landed_before_the_warehouse_knows_is_no_difference(campus: Campus):
    first = await campus.carry_out(campus.reading(SOLD, 0, 5000))
    coming = campus.reading(SOLD, 1, 700, 20)
    grid, bundle = campus.grid(600), campus.bundle("b1", 500)
    for rows in (coming, grid, bundle):
        await campus.carry_out(rows)
    parked = campus.bundle("b2", 100).with_columns(state=pl.lit("parked"))
    undone = known(coming, grid, bundle, parked)

    assert (await compare_totals(campus.chain, meter_totals(first), undone)).problems == ()
    more = await ahead(campus.chain, undone)
    assert (more["grid_minted_wh"], more["rec_minted_wh"], more["produced_wh"]) == (600, 500, 700)
    assert (await compare_supply(campus.chain, Expected(0), Expected(0), more)).problems == ()
    found = by_name(await compare_deeds(campus.chain, undone))
    assert found["bundles"].problems == ()
    assert (found["bundles"].numbers["not_done_but_on_chain"], found["bundles"].numbers["not_done"]) == (1, 1)


async def test_trades_that_the_book_forgot_are_found_in_their_transactions(campus: Campus):
    await campus.carry_out(pl.concat([campus.reading(SOLD, at, 5000) for at in range(3)]))
    old = pl.concat([campus.trade(f"old-{n}", 10 + n) for n in range(4)])
    new = pl.concat([campus.trade(f"new-{n}", 10, 1 + n // 70) for n in range(130)])
    await campus.carry_out(campus.grid(4000))
    old = await campus.carry_out(old)
    sent_again = await campus.carry_out(old.head(1))
    new = await campus.carry_out(new)

    (trades,) = await compare_deeds(campus.chain, known(old, new))
    assert (trades.compared, trades.problems) == (134, ())
    assert trades.numbers["older"] == 6  # the old ones, and two that left with them

    # Sent again it was a no-op: there is no event, and the chain took it only because it had just this.
    (again,) = await compare_deeds(campus.chain, known(sent_again))
    assert again.problems == ()

    signature = old["signature"][0]
    lies = pl.concat(
        [
            changed(old.head(1), price_micro_per_kwh=1, amount_micro=0),
            old.slice(1, 1).with_columns(signature=pl.lit(None, dtype=pl.String)),
            old.slice(2, 1).with_columns(signature=pl.lit(new["signature"][0])),
        ]
    )
    (wrong,) = await compare_deeds(campus.chain, known(lies))
    assert wrong.problems == (
        f"trade old-0: its transaction {signature} succeeded, and does not say that it happened",
        "trade old-1: is older than what the chain remembers, and no transaction of it is known",
        f"trade old-2: its transaction {new['signature'][0]} succeeded, and does not say that it happened",
    )


async def test_positions_of_a_net_are_in_the_wallets_accounts(campus: Campus):
    await campus.carry_out(pl.concat([campus.reading(SOLD, at, 5000) for at in range(2)]))
    await campus.carry_out(campus.grid(100, 1))
    gave = await campus.carry_out(campus.position(SOLD, -100, 0))
    took = await campus.carry_out(campus.position(BOUGHT, 100, 0))
    (found,) = await compare_deeds(campus.chain, known(gave, took))
    assert (found.name, found.compared, found.problems) == ("positions", 2, ())
    (wrong,) = await compare_deeds(campus.chain, known(changed(took, energy_wh=99), changed(gave, number=2)))
    assert [problem.partition(":")[0] for problem in wrong.problems] == [
        f"position {BOUGHT}@net-1",
        f"position {SOLD}@net-1",
    ]


async def test_the_root_of_the_highest_version_counts(campus: Campus):
    first = await campus.carry_out(campus.root(ROOT))
    assert (await compare_roots(campus.chain, known(first))).problems == ()
    second = campus.root(OTHER, version=2)
    waiting = await compare_roots(campus.chain, known(first, second))
    assert (waiting.problems, waiting.numbers["not_done"]) == ((), 1)
    landed = await campus.carry_out(second)
    campus.chain.forget()
    for rows in ((first, landed), (first, second)):
        assert (await compare_roots(campus.chain, known(*rows))).problems == ()
    (problem,) = (await compare_roots(campus.chain, known(first))).problems
    assert problem == (
        f"stanford {iso(campus.start)}: the chain has version 2 of 3 leaves with root {OTHER}, "
        f"the warehouse version 1 of 3 leaves with root {ROOT}"
    )
    never = campus.root(ROOT, at=1).with_columns(state=pl.lit("done"))
    assert "the chain has no root" in (await compare_roots(campus.chain, known(never))).problems[0]
