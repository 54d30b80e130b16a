"""What the chain has to do for a batch."""

from __future__ import annotations

import json

import polars as pl
import pytest
from certificate_registry import START, STEP, energy_rows, interval_rows, series, trade_rows
from settled_examples import METERS
from settled_registry import ZONE, Settled, certified

from gridtokenx_pipeline.contracts import certificates, market, settlement
from gridtokenx_pipeline.domain.certificates import Selection, issue, withdraw
from gridtokenx_pipeline.domain.ids import derived_id
from gridtokenx_pipeline.domain.market import positions
from gridtokenx_pipeline.domain.settlement import (
    SettlementInputError,
    actions_of,
    batch_id,
    late_retirements,
    net,
    parse_memo,
    plan,
    stage_of,
)

FIRST = "2026-11-22T20:00:00Z"
NONE = certificates.BUNDLES.empty(), certificates.EVENTS.empty()


def meter(name, number=0, columns=None, **energies):
    return name, number, {channel: (0, wh) for channel, wh in energies.items()}, columns or {}


def settled(*rows) -> Settled:
    campus = Settled()
    energy = energy_rows(rows)
    campus.settle(energy, range(1 + max(row[1] for row in rows)))
    return campus


def arguments(actions, kind):
    """By natural key."""
    rows = actions.filter(kind=kind).select("natural_key", "arguments").iter_rows()
    return {key: json.loads(text) for key, text in rows}


@pytest.fixture(scope="module")
def campus() -> Settled:
    return settled(
        meter("M1", generation=100, load=20),
        meter("M2", load=50),
        meter("M3", load=10, discharge=4, generation=7),
        meter("M4", load=15),
    )


def test_readings_say_what_was_produced_and_consumed(campus):
    common = {"duration_s": 300, "version": 1}
    assert arguments(campus.actions, "submit_energy_reading") == {
        f"M1@{FIRST}": {"meter_id": "M1", "produced_wh": 100, "consumed_wh": 20} | common,
        f"M2@{FIRST}": {"meter_id": "M2", "produced_wh": 0, "consumed_wh": 50} | common,
        f"M3@{FIRST}": {"meter_id": "M3", "produced_wh": 11, "consumed_wh": 10} | common,
        f"M4@{FIRST}": {"meter_id": "M4", "produced_wh": 0, "consumed_wh": 15} | common,
    }


def test_the_root_goes_with_the_memo(campus):
    ((key, said),) = arguments(campus.actions, "record_batch").items()
    (batch,) = campus.batches.to_dicts()
    assert key == batch["batch_id"] == batch_id(ZONE, START, 1)
    memo = parse_memo(said.pop("memo"))
    assert said == {"version": 1, "leaves": memo.items, "root": memo.merkle_root, "duration_s": 300}
    assert (memo.items, memo.merkle_root) == (batch["items"], batch["merkle_root"])


def test_sellers_have_minted_what_their_trades_move(campus):
    trades = arguments(campus.actions, "execute_trade")
    assert {key: value["trade_id"] for key, value in trades.items()} == {key: key for key in campus.trades["trade_id"]}
    for value in trades.values():
        assert (value["energy_wh"] * value["price_micro_per_kwh"] + 500) // 1000 == value["amount_micro"]
        assert value["duration_s"] == 300
    minted = arguments(campus.actions, "mint_grid")
    sold = {}
    for value in trades.values():
        key = f"{value['seller_meter_id']}@{FIRST}"
        sold[key] = sold.get(key, 0) + value["energy_wh"]
    assert sold == {f"M1@{FIRST}": 64, f"M3@{FIRST}": 1} == {key: value["energy_wh"] for key, value in minted.items()}
    assert minted[f"M1@{FIRST}"] == {"meter_id": "M1", "energy_wh": 64, "duration_s": 300}
    assert len(trades) > len(minted)


def test_own_claims_are_not_minted(campus):
    """M1 uses 20 of its 100 Wh itself; M3 all that it generated, so there is nothing to mint."""
    ((key, said),) = arguments(campus.actions, "mint_rec").items()
    assert said == {
        "bundle_id": key,
        "meter_id": "M1",
        "energy_wh": 80,
        "duration_s": 300,
        "first_window": FIRST,
        "last_window": FIRST,
    }
    assert campus.live == {"M1": 80}
    assert campus.registry.bundles.filter(meter_id="M3")["energy_wh"].to_list() == [7]


def test_rows_are_whole_and_in_order_of_stages(campus):
    rows = campus.actions
    assert settlement.ACTIONS.conform(rows).equals(rows)
    assert set(rows["state"]) == {"waiting"}
    assert rows["stage"].is_sorted()
    for row in rows.iter_rows(named=True):
        assert row["action_id"] == derived_id("settlement_action", row["kind"], row["natural_key"])
        assert row["stage"] == stage_of(row["kind"])
        assert json.dumps(json.loads(row["arguments"]), sort_keys=True, separators=(",", ":")) == row["arguments"]


def test_order_of_rows_does_not_matter(campus):
    shuffled = Settled(campus.registry, campus.trades, campus.grid, campus.cleared, campus.items.reverse(), campus.batches)
    assert shuffled.actions_again().equals(campus.actions)


def test_the_memo_profile_writes_memos_alone(campus):
    made = actions_of(campus.items, campus.batches, interval_rows([(0, 1, "settled")]), *NONE, profile="memo")
    assert made.select("kind", "natural_key", "arguments").rows() == [
        ("memo", batch["batch_id"], json.dumps({"memo": batch["memo"]}, separators=(",", ":")))
        for batch in campus.batches.to_dicts()
    ]


def test_a_name_that_is_not_ascii_stays_canonical():
    campus = settled(meter("Zürich", load=5))
    ((text,),) = campus.actions.filter(kind="submit_energy_reading").select("arguments").rows()
    assert text.isascii()
    assert json.loads(text)["meter_id"] == "Zürich"
    assert campus.actions.filter(kind="submit_energy_reading")["action_id"].to_list() == [
        derived_id("settlement_action", "submit_energy_reading", f"Zürich@{FIRST}")
    ]


def _planned(*versions):
    """ITEMS and BATCHES of one interval, version after version; of each the energy of its meters."""
    items, batches = [], []
    for version, rows in enumerate(versions, 1):
        energy = energy_rows(rows)
        grid = pl.DataFrame(
            [
                {name: ("" if kind == pl.String else 0) for name, kind in market.GRID_SETTLEMENTS.frame_schema().items()}
                | {"grid_settlement_id": f"{version}/{row[0]}", "zone": ZONE, "interval_start": START, "meter_id": row[0]}
                | {"version": version, "reason": "correction"}
                for row in rows
            ],
            schema=market.GRID_SETTLEMENTS.frame_schema(),
        )
        made = plan(positions(energy, 100), market.TRADES.empty(), grid, NONE[0], interval_rows([(0, version, "closed")]))
        items.append(made.items)
        batches.append(made.batches)
    return items, batches


UNKNOWN = {f"{name}_register_milli_wh": None for name in ("generation", "load", "charge", "discharge")}


def test_an_interval_of_a_meter_is_submitted_once_when_anything_is_known():
    """M1 has no register at first, M3 not even readings; M2's correction comes too late for the chain's sums."""
    items, batches = _planned(
        [meter("M1", load=7, columns=UNKNOWN), meter("M2", load=8)],
        [meter("M1", load=9), meter("M2", load=10), meter("M3", load=11, columns=UNKNOWN | {"load_register_milli_wh": 11_000})],
        [meter("M1", load=12), meter("M3", load=13)],
    )
    intervals = interval_rows([(0, version, "settled") for version in (1, 2, 3)])
    told = []
    for version in (1, 2, 3):
        made = actions_of(pl.concat(items[:version]), batches[version - 1], intervals, *NONE, profile="gridtokenx")
        told.append({value["meter_id"]: value["consumed_wh"] for value in arguments(made, "submit_energy_reading").values()})
        assert len(arguments(made, "record_batch")) == 1
    assert told == [{"M2": 8}, {"M1": 9, "M3": 11}, {}]
    # All at once, they are the same.
    made = actions_of(pl.concat(items), pl.concat(batches), intervals, *NONE, profile="gridtokenx")
    again = arguments(made, "submit_energy_reading").values()
    assert {value["meter_id"]: (value["version"], value["consumed_wh"]) for value in again} == {
        "M1": (2, 9), "M2": (1, 8), "M3": (2, 11),
    }  # fmt: skip


def test_a_reading_of_nothing_is_a_reading():
    campus = settled(meter("M1"))
    (said,) = arguments(campus.actions, "submit_energy_reading").values()
    assert (said["produced_wh"], said["consumed_wh"]) == (0, 0)


def test_what_is_lost_on_the_way_is_not_minted():
    campus = Settled()
    energy = series({"M1": [{"generation": 60}], "M2": [{"load": 50}]})
    made = positions(energy, 100)
    trades = trade_rows([(0, "M1", "M2", 40, 4, "pool")])
    campus.registry.run(energy, range(1), trades)
    campus.plan(made, trades, market.GRID_SETTLEMENTS.empty(), range(1), 1)
    assert [value["energy_wh"] for value in arguments(campus.actions, "mint_rec").values()] == [56]
    assert campus.live == {"M1": 56}
    assert campus.actions.filter(kind="retire_rec").is_empty()


def test_what_was_held_back_is_minted_when_it_is_issued():
    campus = settled(meter("M1", generation=60, columns={"quality_flags": 9}))
    assert campus.actions.filter(kind="mint_rec").is_empty()
    campus.correct(energy_rows([meter("M1", generation=63)]), range(1), 2)
    assert campus.actions.filter(kind="mint_rec")["batch_id"].to_list() == [batch_id(ZONE, START, 2)]
    assert certified(campus.actions) == {"M1": 63} == campus.live


def test_what_a_store_gives_back_is_minted_for_what_is_cancelled():
    energy = series({"M1": [{"generation": 100, "charge": 100}, {"discharge": 40}], "M2": [{}, {"load": 100}]})
    campus = Settled()
    campus.settle(energy, range(2))
    minted = arguments(campus.actions, "mint_rec")
    assert sorted(value["energy_wh"] for value in minted.values()) == [40, 100]
    ((event, cancelled),) = campus.registry.events.filter(kind="cancelled").select("event_id", "energy_wh").rows()
    assert cancelled == 50
    window = "2026-11-22T20:05:00Z"
    assert arguments(campus.actions, "retire_rec") == {
        event: {"retirement_id": event, "meter_id": "M1", "energy_wh": 50, "window": window, "duration_s": 300}
    }
    assert certified(campus.actions) == {"M1": 90} == campus.live


def test_a_correction_retires_what_is_left_and_not_what_was_claimed():
    campus = settled(meter("M1", generation=100, load=70))
    assert certified(campus.actions) == {"M1": 30}
    campus.correct(energy_rows([meter("M1", generation=50, load=70)]), range(1), 2)
    assert sorted(campus.registry.events.filter(kind="withdrawn")["energy_wh"]) == [20, 30]
    assert [value["energy_wh"] for value in arguments(campus.actions, "retire_rec").values()] == [30]
    assert set(campus.actions.filter(kind="retire_rec")["batch_id"]) == {batch_id(ZONE, START, 2)}
    assert campus.live == certified(campus.actions) == {}


NOW = START + 10 * STEP
ANA = {"actor": "ana", "reason": "fraud", "at": NOW, "market_interval_s": 300}


def test_decisions_are_one_retirement_of_each_producer_and_interval():
    campus = settled(*(meter(name, number, generation=40) for name in ("M1", "M2") for number in range(3)))
    for wh in (90, 20):
        campus.decide(withdraw(campus.registry.holdings, Selection(owner="M1"), energy_wh=wh, **ANA))
    window = "2026-11-22T20:50:00Z"
    common = {"meter_id": "M1", "window": window, "duration_s": 300}
    assert arguments(campus.late, "retire_rec") == {
        f"M1@{window}": {"retirement_id": f"M1@{window}", "energy_wh": 90} | common,
        f"M1@{window}#2": {"retirement_id": f"M1@{window}#2", "energy_wh": 20} | common,
    }
    assert set(campus.late.select("batch_id", "window_start").rows()) == {(batch_id(ZONE, NOW, 1), NOW)}
    assert certified(campus.actions, campus.late) == {"M1": 10, "M2": 120} == campus.live


def test_what_was_retired_is_not_retired_again():
    campus = settled(meter("M1", generation=40))
    campus.decide(withdraw(campus.registry.holdings, Selection(owner="M1"), energy_wh=30, **ANA))
    given = campus.standing, campus.registry.bundles, campus.batches
    assert late_retirements(*given, campus.late).is_empty()
    too_much = campus.late.with_columns(arguments=pl.col("arguments").str.replace('"energy_wh":30', '"energy_wh":31'))
    with pytest.raises(SettlementInputError, match="M1@2026-11-22T20:50:00Z retires 1 Wh more than ended"):
        late_retirements(*given, too_much)


def test_corrections_are_told_under_an_interval_that_the_chain_remembers():
    """A first version is told under its own, whatever came since; a correction too, while its meter has no newer one."""
    rows = [meter("M1", generation=60, columns={"quality_flags": 9}), meter("M2", generation=80), meter("M3", generation=30)]
    campus = settled(*rows)
    now = energy_rows([meter("M1", generation=60), meter("M2", generation=50), meter("M3", generation=35)])
    campus.newest = {"M1": NOW, "M2": NOW, "M3": START - STEP}
    campus.correct(now, range(1), 2)
    told = "2026-11-22T20:50:00Z"
    minted = arguments(campus.actions, "mint_rec").values()
    assert sorted((v["meter_id"], v["energy_wh"], v["first_window"], v["last_window"]) for v in minted) == [
        ("M1", 60, FIRST, told), ("M2", 80, FIRST, FIRST), ("M3", 5, FIRST, FIRST), ("M3", 30, FIRST, FIRST),
    ]  # fmt: skip
    assert [(v["meter_id"], v["window"]) for v in arguments(campus.actions, "retire_rec").values()] == [("M2", told)]
    assert set(campus.actions.filter(kind="retire_rec")["window_start"]) == {START}
    period = {"zone": ZONE, "period_start": START, "period_end": START + 12 * STEP}
    made = net(campus.batches, campus.actions, **period, number=1).actions
    windows = {v["meter_id"]: (v["first_window"], v["last_window"]) for v in arguments(made, "mint_rec").values()}
    assert windows == {"M1": (FIRST, told), "M2": (FIRST, FIRST), "M3": (FIRST, FIRST)}


def test_a_correction_without_a_batch_is_retired_besides():
    """Where nothing of the market differs, and no certificate is new, a correction has no leaf."""
    campus = settled(meter("M1", generation=100))
    energy = energy_rows([meter("M1", generation=60)])
    campus.registry.run(energy, range(1), campus.trades, version=2)
    assert campus.batches["version"].to_list() == [1]
    campus.newest = {"M1": NOW}
    campus.retire_late()
    assert {value["window"] for value in arguments(campus.late, "retire_rec").values()} == {"2026-11-22T20:50:00Z"}
    assert [(key, value["energy_wh"]) for key, value in arguments(campus.late, "retire_rec").items()] == [(f"M1@{FIRST}/v2", 40)]
    assert certified(campus.actions, campus.late) == campus.live == {"M1": 60}


def test_claims_of_other_intervals_are_not_retired():
    """They come along with a withdrawal of their bundle."""
    campus = settled(meter("M1", generation=100, load=70))
    campus.decide(withdraw(campus.registry.holdings, Selection(owner="M1"), energy_wh=12, **ANA))
    given = campus.standing, campus.registry.bundles, settlement.BATCHES.empty(), settlement.ACTIONS.empty()
    assert late_retirements(*given).equals(campus.late)
    assert certified(campus.actions, campus.late) == {"M1": 18} == campus.live


def test_what_may_be_made_again_is_not_retired():
    campus = settled(meter("M1", generation=100))
    campus.registry.run(energy_rows([meter("M1", generation=60)]), range(1), campus.trades, version=2, settle=False)
    campus.retire_late()
    assert campus.late.is_empty()


def test_rows_that_do_not_belong_together_are_refused(campus):
    with pytest.raises(SettlementInputError, match="batch of no interval"):
        actions_of(campus.items, campus.batches, interval_rows([(0, 2, "settled")]), *NONE, profile="gridtokenx")
    with pytest.raises(SettlementInputError, match="event of no bundle"):
        actions_of(
            campus.items,
            campus.batches,
            interval_rows([(0, 1, "settled")]),
            campus.registry.bundles.clear(),
            campus.registry.events,
            profile="gridtokenx",
        )


def test_every_bundle_of_before_there_were_ranges_is_retired_whole(campus):
    bundles = issue(energy_rows([meter(name, generation=30) for name in METERS])).bundles
    events = withdraw(
        pl.DataFrame(
            [
                {"bundle_id": row["bundle_id"], "state": "active", "events": 1}
                | {
                    name: row[name]
                    for name in ("first_wh", "last_wh", "energy_wh", "zone", "meter_id", "interval_start", "owner")
                }
                for row in bundles.to_dicts()
            ],
            schema=certificates.HOLDINGS.frame_schema(),
        ),
        Selection(owner="M2"),
        **ANA,
    ).with_columns(first_wh=pl.lit(None, dtype=pl.Int64), last_wh=pl.lit(None, dtype=pl.Int64))
    late = late_retirements(events, bundles, campus.batches, campus.actions)
    assert [(value["meter_id"], value["energy_wh"]) for value in arguments(late, "retire_rec").values()] == [("M2", 30)]
