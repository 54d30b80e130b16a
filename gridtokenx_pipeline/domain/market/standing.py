"""Checks of what stands from interval to interval: agreements and offers."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

import numpy as np

from .book import Book, Flags, GridPrices
from .double_auction import BUY, SELL
from .model import Agreement, MarketInputError, Offer

_ALWAYS = dt.datetime(1, 1, 1, tzinfo=dt.UTC)


def agreements_in_force(
    agreements: Iterable[Agreement], meters: Collection[str], book: Book, prices: GridPrices
) -> list[tuple[Agreement, Flags]]:
    """Return the agreements in the order they are served, each with the groups it is in force in.

    Raises `MarketInputError`, naming the agreement, for one that trades with itself, names a meter not in `meters`, has a
    negative limit, a validity without time zone, or a price outside the tariffs of an interval it is in force in, and for two
    of one seller and buyer in force at once.
    """
    known = set(meters)
    ordered = sorted(agreements, key=lambda a: (a.priority, a.seller_meter_id, a.buyer_meter_id, a.valid_from or _ALWAYS))
    for agreement in ordered:
        _check(agreement, (agreement.seller_meter_id, agreement.buyer_meter_id), known)
        if agreement.seller_meter_id == agreement.buyer_meter_id:
            raise MarketInputError(f"a meter cannot trade with itself: {agreement}")
        if agreement.max_wh < 0:
            raise MarketInputError(f"negative energy: {agreement}")
    _check_overlaps(ordered)
    held = [(one, book.in_force(one.zone, one.valid_from, one.valid_until)) for one in ordered]
    for agreement, groups in held:
        price = min(max(agreement.price_micro_per_kwh, -1), 2**63 - 1)
        outside = np.flatnonzero(groups & ((prices.feed_in > price) | (prices.retail < price)))
        if outside.size:
            group = int(outside[0])
            bounds = f"{prices.feed_in[group]} to {prices.retail[group]} micro per kWh in {book.interval(group)}"
            raise MarketInputError(f"price outside {bounds}: {agreement}")
    return held


def offers_in_force(offers: Iterable[Offer], meters: Collection[str], book: Book) -> list[tuple[Offer, Flags]]:
    """Return the offers, each with the groups it is in force in.

    Raises `MarketInputError`, naming the offer, for one of an unknown meter or side, with a negative energy, or with a validity
    without time zone.
    """
    known = set(meters)
    held = []
    for offer in offers:
        _check(offer, (offer.meter_id,), known)
        if offer.side not in (SELL, BUY):
            raise MarketInputError(f"side is neither {SELL} nor {BUY}: {offer}")
        if offer.energy_limit_wh < 0:
            raise MarketInputError(f"negative energy: {offer}")
        held.append((offer, book.in_force(offer.zone, offer.valid_from, offer.valid_until)))
    return held


def _check(row: Agreement | Offer, meters: Sequence[str], known: set[str]) -> None:
    for meter in meters:
        if meter not in known:
            raise MarketInputError(f"unknown meter {meter}: {row}")
    if any(moment is not None and moment.tzinfo is None for moment in (row.valid_from, row.valid_until)):
        raise MarketInputError(f"a validity without time zone: {row}")


def _check_overlaps(agreements: Iterable[Agreement]) -> None:
    pairs: defaultdict[tuple[str, str, str], list[Agreement]] = defaultdict(list)
    for one in agreements:
        # terms that end as they begin are never in force
        if one.valid_until is None or one.valid_until > (one.valid_from or _ALWAYS):
            pairs[one.zone, one.seller_meter_id, one.buyer_meter_id].append(one)
    for of_pair in pairs.values():
        of_pair.sort(key=lambda a: a.valid_from or _ALWAYS)
        for earlier, later in pairwise(of_pair):
            if earlier.valid_until is None or earlier.valid_until > (later.valid_from or _ALWAYS):
                raise MarketInputError(f"seller and buyer have two agreements at once: {earlier} and {later}")
