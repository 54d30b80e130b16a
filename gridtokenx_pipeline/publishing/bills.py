"""Bills: what each month of the site came to, and for each day the energy and charges it is made of.

A charge that the customer pays is positive, one that is paid to the customer negative, so that a bill is the sum of its charges.
The lines of a day are those of its settlement; later corrections are a line of their own, so that what was billed before stays as
it was read and the sum is what is known today.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import polars as pl

from ieee2030_5.resources import BillingPeriod, BillingReading, BillingReadingSet, Charge, DateTimeInterval, ListLink
from ingest_server.operational.resources import Publication

from .accounts import READINGS, Account, Line
from .programs import mrid_of

LINES = {
    "currency": pl.String(),
    "meter_id": pl.String(),
    "day": pl.Date(),
    "line": pl.String(),
    "energy_wh": pl.Int64(),
    "amount_micro": pl.Int64(),
    "wheeling_micro": pl.Int64(),
}
"""Columns of the lines of bills, one row for each currency, meter, local day and line: Wh, and micro-currency the customer pays.

`wheeling_micro` comes on top of `amount_micro`. Energy of corrections is what more was taken from the grid, negative what less.
"""

CONSUMPTION, REBATE, AUXILIARY = 0, 1, 2
"""ChargeKind of the standard."""
_INT32 = (1 << 31) - 1


@dataclass(frozen=True)
class Calendar:
    """Days and months of a place. Moments are aware."""

    timezone: str

    def day(self, moment: dt.datetime) -> dt.date:
        """The local day that holds a moment."""
        return moment.astimezone(ZoneInfo(self.timezone)).date()

    def start(self, day: dt.date) -> dt.datetime:
        """The first moment of a day, in UTC."""
        return dt.datetime.combine(day, dt.time(), ZoneInfo(self.timezone)).astimezone(dt.UTC)

    def interval(self, first: dt.date, after: dt.date) -> DateTimeInterval:
        """From the start of `first` to that of `after`, however long the days are."""
        start, end = (int(self.start(day).timestamp()) for day in (first, after))
        return DateTimeInterval(duration=end - start, start=start)


def month_of(day: dt.date) -> dt.date:
    """First day of the month that holds `day`."""
    return day.replace(day=1)


def next_month(day: dt.date) -> dt.date:
    """First day of the month after that of `day`."""
    return month_of(month_of(day) + dt.timedelta(days=31))


def previous_month(day: dt.date) -> dt.date:
    """First day of the month before that of `day`."""
    return month_of(month_of(day) - dt.timedelta(days=1))


def bills(
    lines: pl.DataFrame,
    accounts: Sequence[Account],
    calendar: Calendar,
    *,
    billed_until: dict[dt.date, dt.datetime],
    wants_day: Callable[[Account, dt.date], bool],
    wants_month: Callable[[Account, dt.date], bool],
) -> list[Publication]:
    """The billing periods and daily readings of accounts.

    `lines` (`LINES`) are complete for every wanted month and the one before it. `billed_until` tells the end of the last settled
    interval of each month (first day); months without one have no bill. `wants_day` and `wants_month` (first day) choose what is
    published. `billLastPeriod` is left out where nothing was settled in the month before.
    """
    by_meter = lines.partition_by("meter_id", "currency", as_dict=True)
    empty = lines.clear()
    found: list[Publication] = []
    for account in accounts:
        own = by_meter.get((account.meter_id, account.currency), empty)
        found += _periods(own, account, calendar, billed_until, wants_month)
        found += _days(own, account, calendar, wants_day)
    return found


def _periods(
    lines: pl.DataFrame,
    account: Account,
    calendar: Calendar,
    billed_until: dict[dt.date, dt.datetime],
    wants: Callable[[Account, dt.date], bool],
) -> Iterator[Publication]:
    monthly = lines.group_by(pl.col("day").dt.truncate("1mo")).agg((pl.col("amount_micro") + pl.col("wheeling_micro")).sum())
    totals: dict[dt.date, int] = dict(monthly.iter_rows())
    for month, until in sorted(billed_until.items()):
        if not wants(account, month):
            continue
        before = previous_month(month)
        period = BillingPeriod(
            bill_last_period=totals.get(before, 0) if before in billed_until else None,
            bill_to_date=totals.get(month, 0),
            interval=calendar.interval(month, next_month(month)),
            status_time_stamp=int(until.timestamp()),
        )
        yield Publication(f"{account.agreement}/bp/{month:%Y%m}", period, account.lfdi)


def _days(
    lines: pl.DataFrame, account: Account, calendar: Calendar, wants: Callable[[Account, dt.date], bool]
) -> Iterator[Publication]:
    for row in lines.iter_rows(named=True):
        day = row["day"]
        if not wants(account, day):
            continue
        line = Line(row["line"])
        path = f"{account.reading(line)}/brs/{day:%Y%m%d}"
        period = calendar.interval(day, day + dt.timedelta(days=1))
        readings = BillingReadingSet(
            mrid=mrid_of(path, account.lfdi),
            description=day.isoformat(),
            time_period=period,
            billing_reading_list_link=ListLink(href=f"{path}/br"),
        )
        charges = [*_charges(line, row["amount_micro"]), *_parts("Wheeling", AUXILIARY, row["wheeling_micro"])]
        yield Publication(path, readings, account.lfdi)
        reading = BillingReading(time_period=period, value=row["energy_wh"], charges=charges)
        yield Publication(f"{path}/br/1", reading, account.lfdi)


def _charges(line: Line, amount_micro: int) -> list[Charge]:
    kind = REBATE if line in (Line.EXPORT, Line.SOLD) else CONSUMPTION
    return _parts(READINGS[line].charge, kind, amount_micro) or [Charge(description=READINGS[line].charge, kind=kind, value=0)]


def _parts(description: str, kind: int, amount_micro: int) -> list[Charge]:
    """Charges that add up to an amount: an Int32 of micro-units ends at 2147 units, which a large building's day exceeds."""
    sign, rest, parts = (-1 if amount_micro < 0 else 1), abs(amount_micro), []
    while rest:
        part = min(rest, _INT32)
        parts.append(Charge(description=description, kind=kind, value=sign * part))
        rest -= part
    return parts
