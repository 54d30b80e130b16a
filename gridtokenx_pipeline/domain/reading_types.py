"""Declared reading types: texts of documents to the rows of core.reading_types."""

from __future__ import annotations

import polars as pl

from gridtokenx_pipeline.contracts.core import READING_TYPES
from gridtokenx_pipeline.domain.channels import resolve_channel

_INT32_MAX, _INT64_MAX = 2**31 - 1, 2**63 - 1
_COLUMNS = {
    "accumulation_behaviour": "accumulationBehaviour",
    "commodity": "commodity",
    "data_qualifier": "dataQualifier",
    "flow_direction": "flowDirection",
    "interval_length_s": "intervalLength",
    "kind": "kind",
    "power_of_ten": "powerOfTenMultiplier",
    "uom": "uom",
    "phase": "phase",
    "calorific_value": "calorificValue value",
    "calorific_power_of_ten": "calorificValue multiplier",
    "calorific_unit": "calorificValue unit",
    "conversion_value": "conversionFactor value",
    "conversion_power_of_ten": "conversionFactor multiplier",
    "conversion_unit": "conversionFactor unit",
    "sub_interval_length_s": "subIntervalLength",
    "supply_limit": "supplyLimit",
    "consumption_blocks": "numberOfConsumptionBlocks",
    "tou_tiers": "numberOfTouTiers",
    "max_intervals": "maxNumberOfIntervals",
}
_CHANNEL_BY = ("description", "role_flags", "flow_direction", "uom", "kind", "accumulation_behaviour")


def normal_mrid(text: pl.Expr) -> pl.Expr:
    """An mRID at full width: 32 upper-case digits. Some clients drop leading zero bytes."""
    return text.str.to_uppercase().str.pad_start(32, "0")


def reading_types(texts: pl.DataFrame, headers: pl.DataFrame) -> pl.DataFrame:
    """Make core.reading_types of a frame of `documents.TYPE_ROWS`; `headers` has device_lfdi, received_at and message_id of each
    message, in the row that is its number. A code that is missing, no number or too large for any code is null. A type declared
    twice in one message counts as declared last.
    """
    if texts.is_empty():
        return READING_TYPES.empty()
    schema = READING_TYPES.frame_schema()
    typed = texts.with_columns(normal_mrid(pl.col("mrid")).alias("mmr_mrid")).select(
        "message",
        "order",
        "mmr_mrid",
        normal_mrid(pl.col("mup_mrid")).alias("mup_mrid"),
        "description",
        _within(pl.col("roleFlags").str.to_integer(base=16, dtype=pl.Int64, strict=False), _INT32_MAX)
        .cast(pl.Int32)
        .alias("role_flags"),
        *(
            _within(pl.col(text).cast(pl.Int64, strict=False), _INT64_MAX if schema[name] == pl.Int64 else _INT32_MAX)
            .cast(schema[name])
            .alias(name)
            for name, text in _COLUMNS.items()
        ),
        pl.col("tieredConsumptionBlocks")
        .replace_strict({"true": True, "1": True, "false": False, "0": False}, default=None, return_dtype=pl.Boolean)
        .alias("tiered_consumption_blocks"),
    )
    last = typed.sort("message", "order").unique(["message", "mmr_mrid"], keep="last", maintain_order=True)
    # Few kinds of declaration are met, however many devices declare them.
    kinds = last.select(_CHANNEL_BY).unique(maintain_order=True)
    channels = pl.Series("channel", [resolve_channel(*kind) for kind in kinds.iter_rows()], pl.String)
    last = last.join(kinds.with_columns(channels), on=_CHANNEL_BY, how="left", nulls_equal=True, maintain_order="left")
    owners = headers[last["message"]].select("device_lfdi", "received_at", "message_id")
    return READING_TYPES.conform(pl.concat([owners, last.drop("message", "order")], how="horizontal"))


def _within(number: pl.Expr, most: int) -> pl.Expr:
    return pl.when(number.is_between(-most, most)).then(number)
