"""What the operator parks stays behind while the rest lands; retried, it lands with whatever hour runs next."""

from __future__ import annotations

import datetime as dt

import polars as pl
from line_campus import AFTERWARDS, END, SILENCE, START, Campus

from gridtokenx_pipeline.contracts import settlement
from gridtokenx_pipeline.solana.outbox import Outbox


def test_a_parked_action_waits_for_its_retry(settled, copied):
    campus: Campus = copied(settled)
    rows = campus.read(settlement.ACTIONS)
    trade = rows.filter(pl.col("kind") == "execute_trade").row(0, named=True)
    outbox = Outbox(campus.settings.operational_url)
    # As if it had been refused: the outbox and the warehouse both forget that it was done.
    with outbox.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE chain_actions SET state = 'refused', error = 'told so', signature = NULL WHERE action_id = ?",
            (trade["action_id"],),
        )
        connection.exec_driver_sql("UPDATE chain_attempt_actions SET live = 0 WHERE action_id = ?", (trade["action_id"],))
    assert outbox.park([trade["action_id"]], "by hand") == 1
    campus.tamper(
        f"UPDATE settlement.actions SET state = 'waiting', signature = NULL WHERE action_id = '{trade['action_id']}'",
        f"UPDATE settlement.batches SET state = 'pending' WHERE batch_id = '{trade['batch_id']}'",
    )
    parked = campus.run("settle")
    assert parked.success, parked.failed_steps
    assert _state(campus, trade) == ("parked", "failed")
    assert parked.failed_checks() == SILENCE | {"nothing_refused_or_parked"}, parked.metadata("nothing_refused_or_parked")
    assert _state(campus, trade) == ("parked", "failed")

    assert outbox.retry([trade["action_id"]]) == 1
    outbox.close()
    later = campus.run("settle", START + dt.timedelta(hours=2), END + dt.timedelta(hours=2), AFTERWARDS + dt.timedelta(hours=2))
    assert later.success, later.failed_steps
    # The chain had it: the same trade again is a no-op of its program.
    assert _state(campus, trade) == ("done", "confirmed")
    again = campus.run("settle")
    assert again.failed_checks() == SILENCE


def _state(campus: Campus, action: dict) -> tuple[str, str]:
    (one,) = campus.read(settlement.ACTIONS).filter(pl.col("action_id") == action["action_id"])["state"]
    (batch,) = campus.read(settlement.BATCHES).filter(pl.col("batch_id") == action["batch_id"])["state"]
    return one, batch
