"""The suites, one for each table that is checked at hour close, in backfills and in the demo."""

from __future__ import annotations

from typing import Any

from gridtokenx_pipeline.contracts.core import CHANNELS

from .suites import Suite

_INT48 = 2**47


def _readings(gxe: Any) -> list[Any]:
    return [
        *(gxe.ExpectColumnValuesToNotBeNull(column=c) for c in ("meter_id", "channel", "interval_start", "message_id")),
        gxe.ExpectColumnValuesToBeInSet(column="channel", value_set=list(CHANNELS)),
        gxe.ExpectColumnValuesToBeBetween(column="duration_s", min_value=1, max_value=86_400),
        gxe.ExpectColumnValuesToBeBetween(column="energy_milli_wh", min_value=0, max_value=_INT48),
        gxe.ExpectColumnValuesToBeBetween(column="register_milli_wh", min_value=0, max_value=_INT48),
        gxe.ExpectColumnValuesToBeBetween(column="version", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="parts", min_value=1, max_value=2),
        gxe.ExpectColumnValuesToMatchRegex(column="device_lfdi", regex="^[0-9A-F]{40}$"),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["meter_id", "channel", "interval_start", "duration_s", "version"]),
    ]


READINGS = Suite(
    "core.readings",
    (
        "meter_id",
        "device_lfdi",
        "channel",
        "interval_start",
        "duration_s",
        "energy_milli_wh",
        "register_milli_wh",
        "version",
        "parts",
        "message_id",
    ),
    _readings,
)


def _energy(gxe: Any) -> list[Any]:
    return [
        *(gxe.ExpectColumnValuesToNotBeNull(column=c) for c in ("meter_id", "interval_start")),
        *(
            gxe.ExpectColumnValuesToBeBetween(column=f"{channel}_milli_wh", min_value=0)
            for channel in ("generation", "load", "charge", "discharge", "import", "export")
        ),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="readings_expected", column_B="readings_present", or_equal=True),
        gxe.ExpectColumnValuesToBeInSet(column="duration_s", value_set=[300]),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["meter_id", "interval_start"]),
    ]


ENERGY_5MIN = Suite(
    "core.energy_5min",
    (
        "meter_id",
        "interval_start",
        "duration_s",
        *(f"{channel}_milli_wh" for channel in ("generation", "load", "charge", "discharge", "import", "export")),
        "readings_expected",
        "readings_present",
    ),
    _energy,
)


def _trades(gxe: Any) -> list[Any]:
    return [
        gxe.ExpectColumnValuesToBeUnique(column="trade_id"),
        gxe.ExpectColumnValuesToBeBetween(column="energy_wh", min_value=1),
        gxe.ExpectColumnValuesToBeBetween(column="price_micro_per_kwh", min_value=0),
        gxe.ExpectColumnValuesToBeBetween(column="amount_micro", min_value=0),
        gxe.ExpectColumnValuesToBeInSet(column="kind", value_set=["agreement", "pool"]),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=["interval_start", "version", "kind", "seller_meter_id", "buyer_meter_id"]
        ),
    ]


TRADES = Suite(
    "market.trades",
    (
        "trade_id",
        "interval_start",
        "version",
        "seller_meter_id",
        "buyer_meter_id",
        "energy_wh",
        "price_micro_per_kwh",
        "amount_micro",
        "kind",
    ),
    _trades,
)


def _bundles(gxe: Any) -> list[Any]:
    return [
        gxe.ExpectColumnValuesToBeUnique(column="bundle_id"),
        gxe.ExpectColumnValuesToBeBetween(column="energy_wh", min_value=1),
        gxe.ExpectColumnValuesToBeInSet(column="state", value_set=["issued", "pending"]),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="last_wh", column_B="first_wh", or_equal=True),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["meter_id", "interval_start", "carrier"]),
    ]


BUNDLES = Suite(
    "certificates.bundles",
    ("bundle_id", "meter_id", "interval_start", "carrier", "energy_wh", "first_wh", "last_wh", "state"),
    _bundles,
)
