"""The operator's file of standing agreements (CSV): read strictly, because whoever wrote it can mend it.

Columns: priority, seller_meter_id, buyer_meter_id, max_wh, price_micro_per_kwh and, where wanted, valid_from and valid_until
(ISO 8601 with an offset from UTC; an empty one is without bound).
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from typing import Any

import polars as pl

from .model import Agreement, MarketInputError

COLUMNS = ("priority", "seller_meter_id", "buyer_meter_id", "max_wh", "price_micro_per_kwh")
OPTIONAL = ("valid_from", "valid_until")
_MOST = {"priority": 2**31 - 1, "max_wh": 10**15, "price_micro_per_kwh": 10**15}
_NUMBER = re.compile("-?[0-9]{1,19}")
_FIRST, _LAST = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 1, 1, tzinfo=dt.UTC)


def read_agreements(
    text: str, name: str, zone: str, known_meters: Collection[str], tariff_bands: pl.DataFrame, interval_s: int
) -> list[Agreement]:
    """Return the agreements of the file's `text`, in its order; their validity is that of the market intervals that start in it.

    `tariff_bands` is a frame of `tariffs.BANDS`. Raises `MarketInputError`, with the file's `name`, the line and the column, for
    what is not a number or a moment; an unknown meter; a meter that trades with itself; a negative limit; a price outside every
    tariff of its validity; and, for two that hold at once, one pair twice or equal priorities of one seller or of one buyer.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        _check_header(header, name)
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as problem:
        raise MarketInputError(f"{name}, line {reader.line_num}: {problem}") from None
    agreements = [_Line(name, number, header, cells).agreement(zone, known_meters, interval_s) for number, cells in lines]
    numbers = [number for number, _ in lines]
    for number, agreement in zip(numbers, agreements, strict=True):
        _check_price(f"{name}, line {number}, column price_micro_per_kwh", agreement, tariff_bands)
    for what, column, key in _AT_ONCE:
        _check_at_once(name, numbers, agreements, what, column, key)
    return agreements


class _Line:
    """One line of the file, and errors that say where it is."""

    def __init__(self, name: str, number: int, header: list[str], cells: list[str]) -> None:
        self._where = f"{name}, line {number}"
        if len(cells) != len(header):
            raise MarketInputError(f"{self._where}: {len(cells)} cells, of {len(header)} columns")
        self._cells: Mapping[str, str] = dict(zip(header, cells, strict=True))

    def agreement(self, zone: str, known_meters: Collection[str], interval_s: int) -> Agreement:
        seller, buyer = (self._meter(column, known_meters) for column in ("seller_meter_id", "buyer_meter_id"))
        if seller == buyer:
            raise self._error("buyer_meter_id", f"meter {seller} cannot trade with itself")
        valid_from, valid_until = (self._moment(column, interval_s) for column in OPTIONAL)
        if valid_from and valid_until and valid_until <= valid_from:
            raise self._error("valid_until", "no market interval starts between valid_from and valid_until")
        return Agreement(
            zone, seller, buyer, self._number("max_wh"), self._number("price_micro_per_kwh"), self._number("priority"),
            valid_from, valid_until,
        )  # fmt: skip

    def _error(self, column: str, problem: str) -> MarketInputError:
        return MarketInputError(f"{self._where}, column {column}: {problem}")

    def _meter(self, column: str, known_meters: Collection[str]) -> str:
        meter = self._cells[column]
        if meter not in known_meters:
            raise self._error(column, f"unknown meter {meter!r}")
        return meter

    def _number(self, column: str) -> int:
        text = self._cells[column]
        if not _NUMBER.fullmatch(text):
            raise self._error(column, f"{text!r} is not a whole number")
        number = int(text)
        if not 0 <= number <= _MOST[column]:
            raise self._error(column, f"{number} is {'negative' if number < 0 else f'above {_MOST[column]}'}")
        return number

    def _moment(self, column: str, interval_s: int) -> dt.datetime | None:
        """The first start of a market interval at or after the moment of a column."""
        text = self._cells.get(column, "")
        if not text:
            return None
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError:
            raise self._error(column, f"{text!r} is no ISO 8601 time") from None
        if moment.tzinfo is None:
            raise self._error(column, f"{text!r} has no offset from UTC, such as Z or -07:00")
        if not _FIRST <= moment < _LAST:
            raise self._error(column, f"{text!r} is not between {_FIRST.year} and {_LAST.year}")
        step = dt.timedelta(seconds=interval_s)
        return _FIRST - (_FIRST - moment) // step * step


def _check_header(header: list[str], name: str) -> None:
    missing = [column for column in COLUMNS if column not in header]
    strange = sorted(set(header) - {*COLUMNS, *OPTIONAL})
    twice = sorted({column for column in header if header.count(column) > 1})
    for problem, columns in (("missing", missing), ("unknown", strange), ("repeated", twice)):
        if columns:
            raise MarketInputError(f"{name}, line 1: {problem} columns: {', '.join(columns)}")


def _check_price(where: str, agreement: Agreement, tariff_bands: pl.DataFrame) -> None:
    start, end = agreement.valid_from or _FIRST, agreement.valid_until or _LAST
    met = [
        (feed_in, retail)
        for valid_from, valid_until, feed_in, retail in tariff_bands.iter_rows()
        if (valid_until is None or start < valid_until) and (valid_from is None or end > valid_from)
    ]
    price = agreement.price_micro_per_kwh
    if not any(feed_in <= price <= retail for feed_in, retail in met):
        spans = ", ".join(f"{feed_in} to {retail}" for feed_in, retail in sorted(set(met)))
        raise MarketInputError(f"{where}: {price} is outside every tariff of its time: {spans}")


_AT_ONCE: tuple[tuple[str, str, Callable[[Agreement], Any]], ...] = (
    ("the same seller and buyer", "buyer_meter_id", lambda one: (one.seller_meter_id, one.buyer_meter_id)),
    ("overlapping priorities of the seller", "priority", lambda one: (one.priority, one.seller_meter_id)),
    ("overlapping priorities of the buyer", "priority", lambda one: (one.priority, one.buyer_meter_id)),
)


def _check_at_once(
    name: str, numbers: list[int], agreements: list[Agreement], what: str, column: str, key: Callable[[Agreement], Any]
) -> None:
    """Refuse two agreements of one key that hold at the same time. Where any two do, two that follow each other do."""
    groups: defaultdict[Any, list[tuple[dt.datetime, int, dt.datetime]]] = defaultdict(list)
    for number, one in zip(numbers, agreements, strict=True):
        groups[key(one)].append((one.valid_from or _FIRST, number, one.valid_until or _LAST))
    for spans in groups.values():
        for (_, line, end), (start, other, _) in pairwise(sorted(spans)):
            if start < end:
                first, second = sorted((line, other))
                raise MarketInputError(f"{name}, line {second}, column {column}: {what} as in line {first}, at the same time")
