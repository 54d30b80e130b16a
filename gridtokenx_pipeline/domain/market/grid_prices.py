"""The grid's tariffs in force in every group of a book."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from .book import Book, GridPrices
from .model import MarketInputError, Tariff
from .tariffs import FLAT, TARIFFS


@dataclass(frozen=True)
class InForce:
    """Prices, currency and name of the tariff of each group."""

    prices: GridPrices
    currency: pl.Series
    tariff: pl.Series


def tariffs_in_force(tariff: Tariff | pl.DataFrame, book: Book) -> InForce:
    """Return what is in force in each group: `tariff` itself, or its row of the interval (and zone, where it has the column).

    A frame has the columns `TARIFFS` and may have `zone` (String). Raises `MarketInputError`, naming the row or interval, for a
    group without a row or with two, a null, a negative tariff, or a feed-in tariff that with the compensation exceeds retail.
    """
    if isinstance(tariff, Tariff):
        if tariff.retail_micro_per_kwh >= 2**63:
            raise MarketInputError(f"{tariff}: does not fit 64 bits")
        values = (tariff.feed_in_micro_per_kwh, tariff.pool_floor_micro_per_kwh, tariff.retail_micro_per_kwh)
        prices = GridPrices(*(np.full(book.groups, value, dtype=np.int64) for value in values))
        texts = (pl.repeat(text, book.groups, dtype=pl.String, eager=True) for text in (tariff.currency, FLAT))
        return InForce(prices, *texts)

    _check(tariff)
    keys = ["zone", "interval_start"] if "zone" in tariff.columns else ["interval_start"]
    groups = pl.DataFrame(
        {
            "zone": pl.Series(book.zones, dtype=pl.String).gather(book.zone),
            "interval_start": pl.Series(book.start).cast(pl.Datetime("us", "UTC")),
        }
    )
    rows = tariff.join(groups, on=keys, how="semi")
    twice = rows.filter(rows.select(keys).is_duplicated())
    if not twice.is_empty():
        raise MarketInputError(f"an interval has two tariffs: {twice.row(0, named=True)}")
    found = groups.join(
        rows.select(*keys, *(name for name in TARIFFS if name not in keys)), on=keys, how="left", maintain_order="left"
    )
    without = found["tariff"].is_null().arg_true()
    if len(without):
        raise MarketInputError(f"no tariff holds in {book.interval(int(without[0]))}")
    feed_in, retail = found["feed_in_micro_per_kwh"].to_numpy(), found["retail_micro_per_kwh"].to_numpy()
    floor = feed_in + found["seller_compensation_micro_per_kwh"].to_numpy()
    return InForce(GridPrices(feed_in, floor, retail), found["currency"], found["tariff"])


def _check(tariff: pl.DataFrame) -> None:
    wrong = [name for name, dtype in TARIFFS.items() if tariff.schema.get(name) != dtype]
    if wrong:
        raise MarketInputError(f"tariffs lack the columns {wrong}, or they have other types")
    feed_in, retail = pl.col("feed_in_micro_per_kwh"), pl.col("retail_micro_per_kwh")
    more = pl.col("seller_compensation_micro_per_kwh")
    for problem, broken in (
        ("null", pl.any_horizontal(pl.all().is_null())),
        ("a tariff is negative", pl.any_horizontal(feed_in < 0, retail < 0, more < 0)),
        # a difference of two numbers that are not negative fits, their sum may not
        ("feed-in plus seller compensation exceeds the retail tariff", retail - feed_in < more),
    ):
        rows = tariff.filter(broken)
        if not rows.is_empty():
            raise MarketInputError(f"{problem}: {rows.row(0, named=True)}")
