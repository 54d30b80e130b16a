"""An interval is traded, certified and settled when its watermark has passed, and not before."""

from __future__ import annotations

import datetime as dt

from line_campus import START, reading_messages

from gridtokenx_pipeline.contracts import certificates, core, market, settlement

FIRST_END = START + dt.timedelta(seconds=300)
# 60 s of tolerance after the interval's end, and 5 s in which what was stamped gets committed.
CLOSING = FIRST_END + dt.timedelta(seconds=65)
PUBLISHED = (
    market.TRADES,
    market.GRID_SETTLEMENTS,
    certificates.BUNDLES,
    settlement.ITEMS,
    settlement.BATCHES,
    settlement.TRANSACTIONS,
)


def test_nothing_settles_before_the_watermark_and_all_of_it_after(enrolled, settled, copied):
    campus = copied(enrolled)
    messages = sorted((m for meter in campus.meters for m in reading_messages(meter)), key=lambda m: m.received_at)
    campus.land([m for m in messages if m.received_at <= CLOSING - dt.timedelta(seconds=5)])

    run = campus.run("line_unchecked", START, CLOSING, now=CLOSING - dt.timedelta(milliseconds=1))
    assert run.success, run.failed_steps
    intervals = campus.read(market.INTERVALS)
    assert set(intervals["state"]) == {"open"}
    assert set(intervals["traded_wh"]) == {0}
    assert intervals.sort("interval_start")["supply_wh"][0] > 0
    assert len(campus.read(core.ENERGY_5MIN)) == 8
    assert {table.full_name: len(campus.read(table)) for table in PUBLISHED} == dict.fromkeys((t.full_name for t in PUBLISHED), 0)

    run = campus.run("line_unchecked", START, CLOSING, now=CLOSING)
    assert run.success, run.failed_steps
    assert campus.read(market.INTERVALS).sort("interval_start")["state"].to_list() == ["settled", "open"]
    for table in PUBLISHED:
        assert set(campus.read(table)[table.window]) == {START}, table.full_name
    assert len(campus.read(settlement.BATCHES)) == 1

    campus.land([m for m in messages if m.received_at > CLOSING - dt.timedelta(seconds=5)])
    run = campus.run("line_unchecked")
    assert run.success, run.failed_steps
    assert campus.hashes(chain=False) == settled.hashes(chain=False)
