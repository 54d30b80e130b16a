"""Decisions about certificates: what a retirement, a withdrawal or an expiry would do, from what is stored now.

Only certificates of settled intervals can be decided about: the others are made again by the pipeline's next run.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.domain import certificates
from gridtokenx_pipeline.domain.certificates import CertificateError, Selection
from gridtokenx_pipeline.warehouse import Warehouse

from .consumption import Consumption, consumption
from .holdings import settled_holdings

_BEFORE = """
SELECT sum(energy_wh)::BIGINT AS energy_wh, max(interval_start) AS latest FROM certificates.events
WHERE kind = 'retired' AND actor <> 'pipeline' AND owner = ? AND beneficiary = ? AND purpose = ? AND period_start = ?
    AND period_end = ?
HAVING count(*) > 0
"""


@dataclass(frozen=True)
class Retirement:
    """What an owner asks for: `energy_wh` of `bundle_ids` or of all it has, None and () being all, for a consumption."""

    owner: str
    beneficiary: str
    purpose: str
    start: dt.datetime
    end: dt.datetime
    energy_wh: int | None = None
    bundle_ids: Sequence[str] = ()


def plan_retirement(
    warehouse: Warehouse, settings: Settings, asked: Retirement, *, actor: str, at: dt.datetime, again: bool = False
) -> tuple[pl.DataFrame, Consumption]:
    """Return the events (`contracts.certificates.EVENTS`) of a retirement, and the consumption that it is for.

    Raises `CertificateError` for an unknown meter, no purpose, more than the owner's active certificates generated in the period,
    or more than the beneficiary's metered consumption that nothing stands for yet. Also, unless `again`, where the same owner has
    retired for the same consumption and purpose before and no bundle is named: the same command given twice.
    """
    _known(settings, asked.owner)
    _known(settings, asked.beneficiary)
    if not asked.purpose.strip():
        raise CertificateError("a retirement says what for")
    if not again and not asked.bundle_ids:
        same = (asked.owner, asked.beneficiary, asked.purpose, asked.start, asked.end)
        for energy_wh, latest in warehouse.query(_BEFORE, same).iter_rows():
            raise CertificateError(
                f"{asked.owner} has retired {energy_wh} Wh for this consumption and purpose already, the last at "
                f"{latest:%Y-%m-%d %H:%M} UTC: --again retires more"
            )
    used = consumption(warehouse, asked.beneficiary, asked.start, asked.end)
    where = "owner = ? AND state = 'active' AND interval_start >= ? AND interval_start < ?"
    events = certificates.retire(
        settled_holdings(warehouse, where, (asked.owner, asked.start, asked.end)),
        Selection(asked.owner, asked.bundle_ids),
        energy_wh=asked.energy_wh,
        beneficiary=asked.beneficiary,
        purpose=asked.purpose,
        period_start=asked.start,
        period_end=asked.end,
        actor=actor,
        at=at,
        market_interval_s=settings.market.interval_s,
        consumption_wh=used.metered_wh,
        covered_wh=used.covered_wh,
    )
    return events, used


def plan_withdrawal(
    warehouse: Warehouse,
    settings: Settings,
    bundle_id: str,
    *,
    reason: str,
    actor: str,
    at: dt.datetime,
    energy_wh: int | None = None,
) -> pl.DataFrame:
    """Return events that withdraw a bundle, or `energy_wh` of it from the top. Raises `CertificateError` where it cannot be."""
    holdings = settled_holdings(warehouse, "bundle_id = ?", (bundle_id,))
    if holdings.is_empty():
        raise CertificateError(
            f"the interval of bundle {bundle_id} is not settled yet: what is wrong with it, the next run mends"
        )
    return certificates.withdraw(
        holdings,
        Selection(bundle_ids=[bundle_id]),
        energy_wh=energy_wh,
        reason=reason.strip(),
        actor=actor,
        at=at,
        market_interval_s=settings.market.interval_s,
    )


def plan_expiry(warehouse: Warehouse, settings: Settings, *, actor: str, at: dt.datetime) -> pl.DataFrame:
    """Return the events that expire whatever is active past `certificates.validity_days`; none where these are 0."""
    days = settings.certificates.validity_days
    where = "state = 'active' AND interval_start <= ?"
    return certificates.expire(
        settled_holdings(warehouse, where, (at - dt.timedelta(days=days),)),
        at=at,
        validity_days=days,
        market_interval_s=settings.market.interval_s,
        actor=actor,
    )


def owners_of(warehouse: Warehouse, bundle_ids: Sequence[str]) -> list[str]:
    """Return who owns active certificates of these bundles."""
    where = "state = 'active' AND list_contains(?::VARCHAR[], bundle_id)"
    owners = warehouse.query(f"SELECT DISTINCT owner FROM certificates.holdings WHERE {where} ORDER BY 1", (list(bundle_ids),))
    return owners["owner"].to_list()


def _known(settings: Settings, meter_id: str) -> None:
    if meter_id not in {meter.id for meter in settings.meters}:
        raise CertificateError(f"{meter_id} is no meter of the campus: what it consumes is not metered here")
