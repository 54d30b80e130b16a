"""From every kind of id to messages and to the chain, with what must add up; and what does not."""

from __future__ import annotations

import polars as pl
import pytest
from traced_campus import (
    BUYER,
    EDITED,
    FEED_IN,
    RETAIL,
    SELLER,
    SIGNATURE,
    START,
    STEP,
    TracedCampus,
    message_id,
)

from gridtokenx_pipeline.contracts import certificates, core, market, raw, settlement
from gridtokenx_pipeline.domain import merkle
from gridtokenx_pipeline.tracing import Ambiguous, NotFound, as_dict, failures, pruned, trace


def nodes(tree, kind):
    found = [tree] if tree.kind == kind else []
    return found + [node for child in tree.children for node in nodes(child, kind)]


def part(tree, kind):
    (found,) = [child for child in tree.children if child.kind == kind]
    return found


def titles(tree):
    return [tree.title, *(title for child in tree.children for title in titles(child))]


def everything(campus):
    return {
        "bundle": campus.bundle_id,
        "certificate event": campus.events["transferred"],
        "trade": campus.trade,
        "grid settlement": campus.grid[BUYER, 2],
        "settlement item": campus.items["energy_reading", BUYER, 1],
        "batch": campus.batches[1],
        "transaction": SIGNATURE,
        "agreement": campus.agreement_id,
        "edit": campus.edit_id,
        "message": message_id(SELLER, 4),
        "interval": f"{SELLER}@2026-11-25T18:05Z",
        "certificate": f"{campus.bundle_id}#{campus.first_wh}",
    }


@pytest.mark.parametrize("kind", everything(TracedCampus()))
def test_every_kind_of_id_leads_to_a_tree_in_which_all_adds_up(kind, campus, traced):
    tree = traced(everything(campus)[kind])
    checks, failed = failures(tree)
    assert tree.kind == kind
    assert checks
    assert [node.title for node in failed] == []


@pytest.mark.parametrize(
    "kind", ["bundle", "certificate event", "trade", "grid settlement", "settlement item", "interval", "certificate"]
)
def test_messages_are_behind_and_the_transaction_is_in_front(kind, campus, traced):
    id_ = campus.grid[BUYER, 1] if kind == "grid settlement" else everything(campus)[kind]
    tree = traced(id_)
    assert nodes(part(tree, "behind"), "message")
    assert [node.id for node in nodes(part(tree, "in front"), "transaction")] == [SIGNATURE] or kind == "interval"
    assert SIGNATURE in [node.id for node in nodes(part(tree, "in front"), "transaction")]


def test_the_way_back_from_the_chain(campus, traced):
    tree = traced(SIGNATURE)
    batch = part(tree, "behind").children[0]
    assert batch.id == campus.batches[1]
    assert {node.id: node.facts["count"] for node in nodes(batch, "items")} == {
        "certificate": 1,
        "energy_reading": 2,
        "grid_settlement": 2,
        "trade": 2,
    }


def test_a_bundle_rests_on_generation_alone(campus, traced):
    tree = traced(campus.bundle_id)
    behind = part(tree, "behind")
    assert [node.id for node in nodes(behind, "channel")] == ["generation"]
    (channel,) = nodes(behind, "channel")
    assert channel.facts == {"register_start_wh": "9000.777", "register_end_wh": "12001.517", "whole_wh": 3001}
    assert titles(channel)[1:] == [
        "20 energies of 15 s sum to the interval: 3000.740 = 3000.740 Wh",
        "20 readings sum to the interval: 3000.740 = 3000.740 Wh",
    ]
    first = nodes(behind, "reading")[0]
    assert (first.facts["register_start_wh"], first.facts["register_end_wh"]) == ("9000.777", "9150.814")
    (holdings,) = nodes(part(tree, "in front"), "holdings")
    assert sum(holdings.facts.values()) == 3001


def test_many_readings_are_a_first_a_last_and_a_number(campus, traced):
    behind = part(traced(campus.bundle_id, limit=2), "behind")
    assert [node.id for node in nodes(behind, "15 s energy")] == ["2026-11-25T18:05:00Z", "2026-11-25T18:09:45Z"]
    assert [node.title for node in nodes(behind, "more")] == ["18 more steps like these"]
    assert len(nodes(part(traced(campus.bundle_id, limit=20), "behind"), "15 s energy")) == 20


def test_what_is_not_one_plain_reading_is_shown_among_many(campus, traced):
    behind = part(traced(f"{BUYER}@2026-11-25T18:07:12Z"), "behind")
    (edit,) = nodes(behind, "edit")
    assert "110.333 -> 115.333 Wh, ann: read on site" in edit.title
    assert {node.facts["method"] for node in nodes(behind, "estimate")} == {"register_exact"}
    superseded = [node for node in nodes(behind, "reading") if "superseded" in node.title]
    assert {node.facts["version"] for node in superseded} == {1}
    (load,) = [node for node in nodes(behind, "channel") if node.id == "load"]
    assert "20 values (1 of edit, 1 of estimate) sum to the interval: 2211.660 = 2211.660 Wh" in titles(load)
    counted = nodes(behind, "counts")
    assert [node.title for node in counted] == ["load 115.333 Wh counts by edit, valid+edited"]


def test_a_correction_is_a_version_with_its_difference(campus, traced):
    tree = traced(f"{BUYER}@2026-11-25T18:05Z")
    ahead = part(tree, "in front")
    versions = nodes(ahead, "market interval")
    assert ["(a correction)" in node.title for node in versions] == [False, True]
    assert [node.facts["net_wh"] for node in nodes(ahead, "grid settlement")] == [-2006, -5]
    assert "net by the registers now, and settled in 2 versions: -2,011 = -2,011 Wh" in titles(ahead)
    assert "none yet: the batch is not on chain" in titles(ahead)


def test_a_settled_energy_that_changed_says_so(campus, traced):
    behind = part(traced(campus.items["energy_reading", BUYER, 1]), "behind")
    assert "load settled as 2206 Wh, 2211 Wh by the registers now: settled by another version" in titles(behind)


def test_a_trade_names_both_sides_its_money_and_its_agreement(campus, traced):
    tree = traced(campus.agreement_trade)
    assert tree.facts["amount_micro"] == 15_000
    behind = part(tree, "behind")
    assert [node.kind for node in behind.children] == ["market interval", "market interval", "agreement", "seller", "buyer"]
    agreement = behind.children[2]
    assert [node.id for node in nodes(agreement, "message")] == [message_id(SELLER, 90), message_id(BUYER, 91)]
    assert f"price 150,000 is between feed-in {FEED_IN:,} and retail {RETAIL:,}" in titles(tree)
    (moved,) = nodes(part(traced(campus.trade), "in front"), "certificates")
    assert [node.id for node in nodes(moved, "certificate event")] == [campus.events["transferred"]]


def test_an_agreement_leads_to_its_trades(campus, traced):
    (trades,) = nodes(part(traced(campus.agreement_id), "in front"), "trades")
    assert trades.facts == {"energy_wh": 100, "amount_micro": 15_000}
    assert [node.id for node in nodes(trades, "trade")] == [campus.agreement_trade]


def test_an_edit_leads_to_the_reading_before_it_and_the_interval_after(campus, traced):
    tree = traced(campus.edit_id)
    (reading,) = nodes(part(tree, "behind"), "reading")
    assert reading.facts["energy_wh"] == "110.333"
    assert [node.id for node in nodes(reading, "message")] == [message_id(BUYER, EDITED)]
    (interval,) = nodes(part(tree, "in front"), "interval")
    assert interval.facts == {"net_wh": -2011}


def test_a_message_leads_to_its_readings_and_their_interval(campus, traced):
    ahead = part(traced(message_id(SELLER, 4)), "in front")
    assert [node.id for node in nodes(ahead, "readings")] == ["generation", "load", "charge", "discharge"]
    (interval,) = nodes(ahead, "interval")
    assert interval.id == f"{SELLER}@2026-11-25T18:05:00Z"
    assert [node.id for node in nodes(interval, "bundle")] == [campus.bundle_id]
    assert [node.id for node in nodes(interval, "transaction")] == [SIGNATURE]


def test_a_proof_leads_from_the_payload_to_the_root_of_the_memo(campus, traced):
    tree = traced(campus.items["trade", campus.trade, 1])
    steps = [merkle.Step(step["side"], bytes.fromhex(step["sibling"])) for step in tree.facts["proof"]]
    (batch,) = nodes(part(tree, "in front"), "batch")
    assert merkle.verify(merkle.leaf(tree.facts["payload"].encode()), steps, bytes.fromhex(batch.facts["merkle_root"]))
    assert batch.facts["merkle_root"] in batch.facts["memo"]


def test_the_xml_is_of_the_readings_that_are_asked_about(campus, traced):
    tree = traced(campus.bundle_id, xml=True, limit=1)
    (xml,) = nodes(tree, "xml")
    assert xml.title.count("<MirrorMeterReading>") == 2
    assert f"<start>{int(START.timestamp())}</start>" in xml.title
    assert "<value>150037</value>" in xml.title
    assert "<value>9150814</value>" in xml.title
    assert nodes(traced(campus.bundle_id), "xml") == []


@pytest.mark.parametrize("text", [f"{SELLER}@2026-11-25T18:05Z#9100", f"{SELLER}#9100"])
def test_a_watt_hour_leads_to_its_bundle_and_holder(text, campus, traced):
    tree = traced(text)
    assert tree.id == f"{campus.bundle_id}#9100"
    assert tree.title == f"the Wh 9,100 of {SELLER}: claimed with {SELLER}"
    assert [node.id for node in tree.children if node.kind == "certificate event"] == [
        campus.events["issued"],
        campus.events["claimed"],
    ]


def test_beginnings_of_ids_are_enough_in_any_case(campus, traced):
    assert traced(campus.trade[:8]).id == campus.trade
    assert traced(campus.trade[:13].upper()).id == campus.trade
    assert traced(SIGNATURE[:8]).id == SIGNATURE


def test_several_with_one_beginning_are_listed(warehouse):
    with pytest.raises(Ambiguous) as several:
        trace(warehouse, "2026112518-a00")
    assert [found.id for found in several.value.candidates] == [message_id(SELLER, number) for number in range(10)]
    assert message_id(SELLER, 3) in str(several.value.candidates[3])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("abc", "too short"),
        ("deadbeef", "market.trades"),
        ("NOBODY@2026-11-25T18:05Z", "no energy of a meter 'NOBODY'"),
        (f"{SELLER}@2026-11-26T18:05Z", "which has it from 2026-11-25T18:05:00Z to 2026-11-25T18:05:00Z"),
        (f"{SELLER}@noon", "no moment"),
        (f"{SELLER}#1", "holds the Wh 1"),
        (f"{SELLER}#x", "whole number"),
        (f"{SIGNATURE}#1", "has no certificates"),
    ],
)
def test_what_is_unknown_says_where_it_was_looked_for(text, why, warehouse):
    with pytest.raises(NotFound, match=why):
        trace(warehouse, text)


def put(name, value, where=True):
    """A frame with another value in a column, in the rows where it is said."""
    return lambda frame: frame.with_columns(
        pl.when(where).then(value).otherwise(pl.col(name)).cast(frame.schema[name]).alias(name)
    )


def more(name, by=1):
    return put(name, pl.col(name) + by)


def without(where):
    return lambda frame: frame.filter(~where)


FIRST = pl.col("message_id") == message_id(SELLER, 0)


@pytest.mark.parametrize(
    ("table", "change", "kind", "fails"),
    [
        (raw.MESSAGES, put("body", pl.lit(b"forged"), FIRST), "bundle", "19 of 20 message bodies"),
        (raw.MESSAGES, without(FIRST), "bundle", "19 of 20 message bodies"),
        (core.ENERGY_5MIN, more("generation_milli_wh", 1000), "bundle", "20 readings sum to the interval: 3000.740 is not 3001.740"),
        (core.ENERGY_15S, more("generation_milli_wh"), "bundle", "20 energies of 15 s sum to the interval: 3000.760 is not 3000.740"),
        (market.TRADES, more("amount_micro"), "trade", "149,192 is not 149,193"),
        (market.TRADES, more("energy_wh"), "trade", "market.trades differ in energy_wh"),
        (market.TRADES, more("price_micro_per_kwh", 200_000), "trade", "price 293,245 is not between"),
        (market.GRID_SETTLEMENTS, put("amount_micro", 0, pl.col("version") == 2), "grid settlement", "-87,080 is not -85,680"),
        (market.GRID_SETTLEMENTS, more("traded_wh"), "grid settlement", "sold less received: 0 is not 1"),
        (settlement.ITEMS, put("payload", pl.col("payload") + "x"), "trade", "elsewhere than to the root"),
        (settlement.ITEMS, put("leaf_sha256", pl.lit("x")), "trade", "sha256 of 00 and the payload"),
        (settlement.BATCHES, put("merkle_root", pl.lit("0" * 64)), "batch", "root in the memo"),
        (settlement.BATCHES, put("memo", pl.lit("gtx0")), "trade", "the memo can be read: gtx0"),
        (certificates.HOLDINGS, without(pl.col("state") == "locked"), "bundle", "2 ranges are all certificates of the bundle: 2,900 is not 3,001"),
        (certificates.BUNDLES, more("first_wh"), "bundle", "12,000 - 9,001 + 1: 3,000 is not 3,001"),
        (certificates.BUNDLES, more("last_wh"), "bundle", "9,000 to 12,001 are not of the Wh 9,000 to 12,000"),
        (certificates.EVENTS, more("energy_wh"), "certificate event", "certificates of the range"),
    ],
)  # fmt: skip
def test_what_was_tampered_with_does_not_add_up(table, change, kind, fails, campus, tampered):
    failed = [node.title for node in failures(tampered({table: change})(everything(campus)[kind]))[1]]
    assert any(fails in title for title in failed), failed


def less(wh):
    return lambda frame: frame.with_columns(pl.col("generation_milli_wh", "generation_register_milli_wh") - wh * 1000)


def lost(kind):
    """The lock is another event, of five watt-hours, by a correction."""
    lock = pl.col("kind") == "locked"
    changes = {"energy_wh": pl.lit(5), "reason": pl.lit("correction"), "last_wh": pl.col("first_wh") + 4, "kind": pl.lit(kind)}

    def change(frame):
        for name, value in changes.items():
            frame = put(name, value, pl.col("number") == 3)(frame)
        return frame

    return lambda frame: change(frame) if frame.filter(lock).height else frame


@pytest.mark.parametrize("kind", ["withdrawn", "shortfall"])
def test_what_a_correction_takes_back_is_counted_against_the_register(kind, campus, tampered):
    lower = less(5)
    what = "floor(11,996) - floor(9,000), and 1 bundles"
    assert f"{what}: 2,996 is not 3,001 Wh" in titles(tampered({core.ENERGY_5MIN: lower})(campus.bundle_id))
    corrected = put("meter_id", pl.lit(SELLER), pl.col("version") == 2)
    changes = {core.ENERGY_5MIN: lower, certificates.EVENTS: lost(kind), market.GRID_SETTLEMENTS: corrected}
    tree = tampered(changes)(campus.bundle_id)
    assert f"{what} less 5 Wh by corrections: 2,996 = 2,996 Wh" in titles(tree)
    assert "certificates 9,000 to 12,000 are not of the Wh 9,000 to 11,995 of the generation register now" in titles(tree)


def test_energy_that_is_doubted_now_is_no_failure_of_certificates(campus, tampered):
    def doubted(frame):
        return put("quality_flags", 16)(less(5)(frame))

    behind = part(tampered({core.ENERGY_5MIN: doubted})(campus.bundle_id), "behind")
    (withheld,) = nodes(behind, "withheld")
    assert "2,996 is not 3,001 Wh, but the energy is questionable now" in withheld.title


def test_bodies_and_readings_that_retention_removed_are_no_failure(campus, tampered):
    def removed(frame):
        return frame.with_columns(pl.lit(b"").alias("body"), pl.col("received_at").alias("body_removed_at"))

    gone = without(pl.lit(True))
    retrace = tampered({raw.MESSAGES: removed, core.READINGS: gone, core.ENERGY_15S: gone})
    tree = retrace(campus.bundle_id)
    assert failures(tree)[1] == []
    assert "are no longer kept, or none was received" in titles(tree)
    assert any(title.startswith("removed 2026-11-25") for title in titles(retrace(message_id(SELLER, 0))))


def test_what_is_cut_off_is_counted_and_json_is_plain(campus, traced):
    tree = traced(campus.bundle_id)
    cut = pruned(tree, 1)
    assert {child.children[0].title for child in cut.children if child.kind in ("behind", "in front")} == {
        f"{len(list(titles(part(tree, side)))) - 1} more below" for side in ("behind", "in front")
    }
    plain = as_dict(tree)
    assert plain["facts"]["energy_wh"] == 3001
    assert plain["children"][-1]["kind"] == "in front"
    first = next(node for node in nodes(tree, "message"))
    assert as_dict(first)["facts"]["received_at"] == (START + STEP).strftime("%Y-%m-%dT%H:%M:16Z")
