"""What messages said: reading types, readings, telemetry, and what became of every message."""

from ..table import Column, Table, Type
from .common import MESSAGE, METER, RECEIVED, START, VEE_FLAGS, ZONE

READING_TYPES = Table(
    schema="core",
    name="reading_types",
    comment="What each device declared about its mirror meter readings, versioned by the time of the declaration.",
    columns=(
        Column("device_lfdi", Type.TEXT, "Device that declared it."),
        Column("mmr_mrid", Type.TEXT, "mRID of the MirrorMeterReading: 32 upper-case hex digits, left-padded."),
        RECEIVED,
        MESSAGE,
        Column(
            "mup_mrid",
            Type.TEXT,
            "mRID of the MirrorUsagePoint it came in; null where it came in a bare MirrorMeterReading.",
            nullable=True,
        ),
        Column("description", Type.TEXT, "Description of the MirrorMeterReading, as sent.", nullable=True),
        Column("role_flags", Type.INTEGER, "roleFlags of the MirrorUsagePoint.", "IEEE 2030.5 RoleFlags bits", nullable=True),
        Column(
            "accumulation_behaviour",
            Type.INTEGER,
            "4 delta, 9 summation, 3 cumulative, 12 instantaneous.",
            "IEEE 2030.5 code",
            nullable=True,
        ),
        Column("commodity", Type.INTEGER, "1 electricity secondary metered.", "IEEE 2030.5 code", nullable=True),
        Column("data_qualifier", Type.INTEGER, "12 normal, 2 average.", "IEEE 2030.5 code", nullable=True),
        Column(
            "flow_direction", Type.INTEGER, "1 delivered to the customer, 19 received from it.", "IEEE 2030.5 code", nullable=True
        ),
        Column("interval_length_s", Type.INTEGER, "Declared interval length.", "s", nullable=True),
        Column("kind", Type.INTEGER, "12 energy, 37 power.", "IEEE 2030.5 code", nullable=True),
        Column("power_of_ten", Type.INTEGER, "powerOfTenMultiplier: real value is value x 10^this.", nullable=True),
        Column("uom", Type.INTEGER, "72 Wh, 38 W, 29 V.", "IEEE 2030.5 code", nullable=True),
        Column("phase", Type.INTEGER, "0 none, 40 C, 64 B, 128 A, 224 ABC and others.", "IEEE 2030.5 code", nullable=True),
        Column(
            "calorific_value", Type.BIGINT, "calorificValue, value part.", "10^calorific_power_of_ten of its unit", nullable=True
        ),
        Column("calorific_power_of_ten", Type.INTEGER, "calorificValue, multiplier.", nullable=True),
        Column("calorific_unit", Type.INTEGER, "calorificValue, unit.", "IEEE 2030.5 UomType", nullable=True),
        Column(
            "conversion_value",
            Type.BIGINT,
            "conversionFactor, value part.",
            "10^conversion_power_of_ten of its unit",
            nullable=True,
        ),
        Column("conversion_power_of_ten", Type.INTEGER, "conversionFactor, multiplier.", nullable=True),
        Column("conversion_unit", Type.INTEGER, "conversionFactor, unit.", "IEEE 2030.5 UomType", nullable=True),
        Column("sub_interval_length_s", Type.INTEGER, "Length of the parts a demand is averaged over.", "s", nullable=True),
        Column("supply_limit", Type.BIGINT, "supplyLimit: value at which supply is cut off.", "as the readings", nullable=True),
        Column("tiered_consumption_blocks", Type.BOOLEAN, "Whether consumption blocks are of each tariff tier.", nullable=True),
        Column("consumption_blocks", Type.INTEGER, "numberOfConsumptionBlocks.", "count", nullable=True),
        Column("tou_tiers", Type.INTEGER, "numberOfTouTiers.", "count", nullable=True),
        Column("max_intervals", Type.INTEGER, "maxNumberOfIntervals: intervals the device keeps.", "count", nullable=True),
        Column("channel", Type.TEXT, "Channel it was recognised as; null where it is telemetry or unknown.", nullable=True),
    ),
    key=("device_lfdi", "mmr_mrid", "message_id"),
    window="received_at",
)

READINGS = Table(
    schema="core",
    name="readings",
    comment="Accepted readings: one row for each meter, channel and interval, and a new version where a later message says otherwise.",
    columns=(
        ZONE,
        METER,
        Column("device_lfdi", Type.TEXT, "Device that sent it."),
        Column("channel", Type.TEXT, "generation, load, charge, discharge, import, export or state_of_charge."),
        START,
        Column("duration_s", Type.INTEGER, "Length of the interval, from the data.", "s"),
        Column("energy_wh", Type.ENERGY, "Energy of the interval; null for state_of_charge.", "Wh", nullable=True),
        Column("register_wh", Type.ENERGY, "Cumulative register at the end of the interval.", "Wh", nullable=True),
        Column(
            "state_of_charge_pct",
            Type.PERCENT,
            "State of charge at the end of the interval; only on that channel.",
            "%",
            nullable=True,
        ),
        VEE_FLAGS,
        Column(
            "device_quality_flags",
            Type.INTEGER,
            "Quality flags as the device sent them; null where it sent none.",
            "IEEE 2030.5 qualityFlags bits",
            nullable=True,
        ),
        Column(
            "version",
            Type.INTEGER,
            "1 for the first value received, one more for each different value received later.",
            "count from 1",
        ),
        Column(
            "parts", Type.INTEGER, "Wire readings merged into this row: an interval value, a register value or both.", "count"
        ),
        MESSAGE,
        RECEIVED,
        Column(
            "findings",
            Type.TEXT,
            "Codes of what validation found at receipt without refusing the reading, sorted, joined by commas "
            "(gridtokenx_pipeline.domain.findings); null for none.",
            nullable=True,
        ),
    ),
    key=("meter_id", "channel", "interval_start", "duration_s", "version"),
    window="received_at",
)

REJECTED_READINGS = Table(
    schema="core",
    name="rejected_readings",
    comment="Readings that were well-formed but not believed, with the reason and the message they came in.",
    columns=(
        MESSAGE,
        ZONE,
        METER,
        Column("channel", Type.TEXT, "Channel, where it was recognised.", nullable=True),
        Column("interval_start", Type.TIMESTAMP, "Start of its interval, where it had one.", "UTC", nullable=True),
        Column("reason", Type.TEXT, "Reason code (gridtokenx_pipeline.domain.reasons)."),
        Column("detail", Type.TEXT, "The offending value and the bound it broke."),
        Column("mmr_mrid", Type.TEXT, "mRID of the MirrorMeterReading it came in.", nullable=True),
        Column(
            "position", Type.INTEGER, "Position of the wire reading in its message (the first, where parts is 2).", "count from 0"
        ),
        Column("parts", Type.INTEGER, "Wire readings in this row.", "count"),
        RECEIVED,
    ),
    key=("message_id", "position"),
    window="received_at",
)

TELEMETRY = Table(
    schema="core",
    name="telemetry",
    comment="Readings that are not settled energy: power, voltage, frequency and the like.",
    columns=(
        MESSAGE,
        ZONE,
        METER,
        Column("position", Type.INTEGER, "Position of the wire reading in its message.", "count from 0"),
        Column("measured_at", Type.TIMESTAMP, "Start of the reading's time period.", "UTC"),
        Column("duration_s", Type.INTEGER, "Length of the time period; 0 for an instantaneous value.", "s"),
        Column("uom", Type.INTEGER, "Unit: 38 W, 29 V, 33 Hz.", "IEEE 2030.5 code"),
        Column("kind", Type.INTEGER, "Kind of the reading.", "IEEE 2030.5 code", nullable=True),
        Column("flow_direction", Type.INTEGER, "Flow direction.", "IEEE 2030.5 code", nullable=True),
        Column("power_of_ten", Type.INTEGER, "Real value is value x 10^this."),
        Column("value", Type.BIGINT, "Value as sent.", "uom x 10^power_of_ten"),
        RECEIVED,
    ),
    key=("message_id", "position"),
    window="received_at",
)

MESSAGE_OUTCOMES = Table(
    schema="core",
    name="message_outcomes",
    comment="What became of every message: readings_total = accepted + rejected + telemetry, and a message without readings counts too.",
    columns=(
        MESSAGE,
        ZONE,
        METER,
        Column(
            "document", Type.TEXT, "Local name of the document's root element; null where it could not be parsed.", nullable=True
        ),
        Column("readings_total", Type.INTEGER, "Wire readings in the message.", "count"),
        Column("accepted", Type.INTEGER, "Wire readings in core.readings (sum of parts).", "count"),
        Column("rejected", Type.INTEGER, "Wire readings in core.rejected_readings (sum of parts).", "count"),
        Column("telemetry", Type.INTEGER, "Wire readings in core.telemetry.", "count"),
        RECEIVED,
    ),
    key=("message_id",),
    window="received_at",
)

TABLES = (READING_TYPES, READINGS, REJECTED_READINGS, TELEMETRY, MESSAGE_OUTCOMES)
