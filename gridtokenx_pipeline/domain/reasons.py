"""Why a reading is not believed: the codes of `core.rejected_readings.reason`.

The first check that fails names the reason, in the order of the codes below.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Reason codes; `meaning` says each in one line."""

    meaning: str

    def __new__(cls, code: str, meaning: str) -> Reason:
        """Keep the meaning beside the code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    MALFORMED_DOCUMENT = (
        "malformed_document",
        "The message is not a well-formed document; the row stands for the message and has no parts.",
    )
    UNKNOWN_DOCUMENT = (
        "unknown_document",
        "The root element is not of IEEE 2030.5, or the JSON of no known form; the row stands for the message and has no parts.",
    )
    BAD_VALUE = "bad_value", "The value is no whole number within Int48, or not a whole number of milli-watt-hours."
    BAD_INTERVAL = (
        "bad_interval",
        "The time period is missing, unreadable, longer than a day, or starts further from a multiple of its length than "
        "vee.clock_snap_s.",
    )
    STORAGE_IN_GENERATION = (
        "storage_in_generation",
        "The generation of a legacy reading may hold battery discharge, and nothing in it says how much.",
    )
    NOT_A_TOTAL = (
        "not_a_total",
        "The reading is the share of a consumption block or tariff tier, which is part of another reading.",
    )
    READING_TYPE_UNKNOWN = (
        "reading_type_unknown",
        "No ReadingType was declared for the MirrorMeterReading up to this message, nor within vee.late_type_s after it.",
    )
    UNKNOWN_UNIT = (
        "unknown_unit",
        "The ReadingType has no unit, a unit code outside the standard, or a multiplier outside 10^-9 to 10^9.",
    )
    UNKNOWN_CHANNEL = "unknown_channel", "Energy that neither description nor role and flow direction assign to a channel."
    UNKNOWN_METER = "unknown_meter", "The meter has no ratings in the configuration, so its energy cannot be checked."
    UNPAIRED_REGISTER = (
        "unpaired_register",
        "A register without interval energy and without a register of the same device one interval earlier.",
    )
    FUTURE = "future", "The interval ends further after the receipt than clocks may differ."
    NEGATIVE = (
        "negative",
        "Energy or register below zero, beyond the own use of an inverter: a wrong sign or CT; direction is told by the channel.",
    )
    OUT_OF_RANGE = "out_of_range", "More than the meter's ratings allow, or a state of charge outside 0 to 100 %."
    REGISTER_DECREASED = (
        "register_decreased",
        "The cumulative register is lower than the one before it, and neither a rollover nor a meter swap explains it.",
    )
    OVERRULED = (
        "overruled",
        "A reading of the legacy gateway for an interval that the meter had reported through IEEE 2030.5, which counts.",
    )
    LOWER_QUALITY = (
        "lower_quality",
        "Another value for an interval, marked by its device as estimated, questionable or projected, after one that was not; "
        "the better one stays.",
    )
    DUPLICATE = "duplicate", "The same value was accepted for the same interval before; the first stays."
