from __future__ import annotations

import asyncio
import dataclasses
import sqlite3

import pytest
import sqlalchemy as sa

from gridtokenx_pipeline.solana.actions import Refusal
from gridtokenx_pipeline.solana.lease import SubmitterBusy, submission_lease
from gridtokenx_pipeline.solana.outbox import Landed, Outbox, OutboxConflict, Signed
from gridtokenx_pipeline.solana.outbox.tables import ATTEMPTS, CARRIED, metadata


def record(outbox, *actions, signature="s1"):
    (attempt,) = outbox.record_attempts([Signed(actions, signature, "payer", b"raw", 100)])
    return attempt


def states(outbox, actions):
    return [one.state for one in outbox.outcomes(action_ids=[action.action_id for action in actions])]


def land(outbox, attempt, error=None):
    outbox.settle_attempts([Landed(attempt.id, 7, 5000, 900, error)])


def test_enqueue_ignores_repeats_and_refuses_conflicts_whole(outbox, memos):
    first, second, third = memos(3)
    assert outbox.enqueue([first, second]) == 2
    assert outbox.enqueue([second, first, second]) == 0
    with pytest.raises(OutboxConflict, match=first.action_id):
        outbox.enqueue([third, dataclasses.replace(first, arguments="{}")])
    with pytest.raises(OutboxConflict, match=third.action_id):
        outbox.enqueue([third, dataclasses.replace(third, zone="elsewhere")])
    assert outbox.actions() == [first, second]
    assert outbox.counts() == {"waiting": 2}


def test_many_actions_are_found_by_ids_batches_and_states(outbox, memos):
    many = memos(1000)
    assert outbox.enqueue(many[::-1]) == 1000
    assert outbox.enqueue(many) == 0
    assert outbox.actions(action_ids=[one.action_id for one in many[:900]], states=["waiting"]) == many[:900]
    assert outbox.actions(batch_ids=[many[7].batch_id]) == [many[7]]
    assert outbox.actions(action_ids=[]) == []
    assert outbox.park([one.action_id for one in many[:500]], "meter is being replaced") == 500
    assert outbox.actions(states=["parked"]) == many[:500]
    assert outbox.counts() == {"waiting": 500, "parked": 500}


def test_an_action_is_in_one_live_transaction(outbox, memos):
    one, two, unknown = memos(3)
    outbox.enqueue([one, two])
    with pytest.raises(OutboxConflict):
        record(outbox, unknown)
    first = record(outbox, one, two)
    assert (first.actions, first.kind, states(outbox, [one, two])) == (2, "memo", ["sent", "sent"])
    for actions, signature in (((one,), "s2"), ((two,), "s1")):
        with pytest.raises(OutboxConflict):
            record(outbox, *actions, signature=signature)
    assert outbox.open_attempts() == [first]
    outbox.expire_attempt(first.id)
    assert states(outbox, [one, two]) == ["waiting", "waiting"]
    second = record(outbox, one, signature="s2")
    third = record(outbox, two, signature="s3")
    for _ in range(2):
        land(outbox, second)
        land(outbox, third, '{"InstructionError":[1,{"Custom":6000}]}')
    assert states(outbox, [one, two]) == ["done", "waiting"]
    with pytest.raises(OutboxConflict):
        record(outbox, one, signature="s4")
    for changed in (lambda: outbox.expire_attempt(second.id), lambda: outbox.fail_attempt(second.id, error="x")):
        with pytest.raises(OutboxConflict):
            changed()
    (outcome,) = outbox.outcomes(states=["done"])
    assert (outcome.action, outcome.signature) == (one, "s2")
    assert [(a.signature, a.state) for a in outbox.attempts([one.batch_id, two.batch_id])] == [
        ("s1", "expired"),
        ("s2", "confirmed"),
        ("s3", "failed"),
    ]


@pytest.mark.parametrize("ended", ["sent", "confirmed"])
def test_the_database_itself_forbids_a_second_live_transaction(outbox, memos, ended):
    """Whatever code forgets to ask: the index is there."""
    (one,) = memos(1)
    outbox.enqueue([one])
    attempt = record(outbox, one)
    if ended == "confirmed":
        land(outbox, attempt)
    values = {"batch_id": one.batch_id, "kind": "memo", "actions": 1, "signature": "s2", "payer": "p", "raw_tx": b""}
    row = values | {"last_valid_block_height": 1, "state": "sent", "created_at": attempt.created_at}
    with outbox.engine.begin() as connection:
        key = connection.execute(ATTEMPTS.insert().values(row)).inserted_primary_key[0]
        with pytest.raises(sa.exc.IntegrityError):
            connection.execute(CARRIED.insert().values(attempt_id=key, action_id=one.action_id, live=True))


def test_all_of_a_call_is_recorded_or_nothing(outbox, memos):
    one, two = memos(2)
    outbox.enqueue([one, two])
    with pytest.raises(OutboxConflict):
        outbox.record_attempts([Signed((one,), "s1", "p", b"", 1), Signed((two, one), "s2", "p", b"", 1)])
    assert states(outbox, [one, two]) == ["waiting", "waiting"]
    assert outbox.attempts() == []


def test_refused_and_parked_wait_for_the_operator(outbox, memos):
    one, two, three = memos(3)
    outbox.enqueue([one, two, three])
    land(outbox, record(outbox, one), "boom")
    outbox.refuse({one.action_id: Refusal(6001, "window too old")}, "s1")
    outbox.park_refused({two.action_id: Refusal(None, "no such meter")})
    outbox.finish([three.action_id])
    told = {o.action.action_id: (o.state, o.signature, o.error_code, o.error) for o in outbox.outcomes()}
    assert told == {
        one.action_id: ("refused", "s1", 6001, "window too old"),
        two.action_id: ("parked", None, None, "no such meter"),
        three.action_id: ("done", None, None, None),
    }
    every = [one.action_id, two.action_id, three.action_id, "unknown"]
    assert outbox.park(every, "later") == 1
    assert outbox.retry(every) == 2
    assert states(outbox, [one, two, three]) == ["waiting", "waiting", "done"]
    assert {o.error for o in outbox.outcomes()} == {None}
    record(outbox, one, signature="s2")
    assert outbox.retry([one.action_id]) == outbox.park([one.action_id], "too late") == 0


def test_survives_reopening_beside_an_old_outbox_and_refuses_memory(tmp_path, memos):
    file = tmp_path / "deep" / "box.sqlite"
    file.parent.mkdir()
    with sqlite3.connect(file) as old:
        old.execute("CREATE TABLE outbox_batches (batch_id TEXT PRIMARY KEY, state TEXT)")
        old.execute("INSERT INTO outbox_batches VALUES ('b', 'confirmed')")
    (one,) = memos(1)
    first = Outbox(f"sqlite:///{file}")
    first.enqueue([one])
    attempt = record(first, one)
    first.keep_lookup_table("cluster", "payer", "table", ["a", "b"])
    first.keep_lookup_table("cluster", "payer", "table", ["a", "b", "c"])
    first.close()
    second = Outbox(f"sqlite:///{file}")
    assert second.open_attempts() == [attempt]
    assert second.carried_by(attempt.id) == [one]
    assert second.lookup_tables("cluster", "payer") == {"table": ["a", "b", "c"]}
    assert second.lookup_tables("another", "payer") == {}
    second.close()
    with pytest.raises(ValueError, match="outlive"):
        Outbox("sqlite://")


def test_tables_and_their_one_live_transaction_are_valid_for_postgresql():
    statements = []
    engine = sa.create_mock_engine("postgresql://", lambda sql, *_: statements.append(str(sql.compile(dialect=engine.dialect))))
    metadata.create_all(engine, checkfirst=False)
    assert any("CREATE UNIQUE INDEX chain_actions_one_live" in sql and "WHERE live IS true" in sql for sql in statements)


def test_what_is_asked_for_by_key_is_found_by_key(outbox, memos):
    """However many wait: SQLite would read them all for each transaction."""
    many = memos(3)
    outbox.enqueue(many)
    plans = []

    def explain(connection, _cursor, statement, parameters, *_):
        if "chain_actions.state" in statement and statement.startswith(("SELECT", "UPDATE")):
            rows = connection.connection.driver_connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append(" ".join(row[-1] for row in rows))

    sa.event.listen(outbox.engine, "before_cursor_execute", explain)
    outbox.actions(action_ids=[many[0].action_id], states=["waiting"])
    outbox.actions(batch_ids=[many[0].batch_id], states=["waiting"])
    land(outbox, record(outbox, many[0]))
    assert len(plans) == 4
    assert not [plan for plan in plans if "chain_actions_by_state" in plan]
    assert all("SEARCH" in plan for plan in plans)


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
