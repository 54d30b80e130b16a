"""Certificates that end, as the chain sees it: there, its supply are those that are active or locked."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ..certificates import CANCELLED, CLAIMED, EXPIRED, PENDING, PIPELINE, RETIRED, WITHDRAWN
from ..certificates.names import iso_text
from ..ids import iso
from .kinds import RETIRE_REC
from .plan import SettlementInputError, batch_id
from .rows import Asked, Newest, action_rows, in_order, told_window

_ENDS = (CANCELLED, CLAIMED, EXPIRED, RETIRED, WITHDRAWN)
_HAPPENED = ["zone", "interval_start", "version"]


def endings(events: pl.DataFrame, bundles: pl.DataFrame) -> pl.DataFrame:
    """Return the events after which fewer certificates are active or locked: rows of EVENTS with `energy_wh` how many fewer.

    `events` and `bundles` are frames of `contracts.certificates`: with a withdrawal, the bundle's claims must be among the
    events. More columns: `meter_id`, the producer, and `duration_s` of the bundle's interval. A withdrawal of a bundle that was
    never issued ends nothing, nor does one of certificates that were claimed before.

    Raises `SettlementInputError` for an event of no bundle.
    """
    ends = events.filter(pl.col("kind").is_in(_ENDS))
    stray = ends.join(bundles, on="bundle_id", how="anti")
    if not stray.is_empty():
        raise SettlementInputError(f"event of no bundle: {stray.row(0, named=True)}")
    own = bundles.select(
        "bundle_id",
        "meter_id",
        duration_s=(pl.col("interval_end") - pl.col("interval_start")).dt.total_seconds(),
        low="first_wh",
        high="last_wh",
        # What is pending was never issued, and of what is issued nothing was withdrawn before.
        never=pl.col("state") == PENDING,
    )
    # An event without a range is about the whole bundle.
    ranges = ends.join(own, on="bundle_id").with_columns(
        first_wh=pl.col("first_wh").fill_null(pl.col("low")), last_wh=pl.col("last_wh").fill_null(pl.col("high"))
    )
    claims = ranges.filter(pl.col("kind") == CLAIMED).select("bundle_id", from_wh="first_wh", to_wh="last_wh")
    common = pl.min_horizontal("last_wh", "to_wh") - pl.max_horizontal("first_wh", "from_wh") + 1
    claimed = (
        ranges.filter(pl.col("kind") == WITHDRAWN)
        .join(claims, on="bundle_id")
        .group_by("event_id")
        .agg(claimed_wh=common.clip(lower_bound=0).sum())
    )
    return (
        ranges.filter(~pl.col("never"))
        .join(claimed, on="event_id", how="left", maintain_order="left")
        .with_columns(energy_wh=pl.col("energy_wh") - pl.col("claimed_wh").fill_null(0))
        .filter(pl.col("energy_wh") > 0)
        .select(*events.columns, "meter_id", "duration_s")
    )


def retirements(ended: pl.DataFrame, newest: Newest | None = None) -> pl.DataFrame:
    """Return one `retire_rec` (ACTIONS) for each row of `endings`, of its event's id, in its interval's batch."""
    return action_rows(RETIRE_REC, _asked(ended.with_columns(key="event_id"), newest))


def late_retirements(
    events: pl.DataFrame, bundles: pl.DataFrame, batches: pl.DataFrame, actions: pl.DataFrame, *, newest: Newest | None = None
) -> pl.DataFrame:
    """Return `retire_rec` (ACTIONS) for what no batch retires: what people decided, and corrections that settle nothing else.

    `events` are all EVENTS of some intervals that stand (`certificates.stands`), `bundles` theirs, `batches` the BATCHES of these
    intervals and `actions` the ACTIONS that were made for them; `newest` is as in `actions_of`. With netting, events of bundles
    whose certificates are not minted yet have to be left out until they are.

    A decision may be about thousands of certificates of one meter, and the chain remembers some 100 acts of a meter. So there is
    one action for each producer and interval in which it happened (and version, of corrections), in the interval's batch, whether
    that is planned or not: `<meter>@<interval>`. What comes to it afterwards makes another, of the difference.

    Raises `SettlementInputError` where more was retired than ended, and for an event of no bundle.
    """
    pipeline = events.filter(pl.col("actor") == PIPELINE)
    batched = pipeline.join(batches.select("zone", "version", interval_start="window_start"), on=_HAPPENED, how="semi")
    # What ended with its issue was never minted, whichever intervals the batches are of.
    at_once = pipeline.join(bundles, on=["bundle_id", "interval_start", "version"], how="semi")
    late = endings(events, bundles).join(pl.concat([batched, at_once]), on="event_id", how="anti")
    correction = pl.when(pl.col("version") > 1).then(pl.format("/v{}", "version")).otherwise(pl.lit(""))
    ended = (
        late.group_by(*_HAPPENED, "meter_id")
        .agg(pl.col("energy_wh").sum(), pl.col("duration_s").max())
        .with_columns(key=pl.concat_str("meter_id", pl.lit("@"), iso_text("interval_start"), correction))
    )
    made = (
        actions.filter(pl.col("kind") == RETIRE_REC)
        .select(
            key=pl.col("natural_key").str.replace(r"#\d+$", ""),
            made_wh=pl.col("arguments").str.json_path_match("$.energy_wh").cast(pl.Int64),
        )
        .group_by("key")
        .agg(pl.col("made_wh").sum(), made=pl.len())
    )
    left = ended.join(made, on="key", how="left").with_columns(
        energy_wh=pl.col("energy_wh") - pl.col("made_wh").fill_null(0), made=pl.col("made").fill_null(0)
    )
    over = left.filter(pl.col("energy_wh") < 0)
    if not over.is_empty():
        raise SettlementInputError(f"{over['key'][0]} retires {-over['energy_wh'][0]} Wh more than ended")
    again = pl.when(pl.col("made") > 0).then(pl.format("#{}", pl.col("made") + 1)).otherwise(pl.lit(""))
    due = left.filter(pl.col("energy_wh") > 0).with_columns(key=pl.concat_str("key", again))
    return in_order([action_rows(RETIRE_REC, _asked(due, newest))])


def _asked(ended: pl.DataFrame, newest: Newest | None) -> Iterator[Asked]:
    for row in ended.iter_rows(named=True):
        zone, start = row["zone"], row["interval_start"]
        yield Asked(
            (batch_id(zone, start, row["version"]), zone, start),
            row["key"],
            {
                "retirement_id": row["key"],
                "meter_id": row["meter_id"],
                "energy_wh": row["energy_wh"],
                "window": iso(told_window(row, "interval_start", newest)),
                "duration_s": row["duration_s"],
            },
        )
