"""Running again, receiving again, dying anywhere: the same end."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import replace

import pytest
from line_campus import AFTERWARDS, SILENCE, START, clock_at, reading_messages

from gridtokenx_pipeline.contracts import certificates, core, market, raw, settlement
from gridtokenx_pipeline.defs.landing import assets as landing_assets
from gridtokenx_pipeline.solana.broadcast import Broadcast
from gridtokenx_pipeline.solana.outbox import Outbox
from gridtokenx_pipeline.solana.receipts import read_receipts
from gridtokenx_pipeline.warehouse import Append, Warehouse


def test_a_second_run_writes_nothing_anywhere(settled, copied):
    campus = copied(settled)
    before, snapshot, sent = campus.hashes(), campus.last_snapshot(), campus.transactions_on_chain()
    run = campus.run("tick")
    assert run.success, run.failed_steps
    assert run.failed_checks() == SILENCE
    assert len(run.checks) == 20
    assert campus.hashes() == before
    assert campus.last_snapshot() == snapshot
    assert campus.transactions_on_chain() == sent


def test_messages_sent_again_are_rejected_as_duplicates_and_change_nothing(settled, copied):
    campus = copied(settled)
    settled_tables = ("market", "certificates", "settlement")
    before, sent = campus.hashes(*settled_tables), campus.transactions_on_chain()
    readings, energy = campus.read(core.READINGS), campus.read(core.ENERGY_5MIN)
    # All bodies once more within the same receipt hour; of one meter, hours later too.
    again = [
        replace(m, received_at=AFTERWARDS + dt.timedelta(seconds=20)) for meter in campus.meters for m in reading_messages(meter)
    ]
    much_later = [replace(m, received_at=AFTERWARDS + dt.timedelta(hours=3)) for m in reading_messages(campus.meters[0])]
    ids = campus.land([*again, *much_later])
    now = AFTERWARDS + dt.timedelta(hours=3, minutes=1)
    run = campus.run("tick", START, now, now)
    assert run.success, run.failed_steps
    assert run.failed_checks() == SILENCE
    rejected = campus.read(core.REJECTED_READINGS)
    assert set(rejected["reason"]) == {"duplicate"}
    assert set(rejected["message_id"]) <= set(ids)
    assert rejected["parts"].sum() == 5 * 40 * 13
    assert campus.read(core.READINGS).equals(readings)
    assert campus.read(core.ENERGY_5MIN).equals(energy)
    assert campus.hashes(*settled_tables) == before
    assert campus.transactions_on_chain() == sent


class Died(Exception):
    """What a killed run looks like from inside."""


def after_commit_of(table, kind=object):
    """Die when the transaction that wrote to `table` has been committed."""

    def arm(patch):
        commit = Warehouse.commit

        def dying(self, *changes):
            written = commit(self, *changes)
            if any(change.table is table and isinstance(change, kind) for change in changes):
                patch.undo()
                raise Died
            return written

        patch.setattr(Warehouse, "commit", dying)

    return arm


def in_the_first_chunk(patch):
    patch.setattr(landing_assets, "LOAD_CHUNK", 50)
    after_commit_of(raw.MESSAGES, Append)(patch)


def after_sending(patch):
    send = Broadcast._send_first

    async def dying(self, attempt):
        await send(self, attempt)
        patch.undo()
        raise Died

    patch.setattr(Broadcast, "_send_first", dying)


def after_confirmation(patch):
    resolve = Broadcast.resolve

    async def dying(self, attempts):
        found = await resolve(self, attempts)
        if not attempts:
            return found
        patch.undo()
        raise Died

    patch.setattr(Broadcast, "resolve", dying)


# In the order of the line: each run gets as far as the next deadly place, over the ruins of the runs before.
DEATHS = (
    ("intake", "load_messages", in_the_first_chunk),
    ("intake", "validate_readings", after_commit_of(core.READINGS)),
    ("settle_unchecked", "aggregate_energy", after_commit_of(core.ENERGY_5MIN)),
    ("settle_unchecked", "clear_market", after_commit_of(market.TRADES)),
    ("settle_unchecked", "issue_certificates", after_commit_of(certificates.BUNDLES)),
    ("settle_unchecked", "plan_settlement", after_commit_of(settlement.BATCHES, Append)),
    ("settle_unchecked", "submit_actions", after_sending),
    ("settle_unchecked", "submit_actions", after_confirmation),
    ("settle_unchecked", "submit_actions", after_commit_of(settlement.TRANSACTIONS)),
)


def test_a_line_that_dies_at_every_stage_ends_as_if_undisturbed(landed, settled, copied):
    campus = copied(landed)
    jobs = [job for job, _, _ in DEATHS]
    for number, (job, step, arm) in enumerate(DEATHS):
        with pytest.MonkeyPatch.context() as patch:
            arm(patch)
            run = campus.run(job)
        assert list(run.failed_steps) == [step], run.failed_steps
        assert "Died" in run.failed_steps[step]
        if job != jobs[min(number + 1, len(jobs) - 1)]:
            assert campus.run(job).success
    last = campus.run("settle")
    assert last.success, last.failed_steps
    assert last.failed_checks() == SILENCE
    assert campus.hashes(chain=False) == settled.hashes(chain=False)
    signatures = campus.transactions_on_chain()
    receipts = read_receipts(campus.settings.rpc_urls, signatures).values()
    memos = Counter(r.memo for r in receipts if r.memo and r.memo.startswith("gtx1:"))
    assert memos == Counter(dict.fromkeys(campus.read(settlement.BATCHES)["memo"], 1))
    with clock_at(AFTERWARDS):
        outbox = Outbox(campus.settings.operational_url)
        assert outbox.open_attempts() == []
        outbox.close()
