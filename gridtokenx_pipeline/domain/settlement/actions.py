"""What the chain has to do for batches: actions, derived from what was settled."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

import polars as pl

from ..certificates import PIPELINE
from ..certificates.names import iso_text
from ..ids import iso
from ..market.positions import NET_CHANNELS
from .endings import endings, retirements
from .kinds import EXECUTE_TRADE, MEMO, MINT_GRID, MINT_REC, RECORD_BATCH, SUBMIT_ENERGY_READING
from .plan import CERTIFICATE, ENERGY_READING, TRADE, SettlementInputError
from .rows import PLACE, WINDOW, Asked, Newest, action_rows, in_order, told_window

MEMO_PROFILE = "memo"

_place = itemgetter(*PLACE)

_Schema = dict[str, type[pl.DataType]]
_TRADE: _Schema = dict.fromkeys(("trade_id", "seller_meter_id", "buyer_meter_id"), pl.String) | dict.fromkeys(
    ("energy_wh", "price_micro_per_kwh", "amount_micro"), pl.Int64
)
_READING: _Schema = {"version": pl.Int32} | {f"{channel}_wh": pl.Int64 for channel in NET_CHANNELS}
_CERTIFICATE: _Schema = {"meter_id": pl.String, "energy_wh": pl.Int64, "version": pl.Int32}


def actions_of(
    items: pl.DataFrame,
    batches: pl.DataFrame,
    intervals: pl.DataFrame,
    bundles: pl.DataFrame,
    events: pl.DataFrame,
    *,
    profile: str,
    newest: Newest | None = None,
) -> pl.DataFrame:
    """Return the actions (`contracts.settlement.ACTIONS`, waiting, in the order of sending) of `batches`, nothing netted.

    `items` and `batches` are ITEMS and BATCHES, `intervals` market.INTERVALS with those that the batches settle, `events`
    certificates.EVENTS and `bundles` the BUNDLES that they are about. Beside the batches' own, `items` has those of earlier
    versions of their intervals, and `events` those of their whole intervals.

    - `submit_energy_reading` for each meter of which anything is known, with what is not as 0. The chain counts an interval of a
      meter once, so a later version adds only meters that no earlier one had.
    - `record_batch` for each batch.
    - `mint_grid` for what each meter sold, `execute_trade` for each trade.
    - `mint_rec` for each bundle, without the certificates that ended in the same interval and version, such as those that its
      producer claimed; `retire_rec` for each event that ended certificates of other batches. What people decide is no batch's:
      see `late_retirements`.

    `newest` is the start of each meter's last interval of which a reading was submitted. The chain refuses what is older than it
    remembers, so what a correction mints and retires is told under that interval. It may be another the next time: rows are made
    once and kept. Without it, corrections are told under their own intervals.

    Under the profile `memo` each batch is one `memo`. Nothing is asked for with an energy of 0 but readings.

    Raises `SettlementInputError` for a batch of no interval and an event of no bundle.
    """
    owed = batches.join(
        intervals.select("zone", "version", "duration_s", window_start="interval_start"), on=[*WINDOW, "version"], how="left"
    )
    stray = owed.filter(pl.col("duration_s").is_null())
    if not stray.is_empty():
        raise SettlementInputError(f"batch of no interval: {stray.row(0, named=True)}")
    if profile == MEMO_PROFILE:
        memos = (Asked(_place(row), row["batch_id"], {"memo": row["memo"]}) for row in owed.iter_rows(named=True))
        return in_order([action_rows(MEMO, memos)])
    own = items.join(owed.select("batch_id", "duration_s"), on="batch_id")
    trades = _decoded(own, TRADE, _TRADE).filter(pl.col("energy_wh") > 0)
    certificates = _decoded(own, CERTIFICATE, _CERTIFICATE)
    happened = events.filter(pl.col("actor") == PIPELINE).join(
        owed.select("zone", "version", "batch_id", interval_start="window_start"), on=["zone", "interval_start", "version"]
    )
    ended = endings(events, bundles).join(happened.select("event_id", "batch_id"), on="event_id")
    issued = certificates.select("batch_id", bundle_id="natural_key")
    at_once = ended.join(issued, on=["batch_id", "bundle_id"], how="semi")
    return in_order(
        [
            action_rows(SUBMIT_ENERGY_READING, _readings(_first_readings(items, owed))),
            action_rows(RECORD_BATCH, _roots(owed)),
            action_rows(MINT_GRID, _sold(trades)),
            action_rows(EXECUTE_TRADE, _traded(trades)),
            action_rows(MINT_REC, _certified(certificates, at_once, newest)),
            retirements(ended.join(at_once, on="event_id", how="anti"), newest),
        ]
    )


def _decoded(items: pl.DataFrame, kind: str, schema: _Schema) -> pl.DataFrame:
    """Items of a kind with these values of their payloads, and their interval as text."""
    payload = pl.col("payload").str.json_decode(pl.Struct(schema))
    return items.filter(pl.col("kind") == kind).with_columns(payload, window=iso_text("window_start")).unnest("payload")


def _first_readings(items: pl.DataFrame, owed: pl.DataFrame) -> pl.DataFrame:
    """The readings of `owed` batches of which anything is known, and nothing was in an earlier version of their interval."""
    channels = [f"{channel}_wh" for channel in NET_CHANNELS]
    known = _decoded(items, ENERGY_READING, _READING).filter(~pl.all_horizontal(pl.col(name).is_null() for name in channels))
    first = known.sort("version").unique([*WINDOW, "natural_key"], keep="first", maintain_order=True)
    return first.with_columns(pl.col(channels).fill_null(0)).join(owed.select("batch_id", "duration_s"), on="batch_id")


def _readings(readings: pl.DataFrame) -> Iterator[Asked]:
    for row in readings.iter_rows(named=True):
        meter = row["natural_key"]
        yield Asked(
            _place(row),
            f"{meter}@{row['window']}",
            {
                "meter_id": meter,
                "produced_wh": row["generation_wh"] + row["discharge_wh"],
                "consumed_wh": row["load_wh"] + row["charge_wh"],
                "version": row["version"],
                "duration_s": row["duration_s"],
            },
        )


def _roots(owed: pl.DataFrame) -> Iterator[Asked]:
    for row in owed.iter_rows(named=True):
        taken = {name: row[name] for name in ("version", "memo", "duration_s")}
        yield Asked(_place(row), row["batch_id"], taken | {"leaves": row["items"], "root": row["merkle_root"]})


def _sold(trades: pl.DataFrame) -> Iterator[Asked]:
    sold = trades.group_by(*PLACE, "window", "duration_s", meter_id="seller_meter_id").agg(pl.col("energy_wh").sum())
    for row in sold.iter_rows(named=True):
        taken = {name: row[name] for name in ("meter_id", "energy_wh", "duration_s")}
        yield Asked(_place(row), f"{row['meter_id']}@{row['window']}", taken)


def _traded(trades: pl.DataFrame) -> Iterator[Asked]:
    for row in trades.iter_rows(named=True):
        yield Asked(_place(row), row["trade_id"], {name: row[name] for name in (*_TRADE, "duration_s")})


def _certified(certificates: pl.DataFrame, ended: pl.DataFrame, newest: Newest | None) -> Iterator[Asked]:
    """Each bundle's certificates, without those that `ended` with its issue."""
    gone = ended.group_by("bundle_id").agg(gone_wh=pl.col("energy_wh").sum())
    left = (
        certificates.join(gone, left_on="natural_key", right_on="bundle_id", how="left")
        .with_columns(energy_wh=pl.col("energy_wh") - pl.col("gone_wh").fill_null(0))
        .filter(pl.col("energy_wh") > 0)
    )
    for row in left.iter_rows(named=True):
        taken = {name: row[name] for name in ("meter_id", "energy_wh", "duration_s")}
        last = told_window(row, "window_start", newest)
        windows = {"first_window": row["window"], "last_window": iso(last)}
        yield Asked(_place(row), row["natural_key"], {"bundle_id": row["natural_key"]} | taken | windows)
