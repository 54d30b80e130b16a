"""Manual corrections: from what a person wants to the rows of core.edits, or the reason why not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import pairwise

import polars as pl

from gridtokenx_pipeline.contracts.core import EDITS, ENERGY_CHANNELS
from gridtokenx_pipeline.domain.effective import ACCEPT, EDIT, REPLACE, REVERT
from gridtokenx_pipeline.domain.ids import derived_id, iso
from gridtokenx_pipeline.domain.thresholds import meter_bounds

ACTIONS = (REPLACE, ACCEPT, REVERT)
_HOUR_S = 3600


class EditRefused(ValueError):
    """An edit that cannot be made; the message names the interval and why."""


def plan_edit(
    effective: pl.DataFrame,
    meters: pl.DataFrame,
    *,
    zone: str,
    meter_id: str,
    channel: str,
    start: dt.datetime,
    end: dt.datetime,
    action: str,
    edited_by: str,
    reason: str,
    edited_at: dt.datetime,
    duration_s: int = 15,
    energy_milli_wh: int | Sequence[int] | None = None,
    forced: bool = False,
) -> pl.DataFrame:
    """Return the rows of core.edits that correct the intervals of `duration_s` in [start, end), sorted by interval.

    `effective`: what counts now (`effective.EFFECTIVE`), at least of these intervals; estimates and edits in it too. `meters`:
    `domain.thresholds.ratings_frame`. `action`: `replace` by `energy_milli_wh`, the total, shared out over the intervals to the
    milli-Wh, or one value for each; `accept` what counts now; or `revert` to what counted before edits. `forced` lets a person
    exceed the ratings. All times are aware.

    Raises `EditRefused` for an unknown meter, channel or action, an empty `edited_by` or `reason`, a span that is not whole
    intervals at multiples of their length, other numbers of values than intervals, an energy below 0 or above what the ratings
    allow, accepting where nothing counts, and reverting where no edit is in force.
    """
    limit_w = _checked_names(meters, meter_id, channel, action, edited_by, reason)
    starts = _intervals(meter_id, channel, start, end, duration_s)
    now = {
        row["interval_start"]: row
        for row in effective.filter(
            (pl.col("meter_id") == meter_id)
            & (pl.col("channel") == channel)
            & (pl.col("duration_s") == duration_s)
            & pl.col("interval_start").is_between(start, end, closed="left")
        ).iter_rows(named=True)
    }
    values = _values(action, energy_milli_wh, len(starts), f"{meter_id} {channel} {iso(start)} to {iso(end)}")
    most = limit_w * duration_s * 1000 // 3600
    when = edited_at.astimezone(dt.UTC)
    rows = []
    for moment, value in zip(starts, values, strict=True):
        name = f"{meter_id} {channel} {iso(moment)}"
        before = now.get(moment, {})
        if action == ACCEPT:
            value = before.get("energy_milli_wh")
            if value is None:
                raise EditRefused(f"{name}: nothing counts there that could be accepted")
        if action == REVERT and before.get("source") != EDIT:
            raise EditRefused(f"{name}: no edit is in force there")
        if value is not None and action == REPLACE:
            _check_value(name, value, most, forced)
        rows.append(
            {
                "edit_id": derived_id(
                    "edit", meter_id, channel, iso(moment), duration_s, edited_at.astimezone(dt.UTC).isoformat()
                ),
                "zone": zone,
                "meter_id": meter_id,
                "channel": channel,
                "interval_start": moment,
                "duration_s": duration_s,
                "action": action,
                "energy_milli_wh": value,
                "before_energy_milli_wh": before.get("energy_milli_wh"),
                "before_quality_flags": before.get("quality_flags"),
                # Only a reading has a version; what was estimated has none.
                "before_version": before.get("version") if before.get("source") != "estimate" else None,
                "edited_by": edited_by.strip(),
                "reason": reason.strip(),
                "edited_at": when,
            }
        )
    return EDITS.conform(pl.DataFrame(rows, schema=EDITS.frame_schema(), orient="row").sort("interval_start"))


def shared(total: int, parts: int) -> list[int]:
    """Share a whole number out over so many parts, as evenly as whole numbers can be: they add up to it."""
    given = [total * n // parts for n in range(parts + 1)]
    return [after - before for before, after in pairwise(given)]


def _checked_names(meters: pl.DataFrame, meter_id: str, channel: str, action: str, edited_by: str, reason: str) -> int:
    """The power limit (W) of the meter's channel, after checking the words of the edit."""
    name = f"{meter_id} {channel}"
    if action not in ACTIONS:
        raise EditRefused(f"{name}: unknown action {action!r}, known are {', '.join(ACTIONS)}")
    if channel not in ENERGY_CHANNELS:
        raise EditRefused(f"{name}: unknown channel, known are {', '.join(ENERGY_CHANNELS)}")
    limits = meter_bounds(meters.filter(pl.col("meter_id") == meter_id)).filter(pl.col("channel") == channel)
    if limits.is_empty():
        raise EditRefused(f"{name}: unknown meter")
    for what, text in (("who edits", edited_by), ("a reason", reason)):
        if not text.strip():
            raise EditRefused(f"{name}: an edit has to say {what}")
    return int(limits["limit_w"][0])


def _intervals(meter_id: str, channel: str, start: dt.datetime, end: dt.datetime, duration_s: int) -> list[dt.datetime]:
    name = f"{meter_id} {channel} {start.isoformat()} to {end.isoformat()}"
    if duration_s <= 0 or _HOUR_S % duration_s:
        raise EditRefused(f"{name}: intervals of {duration_s} s do not divide the hour")
    seconds = (start.timestamp(), end.timestamp())
    if any(second % duration_s for second in seconds):
        raise EditRefused(f"{name}: not whole intervals of {duration_s} s, which begin at multiples of their length")
    first, last = (int(second) for second in seconds)
    if last <= first:
        raise EditRefused(f"{name}: no interval is in that time")
    return [dt.datetime.fromtimestamp(second, dt.UTC) for second in range(first, last, duration_s)]


def _values(action: str, energy: int | Sequence[int] | None, count: int, name: str) -> Sequence[int | None]:
    if action != REPLACE:
        if energy is not None:
            raise EditRefused(f"{name}: {action} takes no energy")
        return [None] * count
    if energy is None:
        raise EditRefused(f"{name}: replace needs an energy")
    if isinstance(energy, int):
        return shared(energy, count)
    if len(energy) != count:
        raise EditRefused(f"{name}: {len(energy)} energies for {count} intervals")
    return list(energy)


def _check_value(name: str, value: int, most: int, forced: bool) -> None:
    if value < 0:
        raise EditRefused(f"{name}: {value} mWh is below 0")
    if value > most and not forced:
        raise EditRefused(f"{name}: {value} mWh is above {most} mWh, the most that the meter's ratings allow")
