"""Validation, estimation and editing of intervals: what was found, what was put in the place of what is missing, who changed what."""

from ..table import Column, Table, Type
from .common import METER, START, VEE_FLAGS, ZONE

_CHANNEL = Column("channel", Type.TEXT, "Channel; `all` where it is of all channels of the meter.")
_LENGTH = Column("duration_s", Type.INTEGER, "Length of the interval.", "s")

VEE_EXCEPTIONS = Table(
    schema="core",
    name="vee_exceptions",
    comment=(
        "What the checks of accepted readings found, by the event hour: nothing here was refused. A finding that lasts longer than an "
        "hour has a row in each hour."
    ),
    columns=(
        ZONE,
        Column("meter_id", Type.TEXT, "Meter; the zone's name where it is of the whole campus."),
        _CHANNEL,
        Column("interval_start", Type.TIMESTAMP, "Start of the time it is about, within one hour.", "UTC"),
        Column("duration_s", Type.INTEGER, "Length of the time it is about.", "s"),
        Column("code", Type.TEXT, "Code of the finding (gridtokenx_pipeline.domain.findings)."),
        Column("severity", Type.TEXT, "information, warning or error."),
        Column(
            "quality_flags",
            Type.INTEGER,
            "Bits it sets on the energy of that time and channel; 16 also takes away 1 (valid).",
            "IEEE 2030.5 qualityFlags bits",
        ),
        Column("detail", Type.TEXT, "What was measured, and the bound."),
    ),
    key=("meter_id", "channel", "interval_start", "duration_s", "code"),
    window="interval_start",
)

ESTIMATES = Table(
    schema="core",
    name="estimates",
    comment=(
        "Energy that was not measured, or that the register corrects: one row for each missing or overruled interval of a closed hour. "
        "When the reading comes, its estimate goes."
    ),
    columns=(
        ZONE,
        METER,
        Column("channel", Type.TEXT, "Energy channel."),
        START,
        _LENGTH,
        Column("energy_wh", Type.ENERGY, "Estimated energy of the interval.", "Wh"),
        Column(
            "register_wh", Type.ENERGY, "Register at the end of the interval, where registers bound the gap.", "Wh", nullable=True
        ),
        Column(
            "method",
            Type.TEXT,
            "register_exact (the registers around the gap give its energy), register_wins (a reading's own register overrules its "
            "interval value), interpolated (linear between its neighbours) or like_day (mean of like days).",
        ),
        VEE_FLAGS,
        Column("usable", Type.BOOLEAN, "Whether settlement may use it: the gap is no longer than vee.settlement_gap_s."),
        Column("gap_start", Type.TIMESTAMP, "Start of the gap it is part of.", "UTC"),
        Column("gap_end", Type.TIMESTAMP, "End of the gap it is part of.", "UTC"),
    ),
    key=("meter_id", "channel", "interval_start", "duration_s"),
    window="interval_start",
)

EDITS = Table(
    schema="core",
    name="edits",
    comment="Manual corrections of readings: who, why, what before and after. Append-only; the last edit of an interval counts.",
    columns=(
        Column("edit_id", Type.TEXT, "Derived from the interval and the moment of the edit."),
        ZONE,
        METER,
        Column("channel", Type.TEXT, "Energy channel."),
        START,
        _LENGTH,
        Column(
            "action",
            Type.TEXT,
            "replace (energy_wh counts instead), accept (the value stands, approved by a person) or revert (earlier edits no longer count).",
        ),
        Column("energy_wh", Type.ENERGY, "Energy that counts after the edit; null for revert.", "Wh", nullable=True),
        Column("before_energy_wh", Type.ENERGY, "Energy that counted before; null where none did.", "Wh", nullable=True),
        Column(
            "before_quality_flags",
            Type.INTEGER,
            "Quality flags that counted before; null where nothing did.",
            "IEEE 2030.5 qualityFlags bits",
            nullable=True,
        ),
        Column("before_version", Type.INTEGER, "Version of the reading that counted before.", "count from 1", nullable=True),
        Column("edited_by", Type.TEXT, "Who."),
        Column("reason", Type.TEXT, "Why."),
        Column("edited_at", Type.TIMESTAMP, "When.", "UTC"),
    ),
    key=("edit_id",),
    window="interval_start",
)

METER_HOURS = Table(
    schema="core",
    name="meter_hours",
    comment="How every meter did in an event hour: completeness, lateness and the drift of its clock.",
    columns=(
        ZONE,
        METER,
        Column("interval_start", Type.TIMESTAMP, "Start of the hour.", "UTC"),
        Column("readings_expected", Type.INTEGER, "Meter intervals that fit in the hour (or in its closed part).", "count"),
        Column("readings_present", Type.INTEGER, "Meter intervals present with generation, load, charge and discharge.", "count"),
        Column("readings_estimated", Type.INTEGER, "Meter intervals completed by estimates that settlement may use.", "count"),
        Column("readings_edited", Type.INTEGER, "Readings with an edit in force.", "count"),
        Column("readings_late", Type.INTEGER, "Readings received after their interval had closed.", "count"),
        Column("readings_rejected", Type.INTEGER, "Wire readings of the hour that were refused.", "count"),
        Column("exceptions", Type.INTEGER, "Rows of core.vee_exceptions.", "count"),
        Column(
            "clock_offset_ms",
            Type.BIGINT,
            "Median of receipt less end of interval; the drift of the meter's clock and the time of the transport.",
            "ms",
            nullable=True,
        ),
        Column("clock_offset_least_ms", Type.BIGINT, "Least of receipt less end of interval.", "ms", nullable=True),
    ),
    key=("meter_id", "interval_start"),
    window="interval_start",
)

TABLES = (VEE_EXCEPTIONS, ESTIMATES, EDITS, METER_HOURS)
