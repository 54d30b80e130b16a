"""What is put on chain: a batch of items for each version of a market interval, under one Merkle root in one memo."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.contracts import settlement as tables

from .. import merkle
from ..certificates import PENDING as HELD_BACK
from ..certificates import PRODUCTION
from ..frames import frame_of_rows
from ..ids import derived_id, iso
from ..market.clearing import OPEN
from ..market.positions import NET_CHANNELS

CERTIFICATE = "certificate"
ENERGY_READING = "energy_reading"
GRID_SETTLEMENT = "grid_settlement"
TRADE = "trade"
NATURAL_KEYS = {
    CERTIFICATE: "bundle_id",
    ENERGY_READING: "meter_id",
    GRID_SETTLEMENT: "grid_settlement_id",
    TRADE: "trade_id",
}
PENDING = "pending"
MEMO_MAX_BYTES = 200

_MEMO = re.compile(
    r"gtx1:(?P<zone>[^:]+):(?P<window>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ):v(?P<version>\d+):(?P<items>\d+)"
    r":(?P<traded_wh>\d+):(?P<amount_micro>\d+):(?P<certificate_wh>\d+):(?P<merkle_root>[0-9a-f]{64})",
    re.ASCII,
)

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode

_Row = dict[str, Any]
_Window = tuple[str, dt.datetime, int]
_WINDOW = ["zone", "interval_start", "version"]


class SettlementInputError(ValueError):
    """Rows that cannot be settled together; the message names one."""


@dataclass(frozen=True)
class Planned:
    """Frames of `contracts.settlement`: ITEMS and BATCHES."""

    items: pl.DataFrame
    batches: pl.DataFrame


@dataclass(frozen=True)
class Memo:
    """What a batch says on chain."""

    zone: str
    window_start: dt.datetime
    version: int
    items: int
    traded_wh: int
    amount_micro: int
    certificate_wh: int
    merkle_root: str

    def text(self) -> str:
        """Return the memo's text, which `parse_memo` reads back."""
        return (
            f"gtx1:{self.zone}:{iso(self.window_start)}:v{self.version}:{self.items}"
            f":{self.traded_wh}:{self.amount_micro}:{self.certificate_wh}:{self.merkle_root}"
        )


def batch_id(zone: str, window_start: dt.datetime, version: int) -> str:
    """Return the id of the batch that settles an interval's version."""
    return derived_id("settlement_batch", zone, iso(window_start), version)


def parse_memo(text: str) -> Memo:
    """Read a memo back from the chain. Raises `ValueError` for any other text."""
    found = _MEMO.fullmatch(text)
    if found is None:
        raise ValueError(f"not a settlement memo: {text!r}")
    return Memo(
        zone=found["zone"],
        window_start=dt.datetime.strptime(found["window"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC),
        version=int(found["version"]),
        items=int(found["items"]),
        traded_wh=int(found["traded_wh"]),
        amount_micro=int(found["amount_micro"]),
        certificate_wh=int(found["certificate_wh"]),
        merkle_root=found["merkle_root"],
    )


def canonical_json(values: _Row) -> str:
    """Return `values` as canonical JSON: sorted keys, no spaces, ASCII, whole numbers only.

    Raises `SettlementInputError` for a float or a boolean, which have no place in a settled value.
    """
    for name, value in values.items():
        if not (value is None or type(value) in (int, str)):
            raise SettlementInputError(f"{name} = {value!r} is neither text nor a whole number")
    return _encode(values)


def plan(
    positions: pl.DataFrame,
    trades: pl.DataFrame,
    grid_settlements: pl.DataFrame,
    bundles: pl.DataFrame,
    intervals: pl.DataFrame,
) -> Planned:
    """Plan one batch for each row of `intervals` (zone, interval and version) that is not open and has anything to settle.

    `positions` has the columns `market.POSITIONS`, the others are frames of `contracts.market` and `contracts.certificates`.
    Version 1 settles all positions of its interval, the trades and grid settlements. A later version is a correction: it
    settles the positions of the meters that have a grid settlement in it, as they are now, and these differences. Each takes the
    bundles of its version. Positions and bundles of other intervals are left out, as are bundles that are not issued. Leaves are
    sorted by kind and natural key, so the same rows in any order make the same root, and each has its proof. The planned state is
    `pending`.

    Raises `SettlementInputError` for a trade or grid settlement of no closed interval, or a memo of `MEMO_MAX_BYTES` or more.
    """
    closed = intervals.filter(pl.col("state") != OPEN)
    for name, frame in (("trade", trades), ("grid settlement", grid_settlements)):
        stray = frame.join(closed, on=_WINDOW, how="anti")
        if not stray.is_empty():
            raise SettlementInputError(f"{name} of no closed interval: {stray.row(0, named=True)}")

    windows: dict[_Window, _Row] = {
        (row["zone"], row["interval_start"], row["version"]): row for row in closed.iter_rows(named=True)
    }
    leaves: defaultdict[_Window, list[tuple[str, str, str]]] = defaultdict(list)
    totals: defaultdict[_Window, dict[str, int]] = defaultdict(lambda: dict.fromkeys(("traded", "amount", "certificate"), 0))
    for kind, frame, payload_of in (
        (ENERGY_READING, _readings(positions, grid_settlements, closed), _energy_reading),
        (TRADE, trades, _trade),
        (GRID_SETTLEMENT, grid_settlements, _grid_settlement),
        (CERTIFICATE, bundles.filter(pl.col("state") != HELD_BACK), _certificate),
    ):
        for window, row in _in_windows(frame, windows):
            interval = windows[window]
            common = {"kind": kind, "zone": window[0], "window_start": iso(window[1]), "version": window[2]}
            values = payload_of(row, interval)
            leaves[window].append((kind, row[NATURAL_KEYS[kind]], canonical_json(common | values)))
            if kind == TRADE:
                totals[window]["traded"] += row["energy_wh"]
                totals[window]["amount"] += row["amount_micro"]
            elif kind == CERTIFICATE and newly_certified(values):
                totals[window]["certificate"] += row["energy_wh"]

    items: list[tuple[Any, ...]] = []
    batches: list[tuple[Any, ...]] = []
    for window in sorted(leaves):
        zone, start, version = window
        batch = batch_id(zone, start, version)
        ordered = sorted(leaves[window])
        hashes = [merkle.leaf(payload.encode("ascii")) for _, _, payload in ordered]
        for position, ((kind, natural_key, payload), proof) in enumerate(zip(ordered, merkle.proof_texts(hashes), strict=True)):
            item = derived_id("settlement_item", batch, kind, natural_key)
            items.append((item, batch, zone, start, position, kind, natural_key, payload, hashes[position].hex(), proof))
        total = totals[window]
        root = merkle.root(hashes).hex()
        memo = Memo(zone, start, version, len(hashes), total["traded"], total["amount"], total["certificate"], root)
        batches.append((batch, zone, start, version, *_memo_columns(memo), _fitting(memo), PENDING))
    return Planned(
        tables.ITEMS.conform(frame_of_rows(items, tables.ITEMS.frame_schema())),
        tables.BATCHES.conform(frame_of_rows(batches, tables.BATCHES.frame_schema())),
    )


def settled_readings(items: pl.DataFrame) -> pl.DataFrame:
    """Return the energy that the latest version of each interval settled for each meter, from energy readings among `items`.

    `items` is a frame of `contracts.settlement.ITEMS`; other kinds are left out. Columns: zone, interval_start, meter_id, and
    `{channel}_wh` (Int64, null where it was not known) of the channels a net is made of.
    """
    channels = [f"{channel}_wh" for channel in NET_CHANNELS]
    payload = pl.Struct({"version": pl.Int32, **dict.fromkeys(channels, pl.Int64)})
    return (
        items.filter(pl.col("kind") == ENERGY_READING)
        .select("zone", pl.col("payload").str.json_decode(payload), interval_start="window_start", meter_id="natural_key")
        .unnest("payload")
        .sort("version")
        .unique(["zone", "interval_start", "meter_id"], keep="last")
        .select("zone", "interval_start", "meter_id", *channels)
        .sort("zone", "interval_start", "meter_id")
    )


def _memo_columns(memo: Memo) -> tuple[int, str, int, int, int]:
    return memo.items, memo.merkle_root, memo.traded_wh, memo.amount_micro, memo.certificate_wh


def _fitting(memo: Memo) -> str:
    text = memo.text()
    if len(text.encode()) >= MEMO_MAX_BYTES:
        raise SettlementInputError(f"memo of {len(text.encode())} bytes: {text}")
    return text


def _in_windows(frame: pl.DataFrame, windows: dict[_Window, _Row]) -> Iterable[tuple[_Window, _Row]]:
    for row in frame.iter_rows(named=True):
        window = (row["zone"], row["interval_start"], row["version"])
        if window in windows:
            yield window, row


def _readings(positions: pl.DataFrame, grid_settlements: pl.DataFrame, closed: pl.DataFrame) -> pl.DataFrame:
    """The positions that each version settles: in the first every meter's, in a correction those of the meters it corrects."""
    first = positions.join(closed.filter(pl.col("version") == 1).select(_WINDOW), on=_WINDOW[:2])
    corrected = grid_settlements.filter(pl.col("version") > 1).select(*_WINDOW, "meter_id")
    return pl.concat([first, positions.join(corrected, on=[*_WINDOW[:2], "meter_id"])])


def _take(row: _Row, names: Iterable[str]) -> _Row:
    return {name: row[name] for name in names}


def _energy_reading(row: _Row, interval: _Row) -> _Row:
    energies = [f"{channel}_wh" for channel in core.ENERGY_CHANNELS]
    return _take(row, ("meter_id", "duration_s", *energies, "quality_flags"))


def _trade(row: _Row, interval: _Row) -> _Row:
    names = ("trade_id", "seller_meter_id", "buyer_meter_id", "energy_wh", "price_micro_per_kwh", "amount_micro")
    values = _take(row, (*names, "mechanism", "quality_flags"))
    # Said where there is something to say: most trades lose nothing, pay no way, and fulfil no agreement.
    more = {name: row[name] for name in ("loss_wh", "wheeling_micro", "agreement_id") if row[name]}
    return values | more | {"trade_kind": row["kind"]} | _take(interval, ("duration_s", "currency"))


def _grid_settlement(row: _Row, interval: _Row) -> _Row:
    names = ("grid_settlement_id", "meter_id", "net_wh", "traded_wh", "energy_wh", "amount_micro", "reason", "quality_flags")
    return _take(row, names) | _take(interval, ("duration_s", "currency"))


def newly_certified(payload: Mapping[str, Any]) -> bool:
    """Whether a certificate's payload counts in its batch's `certificate_wh`.

    What a store gave back does not: it is in place of certificates that were cancelled.
    """
    return "origin" not in payload


def _certificate(row: _Row, interval: _Row) -> _Row:
    names = ("bundle_id", "meter_id", "energy_wh", "first_wh", "last_wh", "carrier", "source", "owner", "quality_flags")
    # What a store gave back is in place of certificates that were cancelled: it is told, and counts for nothing new.
    origin = {} if row["origin"] == PRODUCTION else {"origin": row["origin"]}
    return _take(row, names) | origin | {"window_end": iso(row["interval_end"])}
