"""What the market decided, as peer-to-peer resources: the price of each settled interval, and each meter's own trades.

Frames are of `contracts.market`. Only settled intervals are to be given; a frame's other rows are not told from them here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from ieee2030_5.extensions.p2p import IntervalPrice, P2PCapability, Role, Trade
from ieee2030_5.resources import DateTimeInterval, ListLink
from ingest_server.operational.resources import Publication

from .programs import mrid_of

CAPABILITY = "/p2p"
PRICES = "/p2p/prc"
TRADES = "/p2p/trd"
_START = "%Y%m%dT%H%M%SZ"


def capability(currency: int, interval_s: int) -> list[Publication]:
    """The entry to trading: the market's currency (ISO 4217 number) and the length of its intervals."""
    document = P2PCapability(
        bilateral_agreement_list_link=ListLink(href="/p2p/agr"),
        currency=currency,
        interval_length=interval_s,
        interval_price_list_link=ListLink(href=PRICES),
        standing_offer_list_link=ListLink(href="/p2p/offer"),
        trade_list_link=ListLink(href=TRADES),
    )
    return [Publication(CAPABILITY, document)]


def interval_prices(intervals: pl.DataFrame) -> list[Publication]:
    """One price for each interval of INTERVALS rows of one zone, for every device; corrections count into it.

    Supply and demand are the sums over versions, which are what is known today. Prices are those of the first version given, by
    which the trades were made and never change; `version` is the last one.
    """
    merged = (
        intervals.sort("interval_start", "version")
        .group_by("interval_start", maintain_order=True)
        .agg(
            pl.col("duration_s", "price_micro_per_kwh", "feed_in_micro_per_kwh", "retail_micro_per_kwh").first(),
            pl.col("supply_wh", "demand_wh").sum(),
            pl.col("version").last(),
        )
    )
    return [
        Publication(
            price_path(row["interval_start"]),
            IntervalPrice(
                demand_wh=row["demand_wh"],
                feed_in_price=row["feed_in_micro_per_kwh"],
                interval=DateTimeInterval(duration=row["duration_s"], start=int(row["interval_start"].timestamp())),
                price=row["price_micro_per_kwh"],
                retail_price=row["retail_micro_per_kwh"],
                supply_wh=row["supply_wh"],
                version=row["version"],
            ),
        )
        for row in merged.iter_rows(named=True)
    ]


def price_path(interval_start: object) -> str:
    """Address of the price of the interval that starts then (aware UTC)."""
    return f"{PRICES}/{interval_start:{_START}}"


def trades(frame: pl.DataFrame, intervals: pl.DataFrame, lfdis: Mapping[str, Sequence[str]]) -> list[Publication]:
    """Both sides of each of TRADES, for the devices (`lfdis` by meter) of seller and buyer; a meter without one is left out.

    `energyWh` of the seller is what was sold, of the buyer what arrived. `amount` is the same on both sides: what the buyer pays
    to the seller for what was sold. Wheeling, which the buyer pays to the operator, is on the bill. `intervals` tells lengths.
    """
    lengths = intervals.unique("interval_start").select("interval_start", "duration_s")
    return list(_sides(frame.join(lengths, on="interval_start"), lfdis))


def _sides(frame: pl.DataFrame, lfdis: Mapping[str, Sequence[str]]) -> Iterator[Publication]:
    for row in frame.iter_rows(named=True):
        seller, buyer = row["seller_meter_id"], row["buyer_meter_id"]
        period = (row["duration_s"], int(row["interval_start"].timestamp()))
        for role, meter, other, energy_wh in (
            (Role.SELLER, seller, buyer, row["energy_wh"]),
            (Role.BUYER, buyer, seller, row["energy_wh"] - row["loss_wh"]),
        ):
            for lfdi in lfdis.get(meter, ()):
                trade = Trade(
                    amount=row["amount_micro"],
                    counterparty_meter_id=other,
                    energy_wh=energy_wh,
                    interval=DateTimeInterval(duration=period[0], start=period[1]),
                    price=row["price_micro_per_kwh"],
                    role=role,
                    trade_id=row["trade_id"],
                    version=row["version"],
                )
                yield Publication(trade_path(row["trade_id"], lfdi), trade, lfdi)


def trade_path(trade_id: str, lfdi: str) -> str:
    """Address of a trade as the device with this LFDI sees it."""
    return f"{TRADES}/{mrid_of(TRADES, trade_id, lfdi)[:20]}"
