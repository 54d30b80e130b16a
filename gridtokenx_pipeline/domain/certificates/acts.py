"""What people do with certificates: retirement, withdrawal and expiry, as events for the caller to append."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from .events import events_of
from .names import ACTIVE, EXPIRED, PENDING, PIPELINE, RETIRED, WITHDRAWN, CertificateError
from .ranges import take


@dataclass(frozen=True)
class Selection:
    """Which certificates: of an owner, of bundles, or of an owner in bundles. One of the two is given."""

    owner: str | None = None
    bundle_ids: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.owner is None and not self.bundle_ids:
            raise CertificateError("a selection names an owner or bundles")

    def __str__(self) -> str:
        of = [self.owner] if self.owner else []
        return " ".join([*of, *(f"in {bundle_id}" for bundle_id in self.bundle_ids)])


def retire(
    holdings: pl.DataFrame,
    selection: Selection,
    *,
    energy_wh: int | None = None,
    beneficiary: str,
    purpose: str,
    period_start: dt.datetime,
    period_end: dt.datetime,
    actor: str,
    at: dt.datetime,
    market_interval_s: int,
    consumption_wh: int | None,
    covered_wh: int = 0,
) -> pl.DataFrame:
    """Return events (`contracts.certificates.EVENTS`) that retire active certificates for consumption in a period.

    `holdings` is a frame of `contracts.certificates.HOLDINGS`, of settled intervals only: others may still be made again. Taken
    are the oldest first, lowest ids first, `energy_wh` or all of the selection; only those generated in intervals (of
    `market_interval_s`) inside [period_start, period_end), which is the period of consumption. `consumption_wh` is what the
    beneficiary consumed in the period as metered (None where nobody meters it, which the caller answers for), `covered_wh` what
    is claimed or retired for it already.

    Raises `CertificateError` for an empty period, fewer active certificates than asked for, or more than was consumed.
    """
    _person(actor)
    if period_start >= period_end:
        raise CertificateError(f"the period {period_start} to {period_end} is empty")
    inside = (pl.col("interval_start") >= period_start) & (
        pl.col("interval_start") + pl.duration(seconds=market_interval_s) <= period_end
    )
    taken = _taken(holdings.filter((pl.col("state") == ACTIVE) & inside), selection, energy_wh, "active in the period")
    retired = int(taken["energy_wh"].sum())
    if consumption_wh is not None and covered_wh + retired > consumption_wh:
        raise CertificateError(
            f"{beneficiary} consumed {consumption_wh} Wh in the period, of which {covered_wh} Wh are covered: "
            f"{retired} Wh cannot be retired for it"
        )
    return _events(
        taken,
        RETIRED,
        actor,
        at,
        market_interval_s,
        beneficiary=pl.lit(beneficiary),
        purpose=pl.lit(purpose),
        period_start=pl.lit(period_start, dtype=pl.Datetime("us", "UTC")),
        period_end=pl.lit(period_end, dtype=pl.Datetime("us", "UTC")),
    )


def withdraw(
    holdings: pl.DataFrame,
    selection: Selection,
    *,
    energy_wh: int | None = None,
    reason: str,
    actor: str,
    at: dt.datetime,
    market_interval_s: int,
) -> pl.DataFrame:
    """Return events that withdraw active certificates, newest first and from the top of their ranges; pending bundles whole.

    Raises `CertificateError` for fewer of them than asked for, or without a reason.
    """
    _person(actor)
    if not reason:
        raise CertificateError("a withdrawal says why")
    standing = holdings.filter(pl.col("state").is_in([ACTIVE, PENDING]))
    taken = _taken(standing, selection, energy_wh, "active or pending", from_top=True)
    whole = standing.select("bundle_id", "first_wh", whole_first="first_wh", whole_wh="energy_wh", its_state="state")
    cut = taken.filter(pl.col("state") == PENDING).join(whole, on=["bundle_id", "first_wh"], how="anti")
    if not cut.is_empty():
        raise CertificateError(f"a pending bundle is withdrawn whole or not at all: {cut['bundle_id'][0]}")
    return _events(taken, WITHDRAWN, actor, at, market_interval_s, reason=pl.lit(reason))


def expire(holdings: pl.DataFrame, *, at: dt.datetime, validity_days: int, market_interval_s: int, actor: str) -> pl.DataFrame:
    """Return events that expire what is active `validity_days` after its interval began; none where these are 0.

    What is locked waits in its store.
    """
    _person(actor)
    old = pl.col("interval_start") <= at - dt.timedelta(days=validity_days)
    taken = holdings.filter((pl.col("state") == ACTIVE) & old & (validity_days > 0))
    return _events(taken, EXPIRED, actor, at, market_interval_s)


def _person(actor: str) -> None:
    if actor in ("", PIPELINE):
        raise CertificateError(f"somebody answers for it: the actor cannot be {actor!r}")


def _taken(rows: pl.DataFrame, selection: Selection, energy_wh: int | None, what: str, *, from_top: bool = False) -> pl.DataFrame:
    """The selected ranges, `energy_wh` of them: the oldest first, or the newest `from_top`."""
    if selection.owner is not None:
        rows = rows.filter(pl.col("owner") == selection.owner)
    if selection.bundle_ids:
        rows = rows.filter(pl.col("bundle_id").is_in(list(selection.bundle_ids)))
    available = int(rows["energy_wh"].sum())
    wanted = available if energy_wh is None else energy_wh
    if wanted < 1 or wanted > available:
        raise CertificateError(f"{selection}: {wanted} Wh asked for, {available} Wh are {what}")
    return take(rows.sort("interval_start", "bundle_id", "first_wh", descending=from_top), wanted, from_top=from_top)


def _events(
    taken: pl.DataFrame, kind: str, actor: str, at: dt.datetime, market_interval_s: int, **columns: pl.Expr
) -> pl.DataFrame:
    second = int(at.timestamp())
    moment = dt.datetime.fromtimestamp(second - second % market_interval_s, dt.UTC)
    happened = taken.select(
        "bundle_id",
        "zone",
        "first_wh",
        "last_wh",
        "energy_wh",
        "owner",
        interval_start=pl.lit(moment, dtype=pl.Datetime("us", "UTC")),
        bundle_interval_start="interval_start",
        version=pl.lit(1, dtype=pl.Int32),
        kind=pl.lit(kind),
        actor=pl.lit(actor),
        step=pl.lit(0),
        **columns,
    )
    # After everything of the bundle so far, whatever of it happened in this interval.
    so_far = taken.select("bundle_id", interval_start=pl.lit(moment, dtype=pl.Datetime("us", "UTC")), number="events").unique()
    return events_of(happened, so_far)
