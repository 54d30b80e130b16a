"""Between rows of the warehouse and the outbox: actions out, outcomes and transactions back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import polars as pl

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.contracts import settlement

from ..resources import Stores

if TYPE_CHECKING:
    from gridtokenx_pipeline.solana.actions import Action
    from gridtokenx_pipeline.solana.outbox import Attempt, Outcome
    from gridtokenx_pipeline.solana.sender import Report
    from gridtokenx_pipeline.solana.setup import Statuses

WAITING, DONE, REFUSED, PARKED = "waiting", "done", "refused", "parked"
PENDING, CONFIRMED, FAILED = "pending", "confirmed", "failed"
_ENDED = (DONE, REFUSED, PARKED)


def submit(stores: Stores, actions: Sequence[Action], say: Callable[[str], None]) -> Report:
    """Have the chain do `actions` through the configured profile; `say` is told how far it is. Raises as `Sender.submit` does."""
    from gridtokenx_pipeline.solana.keys import role_key
    from gridtokenx_pipeline.solana.profiles.choice import profile_of
    from gridtokenx_pipeline.solana.sender import Price, submit_actions

    settings = stores.settings.settlement
    payer = role_key(stores.settings, "fee_payer")
    return submit_actions(
        actions,
        rpc_urls=stores.settings.rpc_urls,
        outbox=stores.outbox,
        payer=payer,
        profile=profile_of(stores.settings, payer, statuses=meter_statuses(stores)),
        commitment=settings.commitment,
        price=Price(settings.compute_unit_price_micro_lamports, settings.max_compute_unit_price_micro_lamports),
        lookup_tables=settings.lookup_tables,
        progress=lambda done, total, what: say(f"{what}: {done} of {total}"),
    )


def meter_statuses(stores: Stores) -> Statuses:
    """Return the meters that no active device stands for, as suspended since now: those the registry on chain is told of.

    A revoked certificate does not revoke its meter, which on chain is final: another device may take its place.
    """
    from gridtokenx_pipeline.solana.programs.instructions import MeterStatus

    active: dict[str, bool] = {}
    for device in stores.registry.devices():
        active[device.meter_id] = active.get(device.meter_id, False) or device.status == "active"
    since = int(clock.now().timestamp())
    return {meter: (MeterStatus.SUSPENDED, since) for meter, serves in active.items() if not serves}


def actions_from(rows: pl.DataFrame) -> list[Action]:
    """Return the actions of `rows` (a frame of `contracts.settlement.ACTIONS`)."""
    from gridtokenx_pipeline.solana.actions import Action

    names = ("action_id", "batch_id", "zone", "window_start", "kind", "natural_key", "arguments")
    return [
        Action(**row | {"window_start": row["window_start"].astimezone(dt.UTC)})
        for row in rows.select(names).iter_rows(named=True)
    ]


def with_outcomes(rows: pl.DataFrame, outcomes: Iterable[Outcome]) -> pl.DataFrame:
    """Return `rows` (ACTIONS) as the outbox knows them.

    What the outbox does not know stays as it is: it may have been lost, and what was done on chain then stays done here.
    What it has on the way waits.
    """
    told = [
        (
            outcome.action.action_id,
            outcome.state if outcome.state in _ENDED else WAITING,
            outcome.signature if outcome.state in (DONE, REFUSED) else None,
            outcome.error_code,
            outcome.error,
        )
        for outcome in outcomes
    ]
    schema = settlement.ACTIONS.frame_schema()
    names = ("state", "signature", "error_code", "error")
    known = pl.DataFrame(
        told, schema={"action_id": schema["action_id"], **{f"{n}_now": schema[n] for n in names}}, orient="row"
    ).with_columns(known=True)
    # Done is final: an outbox that was lost and asks anew does not unsay it.
    takes = pl.col("known").fill_null(False) & ~((pl.col("state") == DONE) & (pl.col("state_now") != DONE))
    return (
        rows.join(known, on="action_id", how="left")
        .with_columns(pl.when(takes).then(pl.col(f"{n}_now")).otherwise(pl.col(n)).alias(n) for n in names)
        .select(list(schema))
    )


def batch_states(batches: pl.DataFrame, actions: pl.DataFrame) -> dict[str, list[str]]:
    """Return ids of `batches` by the state that their `actions` (with outcomes) give them: confirmed, failed or pending."""
    state = (
        pl.when((pl.col("state") == DONE).all())
        .then(pl.lit(CONFIRMED))
        .when((pl.col("state") == WAITING).any())
        .then(pl.lit(PENDING))
        .otherwise(pl.lit(FAILED))
    )
    found = actions.join(batches, on="batch_id", how="semi").group_by("batch_id").agg(state.alias("state"))
    return {name: found.filter(pl.col("state") == name)["batch_id"].to_list() for name in (CONFIRMED, FAILED, PENDING)}


def transactions_from(attempts: Sequence[Attempt], actions: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `contracts.settlement.TRANSACTIONS` for `attempts` of batches (or nets) that `actions` belong to."""
    where = actions.select("batch_id", "zone", "window_start").unique()
    schema = settlement.TRANSACTIONS.frame_schema()
    rows = pl.DataFrame(
        [
            {
                "signature": attempt.signature,
                "batch_id": attempt.batch_id,
                "kind": attempt.kind,
                "actions": attempt.actions,
                "size_bytes": len(attempt.raw_tx),
                "slot": attempt.slot,
                "fee_lamports": attempt.fee_lamports,
                "compute_units": attempt.compute_units,
                "state": attempt.state,
                "error": attempt.error,
            }
            for attempt in attempts
        ],
        schema={name: kind for name, kind in schema.items() if name not in ("zone", "window_start")},
    )
    return rows.join(where, on="batch_id").select(list(schema))
