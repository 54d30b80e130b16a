"""What three meters ask of the chain in many intervals, and what the chain must hold once each was done once."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections import Counter
from typing import Any

from gridtokenx_pipeline.domain.ids import iso
from gridtokenx_pipeline.solana.actions import Action

SECONDS = 300
SELLER, BUYER, OTHER = "AMI_METER_STANFORD_ENG_001", "AMI_METER_STANFORD_PHYS_001", "AMI_METER_STANFORD_CHEM_001"
METERS = (SELLER, BUYER, OTHER)
POISON = 0.01
IMPLAUSIBLE_WH = 4_000_000_000


class DrillCampus:
    """`intervals` are lists of actions, the oldest first; `poison` are states by action id.

    Of what the chain must hold, `expected` counts by (meter, what), `counted` are (meter, window) that count, and `roots` are by
    window. Every interval has readings and a root, every `trading_every`-th trades and certificates as well. Some readings are
    above the meter's limit, some trades do not come to their amount or are of GRID that the seller has not, and some certificates
    are for more than was produced.
    """

    def __init__(self, rng: random.Random, end: dt.datetime, intervals: int, trading_every: int) -> None:
        self._rng, self._held = rng, list[tuple[str, int]]()
        self.expected: Counter[tuple[str, str]] = Counter()
        self.poison: dict[str, str] = {}
        self.counted: set[tuple[str, int]] = set()
        self.roots: dict[int, bytes] = {}
        start = end - dt.timedelta(seconds=SECONDS * intervals)
        self.intervals = [
            self._interval(number, start + dt.timedelta(seconds=SECONDS * number), number % trading_every == 0)
            for number in range(intervals)
        ]

    def _interval(self, number: int, at: dt.datetime, trading: bool) -> list[Action]:
        batch, rng, window = f"batch-{number}", self._rng, int(at.timestamp()) // SECONDS
        actions, produced = [], {}
        for meter in METERS:
            generated, used = rng.randrange(100, 1500) * (meter != BUYER), rng.randrange(50, 900)
            spoilt = rng.random() < POISON
            values = {
                "meter_id": meter,
                "produced_wh": IMPLAUSIBLE_WH if spoilt else generated,
                "consumed_wh": used,
                "version": 1,
            }
            actions.append(_action(batch, at, "submit_energy_reading", f"{meter}@{iso(at)}", **values))
            if spoilt:
                self.poison[actions[-1].action_id] = "parked"
                continue
            produced[meter] = generated
            self.counted.add((meter, window))
            self.expected.update({(meter, "produced_wh"): generated, (meter, "consumed_wh"): used, (meter, "readings"): 1})
        self.roots[window] = rng.randbytes(32)
        root = self.roots[window].hex()
        values = {"version": 1, "leaves": 3, "root": root, "memo": f"gtx1:stanford:{iso(at)}:{root}"}
        actions.append(_action(batch, at, "record_batch", batch, **values))
        if trading:
            for seller in (meter for meter in (SELLER, OTHER) if meter in produced):
                actions += self._sold(batch, at, seller, produced[seller])
            if self._held and rng.random() < 0.5:
                actions.append(self._retired(batch, at))
        return actions

    def _sold(self, batch: str, at: dt.datetime, seller: str, produced: int) -> list[Action]:
        rng, key = self._rng, f"{seller}@{iso(at)}"
        energy, price = rng.randrange(1, 100), rng.randrange(80_000, 280_000)
        amount = (energy * price + 500) // 1000
        too_dear, too_much, short = (rng.random() < 5 * POISON for _ in range(3))
        values = {"seller_meter_id": seller, "buyer_meter_id": BUYER, "energy_wh": energy, "price_micro_per_kwh": price}
        trade = _action(batch, at, "execute_trade", key, trade_id=key, amount_micro=amount + too_dear, **values)
        trades = [trade]
        if short:
            more = values | {"energy_wh": IMPLAUSIBLE_WH, "amount_micro": IMPLAUSIBLE_WH // 1000 * price}
            trades.append(_action(batch, at, "execute_trade", f"{key}:short", trade_id=f"{key}:short", **more))
            self.poison[trades[-1].action_id] = "refused"
        certified = rng.randrange(1, produced + 1)
        bundle = {"bundle_id": key, "meter_id": seller, "first_window": iso(at), "last_window": iso(at)}
        rec = _action(batch, at, "mint_rec", key, energy_wh=certified + IMPLAUSIBLE_WH * too_much, **bundle)
        self.expected.update({(seller, "grid"): energy, (seller, "grid_wh"): energy})
        if too_dear:
            self.poison[trade.action_id] = "parked"
        else:
            self.expected.update({(seller, "grid"): -energy, (BUYER, "grid"): energy})
            self.expected.update({(seller, "money"): amount, (BUYER, "money"): -amount})
        if too_much:
            self.poison[rec.action_id] = "refused"
        else:
            self.expected.update({(seller, "rec"): certified, (seller, "rec_wh"): certified})
            self._held.append((seller, certified))
        return [_action(batch, at, "mint_grid", key, meter_id=seller, energy_wh=energy), *trades, rec]

    def _retired(self, batch: str, at: dt.datetime) -> Action:
        meter, energy = self._held.pop(self._rng.randrange(len(self._held)))
        self.expected.update({(meter, "rec"): -energy, (meter, "retired_wh"): energy})
        key = f"{meter}:{batch}"
        return _action(batch, at, "retire_rec", key, retirement_id=key, meter_id=meter, energy_wh=energy, window=iso(at))


def _action(batch: str, at: dt.datetime, kind: str, key: str, **values: Any) -> Action:
    text = json.dumps({"duration_s": SECONDS} | values, sort_keys=True, separators=(",", ":"))
    return Action(f"{kind}:{key}", batch, "stanford", at, kind, key, text)
