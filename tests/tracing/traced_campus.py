"""Two meters and five minutes, from messages to the chain, made by hand: what traces are tested on.

The seller's surplus goes to the buyer, in part by an agreement. One of the buyer's readings came twice, one is missing and estimated, one
was edited after the interval had been settled, so that there is a correction.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts import Table, Type, certificates, core, market, raw, settlement
from gridtokenx_pipeline.domain import aggregate, merkle
from gridtokenx_pipeline.domain.effective import effective
from gridtokenx_pipeline.domain.ids import derived_id, iso
from gridtokenx_pipeline.domain.market import amount_micro
from gridtokenx_pipeline.domain.settlement import Memo, canonical_json
from gridtokenx_pipeline.warehouse import Replace, Warehouse

START = dt.datetime(2026, 11, 25, 18, 5, tzinfo=dt.UTC)
END = START + dt.timedelta(minutes=5)
STEP = dt.timedelta(seconds=15)
SELLER, BUYER = "AMI_METER_STANFORD_ENG_001", "AMI_METER_STANFORD_PHYS_001"
CHANNELS = ("generation", "load", "charge", "discharge")
# Milli-Wh of each 15 s, and the registers at the start.
ENERGY = {SELLER: (150_037, 60_011, 5_003, 0), BUYER: (10_001, 110_333, 0, 0)}
REGISTER = {SELLER: (9_000_777, 8_000_333, 700_999, 0), BUYER: (1_000_100, 2_000_200, 0, 0)}
TWICE, MISSING, EDITED = 3, 7, 11
MORE = 5_000
FEED_IN, RETAIL, PRICE, AGREED = 80_000, 280_000, 93_245, 150_000
ZONE = "stanford"
SIGNATURE = "5VERYLongSignatureOfTheTransactionThatCarriedTheFirstBatch"
_FILL = {
    Type.TEXT: "x",
    Type.INTEGER: 1,
    Type.BIGINT: 1,
    Type.BOOLEAN: True,
    Type.BYTES: b"x",
    Type.ENERGY: 0,
    Type.TIMESTAMP: START,
}


def frame(table: Table, *rows: dict[str, Any]) -> pl.DataFrame:
    filled = {c.frame_name: None if c.nullable else _FILL.get(c.type) for c in table.columns}
    odd = {name for row in rows for name in row} - set(filled)
    assert not odd, odd
    return pl.DataFrame([filled | row for row in rows], schema=table.frame_schema(), orient="row")


def mrid(meter: str, channel: str, kind: str) -> str:
    return hashlib.sha256(f"{meter} {channel} {kind}".encode()).hexdigest()[:32].upper()


def lfdi(meter: str) -> str:
    return hashlib.sha256(meter.encode()).hexdigest()[:40].upper()


def message_id(meter: str, number: int) -> str:
    return f"2026112518-{'a' if meter == SELLER else 'b'}{number:03d}-000000001"


class Readings:
    """Messages and the readings in them."""

    def __init__(self) -> None:
        self.messages: list[dict] = []
        self.readings: list[dict] = []

    def post(self, meter: str, step: int, number: int, received: dt.datetime, more: int = 0, version: int = 1) -> None:
        start, parts = START + step * STEP, []
        for channel, each, register in zip(CHANNELS, ENERGY[meter], REGISTER[meter], strict=True):
            energy = each + (more if channel == "load" else 0)
            at_end = register + each * (step + 1)
            for kind, value, length, moment in (("interval", energy, 15, start), ("register", at_end, 0, start + STEP)):
                time = f"<timePeriod><duration>{length}</duration><start>{int(moment.timestamp())}</start></timePeriod>"
                reading = f"<Reading>{time}<value>{value}</value></Reading>"
                parts.append(f"<MirrorMeterReading><mRID>{mrid(meter, channel, kind)}</mRID>{reading}</MirrorMeterReading>")
            self.readings.append(
                {
                    "zone": ZONE, "meter_id": meter, "device_lfdi": lfdi(meter), "channel": channel, "interval_start": start, "duration_s": 15,
                    "energy_milli_wh": energy, "register_milli_wh": at_end, "quality_flags": 1, "version": version, "parts": 2,
                    "message_id": message_id(meter, number), "received_at": received,
                }
            )  # fmt: skip
        body = f'<MirrorMeterReadingList xmlns="urn:ieee:std:2030.5:ns" all="8" results="8">{"".join(parts)}</MirrorMeterReadingList>'
        self.add(meter, number, received, body.encode())

    def add(self, meter: str, number: int, received: dt.datetime, body: bytes, path: str = "/mup/1") -> None:
        self.messages.append(
            {
                "message_id": message_id(meter, number), "received_at": received, "zone": ZONE, "device_lfdi": lfdi(meter), "meter_id": meter,
                "method": "POST", "path": path, "content_type": "application/sep+xml", "body": body, "source": "sep2",
                "body_sha256": hashlib.sha256(body).hexdigest(), "segment": "2026112518", "sequence": number,
            }
        )  # fmt: skip


class TracedCampus:
    """Makes everything; `write` puts it into a warehouse. What tests ask about are attributes."""

    def __init__(self) -> None:
        self.frames: dict[Table, pl.DataFrame] = {}
        self._energy()
        self._market()
        self._certificates()
        self._settlement()

    def write(self, directory: Path) -> None:
        with Warehouse(directory) as warehouse:
            warehouse.commit(*(Replace(table, rows) for table, rows in self.frames.items()))

    def _energy(self) -> None:
        made = Readings()
        for meter in (SELLER, BUYER):
            for step in range(20):
                if (meter, step) != (BUYER, MISSING):
                    made.post(meter, step, step, START + (step + 1) * STEP + dt.timedelta(milliseconds=1234))
        made.post(BUYER, TWICE, 50, START + dt.timedelta(minutes=3), version=2)
        for meter, number in ((SELLER, 90), (BUYER, 91)):
            made.add(
                meter,
                number,
                START - dt.timedelta(hours=3),
                b"<Agreement><status>accepted</status></Agreement>",
                "/p2p/agreements/1",
            )
        gap = START + MISSING * STEP
        estimates = [
            {
                "zone": ZONE, "meter_id": BUYER, "channel": channel, "interval_start": gap, "duration_s": 15, "energy_milli_wh": energy,
                "register_milli_wh": register + energy * (MISSING + 1), "method": "register_exact", "quality_flags": 33, "usable": True,
                "gap_start": gap, "gap_end": gap + STEP,
            }
            for channel, energy, register in zip(CHANNELS, ENERGY[BUYER], REGISTER[BUYER], strict=True)
        ]  # fmt: skip
        load = ENERGY[BUYER][1]
        self.edit_id = derived_id("edit", "e1")
        edit = {
            "edit_id": self.edit_id, "zone": ZONE, "meter_id": BUYER, "channel": "load", "interval_start": START + EDITED * STEP,
            "duration_s": 15, "action": "replace", "energy_milli_wh": load + MORE, "before_energy_milli_wh": load, "before_version": 1,
            "before_quality_flags": 1, "edited_by": "ann", "reason": "read on site", "edited_at": START + dt.timedelta(hours=2),
        }  # fmt: skip
        types = [
            {"device_lfdi": lfdi(m), "mmr_mrid": mrid(m, c, k), "received_at": START, "message_id": "t", "channel": c}
            for m in (SELLER, BUYER)
            for c in CHANNELS
            for k in ("interval", "register")
        ]
        outcomes = [
            {"message_id": m["message_id"], "zone": ZONE, "meter_id": m["meter_id"], "document": "MirrorMeterReadingList",
             "readings_total": 8, "accepted": 8, "rejected": 0, "telemetry": 0, "received_at": m["received_at"]}
            for m in made.messages if m["path"] == "/mup/1"
        ]  # fmt: skip
        self.frames |= {
            raw.MESSAGES: frame(raw.MESSAGES, *made.messages),
            core.READINGS: frame(core.READINGS, *made.readings),
            core.ESTIMATES: frame(core.ESTIMATES, *estimates),
            core.EDITS: frame(core.EDITS, edit),
            core.READING_TYPES: frame(core.READING_TYPES, *types),
            core.MESSAGE_OUTCOMES: frame(core.MESSAGE_OUTCOMES, *outcomes),
            core.METERS: frame(core.METERS, *({"zone": ZONE, "meter_id": meter} for meter in (SELLER, BUYER))),
        }
        tables = (core.READINGS, core.EDITS, core.VEE_EXCEPTIONS, core.ESTIMATES)
        levels = aggregate.levels(effective(*(self.frames.get(table, table.empty()) for table in tables)))
        self.frames |= {table: levels[table] for table in (core.ENERGY_15S, core.ENERGY_5MIN)}
        rows = {row["meter_id"]: row for row in levels[core.ENERGY_5MIN].to_dicts()}
        self.wh = {
            meter: {
                c: row[f"{c}_register_milli_wh"] // 1000 - (row[f"{c}_register_milli_wh"] - row[f"{c}_milli_wh"]) // 1000
                for c in CHANNELS
            }
            for meter, row in rows.items()
        }
        self.first_wh = (rows[SELLER]["generation_register_milli_wh"] - rows[SELLER]["generation_milli_wh"]) // 1000

    def net(self, meter: str) -> int:
        wh = self.wh[meter]
        return wh["generation"] + wh["discharge"] - wh["load"] - wh["charge"]

    def _market(self) -> None:
        sold = self.net(SELLER)
        bought_net = self.net(BUYER) + MORE // 1000  # as it was settled, before the edit
        at = {"zone": ZONE, "interval_start": START, "version": 1}
        key = (ZONE, iso(START), 1)
        self.agreement_id = derived_id("agreement", "a1")
        self.agreement_trade, self.trade = (derived_id("trade", *key, kind, SELLER, BUYER) for kind in ("agreement", "pool"))
        sides = {"seller_meter_id": SELLER, "buyer_meter_id": BUYER, "mechanism": "sdr_bilateral/1", "quality_flags": 33}
        trades = [
            {"trade_id": id_, **at, **sides, "energy_wh": wh, "price_micro_per_kwh": price, "amount_micro": amount_micro(wh, price), "kind": kind,
             "loss_wh": 0, "wheeling_micro": 0, "agreement_id": self.agreement_id if kind == "agreement" else None}
            for id_, kind, wh, price in ((self.agreement_trade, "agreement", 100, AGREED), (self.trade, "pool", sold - 100, PRICE))
        ]  # fmt: skip
        rest = bought_net + sold
        grids = {
            (SELLER, 1): (sold, sold, 0, 0, "residual"),
            (BUYER, 1): (bought_net, -sold, rest, -amount_micro(-rest, RETAIL), "residual"),
            (BUYER, 2): (-5, 0, -5, amount_micro(-rest, RETAIL) - amount_micro(5 - rest, RETAIL), "correction"),
        }
        self.grid = {k: derived_id("grid_settlement", ZONE, iso(START), k[1], k[0]) for k in grids}
        grid_rows = [
            {"grid_settlement_id": self.grid[k], **at, "version": k[1], "meter_id": k[0], "net_wh": net, "traded_wh": traded, "energy_wh": energy,
             "amount_micro": amount, "reason": reason, "quality_flags": 1}
            for k, (net, traded, energy, amount, reason) in grids.items()
        ]  # fmt: skip
        common = {"duration_s": 300, "price_micro_per_kwh": PRICE, "feed_in_micro_per_kwh": FEED_IN, "retail_micro_per_kwh": RETAIL,
                  "mechanism": "sdr_bilateral/1", "state": "settled", "currency": "USD", "tariff": "flat", "loss_wh": 0, "wheeling_micro": 0}  # fmt: skip
        intervals = [
            {
                **at,
                **common,
                "supply_wh": sold,
                "demand_wh": -bought_net,
                "traded_wh": sold,
                "capped_wh": 0,
                "meters": 2,
                "meters_grid_only": 0,
            },
            {
                **at,
                **common,
                "version": 2,
                "supply_wh": 0,
                "demand_wh": 5,
                "traded_wh": 0,
                "capped_wh": 0,
                "meters": 1,
                "meters_grid_only": 0,
            },
        ]
        agreement = {
            "agreement_id": self.agreement_id, "zone": ZONE, "seller_meter_id": SELLER, "buyer_meter_id": BUYER, "priority": 1, "max_wh": 100,
            "price_micro_per_kwh": AGREED, "valid_from": START - dt.timedelta(hours=1), "source": "p2p", "state": "in_force",
            "seller_message_id": message_id(SELLER, 90), "buyer_message_id": message_id(BUYER, 91),
        }  # fmt: skip
        self.frames |= {
            market.TRADES: frame(market.TRADES, *trades),
            market.GRID_SETTLEMENTS: frame(market.GRID_SETTLEMENTS, *grid_rows),
            market.INTERVALS: frame(market.INTERVALS, *intervals),
            market.AGREEMENTS: frame(market.AGREEMENTS, agreement),
        }

    def _certificates(self) -> None:
        wh, first = self.wh[SELLER]["generation"], self.first_wh
        self.bundle_id = derived_id("certificate_bundle", SELLER, iso(START), iso(END), "electricity")
        bundle = {
            "bundle_id": self.bundle_id, "zone": ZONE, "meter_id": SELLER, "interval_start": START, "interval_end": END, "energy_wh": wh,
            "first_wh": first, "last_wh": first + wh - 1, "carrier": "electricity", "source": "solar", "state": "issued", "owner": SELLER,
            "quality_flags": 1, "origin": "production", "version": 1,
        }  # fmt: skip
        own, moved = self.wh[SELLER]["load"], self.net(SELLER)
        spans = {
            "issued": (first, first + wh - 1, SELLER, None),
            "claimed": (first, first + own - 1, SELLER, None),
            "locked": (first + own, first + wh - moved - 1, SELLER, None),
            "transferred": (first + wh - moved, first + wh - 1, BUYER, self.trade),
        }
        self.events = {kind: derived_id("certificate_event", self.bundle_id, kind) for kind in spans}
        events = [
            {"event_id": self.events[kind], "bundle_id": self.bundle_id, "zone": ZONE, "interval_start": START, "number": n, "kind": kind,
             "energy_wh": last - low + 1, "owner": owner, "bundle_interval_start": START, "first_wh": low, "last_wh": last, "actor": "pipeline",
             "from_owner": SELLER if trade else None, "trade_id": trade, "version": 1}
            for n, (kind, (low, last, owner, trade)) in enumerate(spans.items(), 1)
        ]  # fmt: skip
        states = {"claimed": "claimed", "locked": "locked", "transferred": "active"}
        holdings = [
            {"bundle_id": self.bundle_id, "first_wh": low, "last_wh": last, "energy_wh": last - low + 1, "zone": ZONE, "meter_id": SELLER,
             "interval_start": START, "owner": owner, "state": states[kind], "events": 4}
            for kind, (low, last, owner, _) in spans.items() if kind in states
        ]  # fmt: skip
        self.frames |= {
            certificates.BUNDLES: frame(certificates.BUNDLES, bundle),
            certificates.EVENTS: frame(certificates.EVENTS, *events),
            certificates.HOLDINGS: frame(certificates.HOLDINGS, *holdings),
        }

    def _settlement(self) -> None:
        items, batches, transactions = [], [], []
        self.items: dict[tuple[str, str, int], str] = {}
        self.batches: dict[int, str] = {}
        for version in (1, 2):
            batch_id = self.batches[version] = derived_id("settlement_batch", ZONE, iso(START), version)
            leaves = sorted(self._payloads(version))
            hashes = [merkle.leaf(payload.encode()) for *_, payload in leaves]
            totals = [0, 0, 0]
            for place, (kind, key, payload) in enumerate(leaves):
                self.items[kind, key, version] = id_ = derived_id("settlement_item", batch_id, kind, key)
                items.append(
                    {"item_id": id_, "batch_id": batch_id, "zone": ZONE, "window_start": START, "leaf_index": place, "kind": kind,
                     "natural_key": key, "payload": payload, "leaf_sha256": hashes[place].hex()}
                )  # fmt: skip
            if version == 1:
                trades, bundles = self.frames[market.TRADES], self.frames[certificates.BUNDLES]
                totals = [trades["energy_wh"].sum(), trades["amount_micro"].sum(), bundles["energy_wh"].sum()]
            memo = Memo(ZONE, START, version, len(leaves), *totals, merkle.root(hashes).hex())
            names = ("traded_wh", "amount_micro", "certificate_wh")
            batches.append(
                {"batch_id": batch_id, "zone": ZONE, "window_start": START, "version": version, "items": len(leaves), "memo": memo.text(),
                 "merkle_root": memo.merkle_root, "state": "confirmed" if version == 1 else "pending", **dict(zip(names, totals, strict=True))}
            )  # fmt: skip
        transactions.append(
            {"signature": SIGNATURE, "batch_id": self.batches[1], "zone": ZONE, "window_start": START, "kind": "memo", "slot": 4711,
             "fee_lamports": 5000, "compute_units": 21_000, "state": "confirmed"}
        )  # fmt: skip
        self.frames |= {
            settlement.ITEMS: frame(settlement.ITEMS, *items),
            settlement.BATCHES: frame(settlement.BATCHES, *batches),
            settlement.TRANSACTIONS: frame(settlement.TRANSACTIONS, *transactions),
        }

    def _payloads(self, version: int) -> list[tuple[str, str, str]]:
        common = {"zone": ZONE, "window_start": iso(START), "version": version}
        made = []
        for meter in (SELLER, BUYER) if version == 1 else (BUYER,):
            wh = {f"{c}_wh": value for c, value in self.wh[meter].items()}
            if (meter, version) == (BUYER, 1):
                wh["load_wh"] -= 5
            made.append(
                ("energy_reading", meter, common | wh | {"kind": "energy_reading", "meter_id": meter, "quality_flags": 1})
            )
        for table, kind, key, names in (
            (
                market.TRADES,
                "trade",
                "trade_id",
                ("seller_meter_id", "buyer_meter_id", "energy_wh", "price_micro_per_kwh", "amount_micro"),
            ),
            (
                market.GRID_SETTLEMENTS,
                "grid_settlement",
                "grid_settlement_id",
                ("meter_id", "net_wh", "traded_wh", "energy_wh", "amount_micro"),
            ),
            (certificates.BUNDLES, "certificate", "bundle_id", ("meter_id", "energy_wh", "first_wh", "last_wh", "owner")),
        ):
            for row in self.frames[table].filter(pl.col("version") == version).to_dicts():
                made.append((kind, row[key], common | {"kind": kind} | {name: row[name] for name in (key, *names)}))
        return [(kind, key, canonical_json(payload)) for kind, key, payload in made]
