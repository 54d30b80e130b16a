"""What stood at an address of the P2P extension, from when until when: the history that offers and agreements are read from.

A device makes an offer or agreement by POST, changes it by PUT and ends it by DELETE, all under one address. What is received
before a market interval starts holds for it; what comes later holds for the intervals after: no message reaches into the past.
"""

from __future__ import annotations

import polars as pl

from .model import MarketInputError

TERMS = (
    "side", "status", "counterparty_lfdi", "energy_limit_milli_wh", "price_micro_per_kwh", "priority", "starts_at", "ends_at",
)  # fmt: skip
_US = 1_000_000
_TIME = pl.Datetime("us", "UTC")


def first_start(moment: pl.Expr, interval_s: int) -> pl.Expr:
    """Return the first start of a market interval (`interval_s` long, from midnight) at or after `moment` (Datetime us UTC)."""
    step = interval_s * _US
    return ((moment.cast(pl.Int64) + (step - 1)) // step * step).cast(_TIME)


def versions(documents: pl.DataFrame, kind: str, zone: str, interval_s: int) -> pl.DataFrame:
    """Return what stood at the addresses of `zone`, a row for each version, in order of address and time.

    `documents` is a frame of core.p2p_documents in any row order, `kind` is offer or agreement. The rows have the columns
    `TERMS`, path, message_id and received_at of the message that made the version, and
    `owner` (String): the meter whose device made what stands at the address, whoever changed it since;
    `stands_from`, `stands_until` (Datetime us UTC): it stands for intervals that start in [from, until), null without end;
    `own_from`, `own_until`: the same of the document's own interval, null where it has none that can be read;
    `begins`, `ends`: what both have in common.
    Of what came within one market interval the last counts, and what changes no term makes no version.
    """
    if interval_s <= 0:
        raise MarketInputError(f"a market interval of {interval_s} s")
    ordered = documents.filter(pl.col("kind") == kind).sort("path", "received_at", "message_id")
    deleted = pl.col("action") == "delete"
    slots = (
        ordered.with_columns(life=deleted.shift(1, fill_value=False).cast(pl.Int32).cum_sum().over("path"))
        .with_columns(
            owner=pl.col("meter_id").first().over("path", "life"),
            owner_zone=pl.col("zone").first().over("path", "life"),
            stands_from=first_start(pl.col("received_at"), interval_s),
        )
        .filter(pl.col("owner_zone") == zone)
        .unique(["path", "stands_from"], keep="last", maintain_order=True)
    )
    same = [pl.col(name).eq_missing(pl.col(name).shift()) for name in ("path", "action", "owner", *TERMS)]
    return (
        slots.filter(~pl.all_horizontal(same).fill_null(False))
        .with_columns(stands_until=pl.col("stands_from").shift(-1).over("path"))
        .filter(pl.col("action") == "put")
        .with_columns(
            # The ends of time are no starts of an interval that a date has a name for.
            own_from=first_start(pl.when(pl.col("ends_at").is_not_null()).then("starts_at"), interval_s),
            own_until=first_start(pl.col("ends_at"), interval_s),
        )
        .select(
            *("path", "message_id", "received_at", "owner", *TERMS, "stands_from", "stands_until", "own_from", "own_until"),
            begins=pl.when(pl.col("own_from").is_not_null()).then(pl.max_horizontal("stands_from", "own_from")),
            ends=pl.when(pl.col("own_until").is_not_null()).then(pl.min_horizontal("stands_until", "own_until")),
        )
    )


def interval_problem() -> pl.Expr:
    """Return why a version holds for no market interval ever (String), null where it does or was replaced before it could."""
    return (
        pl.when(pl.col("own_until").is_null())
        .then(pl.lit("no interval that can be read"))
        .when(pl.col("own_until") <= pl.col("own_from"))
        .then(pl.lit("no market interval starts in its interval"))
        .when(pl.col("own_until") <= pl.col("stands_from"))
        .then(pl.lit("its interval was over when it came"))
    )
