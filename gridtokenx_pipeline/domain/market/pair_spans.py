"""One agreement of a seller and a buyer at a time: the file's first, then the one that both sides formed first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import polars as pl

PAIR = ("seller_meter_id", "buyer_meter_id")
_TERMS = ("source", "priority", "max_wh", "price_micro_per_kwh")
_END = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)

Span = tuple[dt.datetime, dt.datetime]


def one_at_a_time(stated: pl.DataFrame, agreed: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows in force and the rows refused for the time that another of their pair holds.

    `stated` has the rows of the file, in the columns of market.agreements without id and zone, `agreed` those of devices, in the
    order that they were formed in, with the same columns but source, state and reason. Where an agreement goes on under terms
    that are the same, its rows become one.
    """
    rows = pl.concat(
        [
            stated,
            agreed.with_columns(source=pl.lit("p2p"), state=pl.lit("in_force"), reason=pl.lit(None, pl.String)).select(
                stated.columns
            ),
        ]
    ).with_row_index("rank")
    busy = _overlapping(rows)
    free = rows.join(busy, on=list(PAIR), how="anti")
    crowded = rows.join(busy, on=list(PAIR), how="semi").sort(*PAIR, "rank")
    held: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    for _, members in crowded.group_by(PAIR, maintain_order=True):
        for row in _in_turn(members.rows(named=True)):
            (held if row["reason"] is None else refused).append(row)
    schema = rows.schema
    in_force = _joined(pl.concat([free, pl.DataFrame(held, schema=schema, orient="row")]))
    return in_force.select(stated.columns), pl.DataFrame(refused, schema=schema, orient="row").select(stated.columns)


def _overlapping(rows: pl.DataFrame) -> pl.DataFrame:
    """The pairs of which two rows hold at once."""
    reached = pl.col("valid_until").fill_null(_END).cum_max().shift().over(PAIR)
    return rows.sort(*PAIR, "valid_from").filter(pl.col("valid_from") < reached).select(PAIR).unique()


def _in_turn(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows of one pair, in order of precedence, cut into the parts that hold and those that another leaves no room for."""
    taken: list[tuple[Span, str]] = []
    for row in rows:
        whole = (row["valid_from"], row["valid_until"] or _END)
        left = [whole]
        for span, source in taken:
            shared = max(whole[0], span[0]), min(whole[1], span[1])
            if shared[0] < shared[1]:
                reason = "repeats an agreement of the file" if source == "file" else "overlaps an agreement of the same meters"
                yield {**_cut(row, shared), "state": "refused", "reason": reason}
            left = [part for one in left for part in _without(one, span)]
        for part in left:
            taken.append((part, row["source"]))
            yield _cut(row, part)


def _without(span: Span, other: Span) -> Iterator[Span]:
    for part in ((span[0], min(span[1], other[0])), (max(span[0], other[1]), span[1])):
        if part[0] < part[1]:
            yield part


def _cut(row: dict[str, Any], span: Span) -> dict[str, Any]:
    return {**row, "valid_from": span[0], "valid_until": None if span[1] == _END else span[1]}


def _joined(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of a pair that follow each other without a change of terms, as one."""
    same = pl.all_horizontal(
        *(pl.col(name).eq_missing(pl.col(name).shift()) for name in (*PAIR, *_TERMS)),
        pl.col("valid_from").eq_missing(pl.col("valid_until").shift()),
    ).fill_null(False)
    return (
        rows.sort(*PAIR, "valid_from")
        .with_columns(run=(~same).cum_sum())
        .group_by("run", maintain_order=True)
        .agg(pl.exclude("valid_until").first(), pl.col("valid_until").last())
        .select(rows.columns)
    )
