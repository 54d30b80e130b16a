from __future__ import annotations

import asyncio
import dataclasses

import pytest

from gridtokenx_pipeline.solana.lease import SubmitterBusy, submission_lease
from gridtokenx_pipeline.solana.outbox import Outbox, OutboxConflict


def record(outbox, batch, signature="s1", height=100):
    return outbox.record_attempt(batch.batch_id, signature=signature, payer="p", raw_tx=b"raw", last_valid_block_height=height)


def state(outbox, batch):
    return outbox.receipts([batch.batch_id])[0].state


def test_enqueue_ignores_repeats_and_refuses_conflicts_whole(outbox, batches):
    first, second, third = batches(3)
    assert outbox.enqueue([first, second]) == 2
    assert outbox.enqueue([second, first, second]) == 0
    with pytest.raises(OutboxConflict, match=first.batch_id):
        outbox.enqueue([third, dataclasses.replace(first, memo="other")])
    assert [b.batch_id for b in outbox.batches()] == [first.batch_id, second.batch_id]
    assert outbox.batches()[0] == first


def test_enqueue_many_and_conflict_within_one_call(outbox, batches):
    many = batches(1000)
    assert outbox.enqueue(many) == 1000
    assert outbox.enqueue(many) == 0
    assert outbox.batches([b.batch_id for b in many[:900]], "pending") == many[:900]
    fresh = batches(1, "b")[0]
    with pytest.raises(OutboxConflict):
        outbox.enqueue([fresh, dataclasses.replace(fresh, zone="elsewhere")])
    assert outbox.batches([fresh.batch_id]) == []


def test_one_live_attempt_for_each_batch(outbox, batches):
    (batch,) = batches(1)
    with pytest.raises(OutboxConflict):
        record(outbox, batch)
    outbox.enqueue([batch])
    first = record(outbox, batch)
    assert (state(outbox, batch), outbox.open_attempts()) == ("submitted", [first])
    with pytest.raises(OutboxConflict):
        record(outbox, batch, "s2")
    outbox.expire_attempt(first.id)
    assert state(outbox, batch) == "pending"
    second = record(outbox, batch, "s2")
    outbox.confirm_attempt(second.id, slot=7, fee_lamports=5000, compute_units=900)
    outbox.confirm_attempt(second.id, slot=7, fee_lamports=5000, compute_units=900)
    with pytest.raises(OutboxConflict):
        record(outbox, batch, "s3")
    with pytest.raises(OutboxConflict):
        outbox.expire_attempt(second.id)
    with pytest.raises(OutboxConflict):
        outbox.fail_attempt(second.id, error="x")
    receipt = outbox.receipts([batch.batch_id])[0]
    assert (receipt.signature, receipt.slot, receipt.fee_lamports, receipt.state) == ("s2", 7, 5000, "confirmed")
    assert [a.state for a in outbox.attempts([batch.batch_id])] == ["expired", "confirmed"]


def test_signatures_are_unique_across_batches(outbox, batches):
    one, two = batches(2)
    outbox.enqueue([one, two])
    record(outbox, one)
    with pytest.raises(OutboxConflict):
        record(outbox, two)
    assert state(outbox, two) == "pending"


def test_failure_keeps_the_error_until_requeued(outbox, batches):
    one, two = batches(2)
    outbox.enqueue([one, two])
    outbox.fail_attempt(record(outbox, one).id, error='{"InstructionError":[1,{"Custom":1}]}')
    outbox.fail_batch(two.batch_id, "TransactionTooLarge")
    assert [r.error for r in outbox.receipts([one.batch_id, two.batch_id])] == [
        '{"InstructionError":[1,{"Custom":1}]}',
        "TransactionTooLarge",
    ]
    assert outbox.requeue([one.batch_id, two.batch_id, "unknown"]) == 2
    assert (state(outbox, one), state(outbox, two)) == ("pending", "pending")
    record(outbox, one, "s2")
    assert outbox.requeue([one.batch_id]) == 0


def test_survives_reopening_and_refuses_memory(tmp_path, batches):
    url = f"sqlite:///{tmp_path / 'deep' / 'box.sqlite'}"
    (batch,) = batches(1)
    first = Outbox(url)
    first.enqueue([batch])
    attempt = record(first, batch)
    first.close()
    second = Outbox(url)
    assert second.open_attempts() == [attempt]
    second.close()
    with pytest.raises(ValueError, match="outlive"):
        Outbox("sqlite://")


async def test_lease_excludes_per_payer_and_waits(tmp_path, outbox):
    other = Outbox(str(outbox.url))
    async with submission_lease(outbox, "payer", wait_s=0):
        with pytest.raises(SubmitterBusy, match="payer"):
            async with submission_lease(other, "payer", wait_s=0):
                pass
        async with submission_lease(other, "another", wait_s=0):
            pass

        async def waiter():
            async with submission_lease(other, "payer", wait_s=10):
                return True

        task = asyncio.create_task(waiter())
        await asyncio.sleep(0.05)
        assert not task.done()
    assert await task
    other.close()
