"""Standing bilateral agreements: a fold of what devices put and deleted, beside those of the operator's file.

An agreement of two devices is one document of each: they name each other, one as seller and one as buyer, at one price, and at
least one side has accepted. It is in force while both stand, in the time their intervals have in common.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts import market as tables

from ..frames import frame_of_rows
from ..ids import derived_id, iso
from .model import Agreement
from .p2p_versions import interval_problem, versions
from .pair_spans import one_at_a_time
from .tariffs import fits

FILE, P2P = "file", "p2p"
IN_FORCE, PROPOSED, REFUSED = "in_force", "proposed", "refused"
ALWAYS = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""The first moment of an agreement that has held for ever."""

_PAIR = ["seller_meter_id", "buyer_meter_id"]
_TERMS = ["priority", "max_wh", "price_micro_per_kwh"]
_SCHEMA = {name: kind for name, kind in tables.AGREEMENTS.frame_schema().items() if name not in ("agreement_id", "zone")}


def fold_agreements(
    documents: pl.DataFrame,
    devices: Mapping[str, str],
    zone: str,
    file_agreements: Iterable[Agreement],
    known_meters: Collection[str],
    tariff_bands: pl.DataFrame,
    interval_s: int,
) -> pl.DataFrame:
    """Return the frame of market.agreements of `zone`: one row for each version of an agreement's terms.

    `documents` is a frame of core.p2p_documents in any row order; `devices` maps the LFDI of every device there was to its meter;
    `tariff_bands` is a frame of `tariffs.BANDS`; `interval_s` is the length of a market interval. The agreements of the file are
    those that `agreements_file` has checked; a pair that it names has no other at the same time.

    In force: the smaller limit, the seller's priority (0 where it has none), for intervals that start at or after the receipt of
    the later document. Other terms end the row and begin another; to cancel, reject or delete either side ends it. Proposed:
    one side alone, or accepted by neither. Refused: what no market could use, with the reason; it stops nothing else.
    """
    stated = frame_of_rows([_file_row(agreement) for agreement in file_agreements], _SCHEMA)
    if (documents["kind"] == "agreement").any():
        sides = _sides(versions(documents, "agreement", zone, interval_s), devices, known_meters, tariff_bands)
        frame = _folded(stated, sides)
    else:
        frame = stated
    ids = [_id(zone, row) for row in frame.iter_rows(named=True)]
    frame = frame.with_columns(pl.Series("agreement_id", ids, pl.String), pl.lit(zone).alias("zone"))
    return tables.AGREEMENTS.conform(frame).sort("agreement_id")


def standing_agreements(agreements: pl.DataFrame, tariffs: pl.DataFrame, interval_s: int) -> list[Agreement]:
    """Return the agreements in force of a frame of market.agreements, as they apply to the intervals of `tariffs`.

    `tariffs` has the columns `tariffs.TARIFFS`. An agreement does not apply in an interval whose feed-in tariff is above, or
    whose retail tariff is below its price: one that some intervals rule out comes in parts, each of consecutive intervals.
    """
    held = agreements.filter(pl.col("state") == IN_FORCE).sort("zone", "priority", *_PAIR, "valid_from")
    prices = tariffs.sort("interval_start")
    feed_in, retail = (prices[name] for name in ("feed_in_micro_per_kwh", "retail_micro_per_kwh"))
    bounds = (feed_in.max(), retail.min())
    ends_after = dt.timedelta(seconds=interval_s)
    start = pl.col("interval_start")
    found = []
    for row in held.iter_rows(named=True):
        price, until = row["price_micro_per_kwh"], row["valid_until"]
        if prices.is_empty() or bounds[0] <= price <= bounds[1]:
            found.append(_agreement(row, row["valid_from"], until))
            continue
        within = prices.filter((start >= row["valid_from"]) & (pl.lit(True) if until is None else start < until)).select(
            start, fit=pl.lit(price).is_between(pl.col("feed_in_micro_per_kwh"), pl.col("retail_micro_per_kwh"))
        )
        if within["fit"].all():
            found.append(_agreement(row, row["valid_from"], until))
            continue
        runs = within.with_columns(run=pl.col("fit").rle_id()).filter("fit").group_by("run", maintain_order=True)
        for _, first, last in runs.agg(start.min().alias("first"), start.max().alias("last")).iter_rows():
            found.append(_agreement(row, first, last + ends_after))
    return found


def _folded(stated: pl.DataFrame, sides: pl.DataFrame) -> pl.DataFrame:
    """The rows of the file and of devices, whatever their state."""
    usable = sides.filter(pl.col("reason").is_null() & (pl.col("valid_from") < pl.col("valid_until")))
    pairs = _mirrored(usable)
    met = pl.concat([pairs["seller_message_id"], pairs["buyer_message_id"]])
    lonely = usable.filter(~pl.col("message_id").is_in(met.implode()))
    return pl.concat(
        [
            *one_at_a_time(stated, pairs.filter("accepted")),
            pairs.filter(~pl.col("accepted")).select(_columns(PROPOSED, pl.lit("accepted by neither side"))),
            lonely.select(_columns(PROPOSED, pl.format("the {} has not put its side of it", "other"))),
            sides.filter(pl.col("reason").is_not_null()).select(_columns(REFUSED, pl.col("reason"))),
        ]
    )


def _sides(
    found: pl.DataFrame, devices: Mapping[str, str], known_meters: Collection[str], tariff_bands: pl.DataFrame
) -> pl.DataFrame:
    """Versions that propose or accept, with the columns of a row, `other` (who has to answer) and `reason`, why it is refused."""
    lfdi = pl.col("counterparty_lfdi")
    met = found["counterparty_lfdi"].drop_nulls().unique().to_list()
    meters = pl.DataFrame({"counterparty_lfdi": met, "counterparty": [devices.get(one) for one in met]}, schema=_COUNTERPARTIES)
    selling = (pl.col("side") == "seller").fill_null(True)
    owner, other = pl.col("owner"), pl.col("counterparty").fill_null("")
    return (
        found.filter(pl.col("status").is_null() | pl.col("status").is_in(["proposed", "accepted"]))
        .join(meters, on="counterparty_lfdi", how="left", maintain_order="left")
        .with_columns(
            seller_meter_id=pl.when(selling).then(owner).otherwise(other),
            buyer_meter_id=pl.when(selling).then(other).otherwise(owner),
            other=pl.when(selling).then(pl.lit("buyer")).otherwise(pl.lit("seller")),
            seller_message_id=pl.when(selling).then("message_id"),
            buyer_message_id=pl.when(~selling).then("message_id"),
            max_wh=(pl.col("energy_limit_milli_wh") // 1000).fill_null(0),
            priority=pl.col("priority").fill_null(0),
        )
        .with_columns(
            reason=pl.when(~owner.is_in(sorted(known_meters)))
            .then(pl.format("unknown meter {}", owner))
            .when(pl.col("side").is_null())
            .then(pl.lit("neither seller nor buyer"))
            .when(lfdi.is_null())
            .then(pl.lit("no counterparty that can be read"))
            .when(pl.col("counterparty").is_null() | ~pl.col("counterparty").is_in(sorted(known_meters)))
            .then(pl.format("unknown counterparty {}", lfdi))
            .when(pl.col("counterparty") == owner)
            .then(pl.lit("a meter cannot trade with itself"))
            .when(pl.col("status").is_null())
            .then(pl.lit("unknown status"))
            .when(pl.col("energy_limit_milli_wh").is_null() | pl.col("price_micro_per_kwh").is_null())
            .then(pl.lit("no energy limit or price that can be read"))
            .when(pl.col("energy_limit_milli_wh") < 0)
            .then(pl.lit("negative energy limit"))
            .when(interval_problem().is_not_null())
            .then(interval_problem())
            .when(~fits(tariff_bands, pl.col("price_micro_per_kwh"), pl.col("own_from"), pl.col("own_until")))
            .then(pl.format("price {} is outside every tariff of its time", "price_micro_per_kwh"))
        )
        .with_columns(
            price_micro_per_kwh=pl.col("price_micro_per_kwh").fill_null(0),
            valid_from=pl.when(pl.col("reason").is_null()).then("begins").otherwise("stands_from"),
            valid_until=pl.when(pl.col("reason").is_null()).then("ends").otherwise("stands_until"),
        )
    )


def _mirrored(usable: pl.DataFrame) -> pl.DataFrame:
    """Both sides of an agreement while they stand together: columns of a row, `accepted`, and `formed_at`, when both had come."""
    selling = usable.filter(pl.col("side") == "seller")
    buying = usable.filter(pl.col("side") == "buyer")
    both = selling.join(buying, on=[*_PAIR, "price_micro_per_kwh"], suffix="_of_buyer", maintain_order="left")
    return (
        both.with_columns(
            valid_from=pl.max_horizontal("valid_from", "valid_from_of_buyer"),
            valid_until=pl.min_horizontal("valid_until", "valid_until_of_buyer"),
            max_wh=pl.min_horizontal("max_wh", "max_wh_of_buyer"),
            buyer_message_id=pl.col("buyer_message_id_of_buyer"),
            accepted=(pl.col("status") == "accepted") | (pl.col("status_of_buyer") == "accepted"),
            formed_at=pl.max_horizontal("received_at", "received_at_of_buyer"),
        )
        .filter(pl.col("valid_from") < pl.col("valid_until"))
        .sort("formed_at", "seller_message_id", "buyer_message_id")
    )


def _columns(state: str, reason: pl.Expr) -> list[pl.Expr]:
    said = {"source": pl.lit(P2P), "state": pl.lit(state), "reason": reason.cast(pl.String)}
    return [said.get(name, pl.col(name)).alias(name) for name in _SCHEMA]


def _file_row(agreement: Agreement) -> tuple[Any, ...]:
    return (
        agreement.seller_meter_id, agreement.buyer_meter_id, agreement.priority, agreement.max_wh, agreement.price_micro_per_kwh,
        agreement.valid_from or ALWAYS, agreement.valid_until, FILE, IN_FORCE, None, None, None,
    )  # fmt: skip


def _id(zone: str, row: Mapping[str, Any]) -> str:
    key: list[str | int] = [zone, row["source"], *(row[name] for name in (*_PAIR, *_TERMS)), iso(row["valid_from"])]
    if row["state"] != IN_FORCE:
        # One pair has one agreement in force at a time, but any number of documents that are none.
        key += [row["state"], row["seller_message_id"] or "", row["buyer_message_id"] or ""]
    return derived_id("agreement", *key)


def _agreement(row: Mapping[str, Any], valid_from: dt.datetime, valid_until: dt.datetime | None) -> Agreement:
    return Agreement(
        row["zone"], row["seller_meter_id"], row["buyer_meter_id"], row["max_wh"], row["price_micro_per_kwh"], row["priority"],
        valid_from, valid_until, row["agreement_id"],
    )  # fmt: skip


_COUNTERPARTIES: dict[str, Any] = {"counterparty_lfdi": pl.String, "counterparty": pl.String}
