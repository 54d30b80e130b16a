"""What actions are in the deployed programs' terms: moments, ids, and the quantities of their instructions."""

from __future__ import annotations

import datetime as dt
from typing import Any

from gridtokenx_pipeline.domain.ids import iso

from ..actions import Action
from ..programs.addresses import identifier
from .guards.minting import WINDOW_S

_ID_BYTES = 16


def reading_at(action: Action) -> dt.datetime:
    """Return the moment a reading is of: when its interval was over."""
    return action.window_start + dt.timedelta(seconds=action.values["duration_s"])


def mint_window(action: Action) -> dt.datetime:
    """Return the start of the 15 minutes that a `mint_grid` is minted for.

    They are the interval itself, and of a netted period the quarter hour in which the meter last sold.
    """
    last = action.values.get("last_window") or action.values.get("first_window")
    if last is None:
        return action.window_start
    seconds = int(dt.datetime.fromisoformat(last).timestamp())
    return dt.datetime.fromtimestamp(seconds - seconds % WINDOW_S, dt.UTC)


def meter_16(meter: str) -> bytes:
    """Return the 16 bytes by which the energy token knows a meter: it takes no text."""
    return identifier("meter", meter)[:_ID_BYTES]


def certificate_id(action: Action) -> str:
    """Return the id of a `mint_rec`'s certificate: 32 characters, as many as a seed may have."""
    return identifier("bundle", action.values["bundle_id"])[:_ID_BYTES].hex()


def reading_quantities(action: Action, zone: int) -> dict[str, Any]:
    """Return what `oracle.submit_meter_reading` is told."""
    values = action.values
    return {
        "meter_id": values["meter_id"],
        "energy_produced": values["produced_wh"],
        "energy_consumed": values["consumed_wh"],
        "reading_timestamp": reading_at(action),
        "zone_id": zone,
    }


def mint_quantities(action: Action) -> dict[str, Any]:
    """Return what `energy_token.mint_generation` is told."""
    values = action.values
    return {"meter_id": meter_16(values["meter_id"]), "window_start_ms": mint_window(action), "amount": values["energy_wh"]}


def certificate_quantities(action: Action, source: str) -> dict[str, Any]:
    """Return what `governance.issue_erc` is told. What is left of a kWh is not issued: the chain never has more than is true."""
    values = action.values
    period = f"{values.get('first_window', iso(action.window_start))}/{values.get('last_window', iso(action.window_start))}"
    return {
        "certificate_id": certificate_id(action),
        "energy_amount": values["energy_wh"],
        "renewable_source": source,
        "validation_data": f"{values['bundle_id']} {period}",
    }
