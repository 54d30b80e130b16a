"""Histories of offers and agreements for the tests of their folds."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts.core import P2P_DOCUMENTS

T0 = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
STEP_S = 300
LFDI = {"M1": "A1" * 20, "M2": "B2" * 20, "M3": "C3" * 20, "FEEDER": "F0" * 20}
DEVICES = {lfdi: meter for meter, lfdi in LFDI.items()}
METERS = ["M1", "M2", "M3"]
YEAR_MIN = 365 * 24 * 60


def at(minutes: float) -> dt.datetime:
    return T0 + dt.timedelta(minutes=minutes)


def document(minutes: float, meter: str, path: str, **fields: Any) -> dict[str, Any]:
    """A put of `path` (offer or agreement by its beginning), received `minutes` after T0, with sensible terms but for `fields`."""
    offer = path.startswith("/p2p/offer")
    return {
        "zone": "stanford", "meter_id": meter, "kind": "offer" if offer else "agreement", "action": "put", "mrid": "0" * 32, "path": path,
        "side": "sell" if offer else "seller", "status": "active" if offer else "accepted",
        "counterparty_lfdi": None if offer else LFDI["M2" if meter == "M1" else "M1"], "energy_limit_milli_wh": 500_000,
        "price_micro_per_kwh": 150_000, "priority": None, "starts_at": at(-60), "ends_at": at(YEAR_MIN), "attributes": "{}",
        "received_at": at(minutes), **fields,
    }  # fmt: skip


def deletion(minutes: float, meter: str, path: str) -> dict[str, Any]:
    nothing = dict.fromkeys(
        (
            "mrid",
            "side",
            "status",
            "counterparty_lfdi",
            "energy_limit_milli_wh",
            "price_micro_per_kwh",
            "priority",
            "starts_at",
            "ends_at",
        )
    )
    return {**document(minutes, meter, path), **nothing, "action": "delete"}


def history(*documents: dict[str, Any]) -> pl.DataFrame:
    """A frame of core.p2p_documents; messages are numbered in the order given."""
    rows = [{"message_id": f"seg:{number:04d}", **row} for number, row in enumerate(documents)]
    return P2P_DOCUMENTS.conform(pl.DataFrame(rows, schema=P2P_DOCUMENTS.frame_schema(), orient="row"))
