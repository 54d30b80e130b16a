"""Standing offers to the pool: a fold of what devices put and deleted."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from gridtokenx_pipeline.contracts import market as tables

from ..id_columns import derived_id_column, json_texts
from .model import Offer
from .p2p_versions import interval_problem, versions

IN_FORCE, REFUSED = "in_force", "refused"


def fold_offers(documents: pl.DataFrame, zone: str, known_meters: Collection[str], interval_s: int) -> pl.DataFrame:
    """Return the frame of market.offers of `zone`: one row for each version of an offer's terms.

    `documents` is a frame of core.p2p_documents in any row order; `interval_s` is the length of a market interval. An offer is in
    force from the first interval that starts at or after the receipt of its message, within its own interval, until it is
    changed, suspended, cancelled or deleted. One that no market can use is refused, with the reason, and stops nothing else.
    """
    if not (documents["kind"] == "offer").any():
        return tables.OFFERS.empty()
    folded = versions(documents, "offer", zone, interval_s)
    rows = (
        folded.filter(pl.col("status").is_null() | (pl.col("status") == "active"))
        .with_columns(reason=_reason(known_meters))
        .with_columns(
            valid_from=pl.when(pl.col("reason").is_null()).then("begins").otherwise("stands_from"),
            valid_until=pl.when(pl.col("reason").is_null()).then("ends").otherwise("stands_until"),
        )
        # Replaced before the first interval that it was for.
        .filter((pl.col("valid_from") < pl.col("valid_until")).fill_null(True))
    )
    frame = rows.select(
        _ids(zone, rows).alias("offer_id"),
        pl.lit(zone).alias("zone"),
        pl.col("owner").alias("meter_id"),
        pl.col("side").fill_null(""),
        (pl.col("energy_limit_milli_wh") // 1000).fill_null(0).alias("energy_limit_wh"),
        pl.col("price_micro_per_kwh").fill_null(0).alias("price_limit_micro_per_kwh"),
        "valid_from",
        "valid_until",
        pl.when(pl.col("reason").is_null()).then(pl.lit(IN_FORCE)).otherwise(pl.lit(REFUSED)).alias("state"),
        "reason",
        "message_id",
    )
    return tables.OFFERS.conform(frame).sort("offer_id")


def standing_offers(offers: pl.DataFrame) -> list[Offer]:
    """Return the offers in force of a frame of market.offers."""
    held = offers.filter(pl.col("state") == IN_FORCE).sort("zone", "meter_id", "side", "valid_from", "offer_id")
    columns = ("zone", "meter_id", "side", "energy_limit_wh", "price_limit_micro_per_kwh", "valid_from", "valid_until")
    return [Offer(*row) for row in held.select(columns).iter_rows()]


def _ids(zone: str, rows: pl.DataFrame) -> pl.Series:
    """`ids.derived_id` of zone, meter, address and start, row by row."""
    keys = pl.DataFrame(
        {
            "zone": json_texts([zone]) * rows.height,
            "meter": json_texts(rows["owner"]),
            "path": json_texts(rows["path"]),
            "start": rows["valid_from"].dt.strftime('"%Y-%m-%dT%H:%M:%SZ"'),
        },
        schema_overrides=dict.fromkeys(("zone", "meter", "path"), pl.String),
    )
    return derived_id_column("offer", keys.select(pl.format("[{},{},{},{}]", *keys.columns)).to_series())


def _reason(known_meters: Collection[str]) -> pl.Expr:
    """Why a version is refused."""
    return (
        pl.when(~pl.col("owner").is_in(sorted(known_meters)))
        .then(pl.format("unknown meter {}", "owner"))
        .when(pl.col("side").is_null())
        .then(pl.lit("neither sells nor buys"))
        .when(pl.col("status").is_null())
        .then(pl.lit("unknown status"))
        .when(pl.col("energy_limit_milli_wh").is_null() | pl.col("price_micro_per_kwh").is_null())
        .then(pl.lit("no energy or price limit that can be read"))
        .when(pl.col("energy_limit_milli_wh") < 0)
        .then(pl.lit("negative energy limit"))
        .otherwise(interval_problem())
    )
