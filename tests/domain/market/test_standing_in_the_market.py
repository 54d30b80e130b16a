"""What devices put may be as strange as it likes: every interval is cleared, and agreements apply where the tariffs allow them."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from p2p_history import DEVICES, METERS, STEP_S, at, document, history

from gridtokenx_pipeline.domain.market import POSITIONS, Tariff, clear
from gridtokenx_pipeline.domain.market.agreements import fold_agreements, standing_agreements
from gridtokenx_pipeline.domain.market.offers import fold_offers, standing_offers
from gridtokenx_pipeline.domain.market.tariffs import Period, Plan, bands, tariff_frame

FLAT = Tariff(80_000, 280_000)
PLAN = Plan(
    "tou",
    dt.date(2026, 1, 1),
    None,
    (
        Period("low", 80_000, 280_000, end_min=120),
        Period("peak", 160_000, 400_000, start_min=120, end_min=180),
        Period("low", 80_000, 280_000, start_min=180),
    ),
)
MOST, HIGHEST = (2**48 - 1) * 1000, 2**63 - 1


def position(meter: str, minutes: int, net: int) -> dict:
    return {
        **dict.fromkeys(POSITIONS, 0), "zone": "stanford", "meter_id": meter, "interval_start": at(minutes), "duration_s": STEP_S,
        "generation_wh": max(net, 0), "load_wh": max(-net, 0), "net_wh": net, "complete": True, "reason": None,
    }  # fmt: skip


@pytest.mark.parametrize("mechanism", ["sdr_bilateral", "mmr", "double_auction"])
def test_the_widest_limits_a_device_may_send_stop_no_interval(mechanism):
    documents = history(
        document(1, "M1", "/p2p/agr/S", energy_limit_milli_wh=MOST),
        document(2, "M2", "/p2p/agr/B", side="buyer", energy_limit_milli_wh=MOST),
        document(3, "M1", "/p2p/agr/X", counterparty_lfdi=None),
        document(1, "M1", "/p2p/offer/A", price_micro_per_kwh=HIGHEST, energy_limit_milli_wh=MOST),
        document(1, "M1", "/p2p/offer/B", price_micro_per_kwh=-HIGHEST),
        document(1, "M2", "/p2p/offer/C", side="buy", price_micro_per_kwh=HIGHEST),
        document(1, "M3", "/p2p/offer/D", side="buy", price_micro_per_kwh=-HIGHEST),
        document(1, "FEEDER", "/p2p/offer/E"),
    )
    nets = {"M1": 1000, "M2": -700, "M3": -500}
    rows = [position(meter, 5 * n, net) for n in range(48) for meter, net in nets.items()]
    positions = pl.DataFrame(rows, schema=POSITIONS, orient="row")
    tariffs = tariff_frame(positions["interval_start"], [PLAN], FLAT, "UTC", STEP_S)
    agreements = fold_agreements(documents, DEVICES, "stanford", [], METERS, bands([PLAN], FLAT, "UTC"), STEP_S)
    cleared = clear(
        positions, tariffs, closed_before=at(9999), mechanism=mechanism, meters=METERS,
        agreements=standing_agreements(agreements, tariffs, STEP_S),
        offers=standing_offers(fold_offers(documents, "stanford", METERS, STEP_S)),
    )  # fmt: skip
    agreed = cleared.trades.filter(pl.col("kind") == "agreement")
    # Not in the first interval, which starts before it was made, and not in the twelve of the peak.
    assert agreed.select("interval_start").rows() == [(at(5 * n),) for n in range(1, 48) if not 24 <= n < 36]
    assert agreed.select("energy_wh", "agreement_id").unique().rows() == [
        (700, agreements.filter(pl.col("state") == "in_force")["agreement_id"][0])
    ]
    assert cleared.intervals.height == 48
