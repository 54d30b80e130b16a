"""Readings and energy: parsed, validated and aggregated."""

from .table import Column, Table, Type

CHANNELS = ("generation", "load", "charge", "discharge", "import", "export", "state_of_charge")
ENERGY_CHANNELS = CHANNELS[:6]

_ZONE = Column("zone", Type.TEXT, "Market area.")
_METER = Column("meter_id", Type.TEXT, "Meter.")
_RECEIVED = Column("received_at", Type.TIMESTAMP, "When the message behind the row was received.", "UTC")
_MESSAGE = Column("message_id", Type.TEXT, "Raw message behind the row (raw.messages).")
_START = Column("interval_start", Type.TIMESTAMP, "Start of the interval, which it is named by.", "UTC")
_VEE_FLAGS = Column(
    "quality_flags",
    Type.INTEGER,
    "Quality after validation: 1 valid, 2 manually edited, 4 estimated by reference day, 8 interpolated, 16 questionable, 32 derived, 64 projected.",
    "IEEE 2030.5 qualityFlags bits",
)

READING_TYPES = Table(
    schema="core",
    name="reading_types",
    comment="What each device declared about its mirror meter readings, versioned by the time of the declaration.",
    columns=(
        Column("device_lfdi", Type.TEXT, "Device that declared it."),
        Column("mmr_mrid", Type.TEXT, "mRID of the MirrorMeterReading: 32 upper-case hex digits, left-padded."),
        _RECEIVED,
        _MESSAGE,
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
        _ZONE,
        _METER,
        Column("device_lfdi", Type.TEXT, "Device that sent it."),
        Column("channel", Type.TEXT, "generation, load, charge, discharge, import, export or state_of_charge."),
        _START,
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
        _VEE_FLAGS,
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
        _MESSAGE,
        _RECEIVED,
    ),
    key=("meter_id", "channel", "interval_start", "duration_s", "version"),
    window="received_at",
)

REJECTED_READINGS = Table(
    schema="core",
    name="rejected_readings",
    comment="Readings that were well-formed but not believed, with the reason and the message they came in.",
    columns=(
        _MESSAGE,
        _ZONE,
        _METER,
        Column("channel", Type.TEXT, "Channel, where it was recognised.", nullable=True),
        Column("interval_start", Type.TIMESTAMP, "Start of its interval, where it had one.", "UTC", nullable=True),
        Column("reason", Type.TEXT, "Reason code (gridtokenx_pipeline.domain.reasons)."),
        Column("detail", Type.TEXT, "The offending value and the bound it broke."),
        Column("mmr_mrid", Type.TEXT, "mRID of the MirrorMeterReading it came in.", nullable=True),
        Column(
            "position", Type.INTEGER, "Position of the wire reading in its message (the first, where parts is 2).", "count from 0"
        ),
        Column("parts", Type.INTEGER, "Wire readings in this row.", "count"),
        _RECEIVED,
    ),
    key=("message_id", "position"),
    window="received_at",
)

TELEMETRY = Table(
    schema="core",
    name="telemetry",
    comment="Readings that are not settled energy: power, voltage, frequency and the like.",
    columns=(
        _MESSAGE,
        _ZONE,
        _METER,
        Column("position", Type.INTEGER, "Position of the wire reading in its message.", "count from 0"),
        Column("measured_at", Type.TIMESTAMP, "Start of the reading's time period.", "UTC"),
        Column("duration_s", Type.INTEGER, "Length of the time period; 0 for an instantaneous value.", "s"),
        Column("uom", Type.INTEGER, "Unit: 38 W, 29 V, 33 Hz.", "IEEE 2030.5 code"),
        Column("kind", Type.INTEGER, "Kind of the reading.", "IEEE 2030.5 code", nullable=True),
        Column("flow_direction", Type.INTEGER, "Flow direction.", "IEEE 2030.5 code", nullable=True),
        Column("power_of_ten", Type.INTEGER, "Real value is value x 10^this."),
        Column("value", Type.BIGINT, "Value as sent.", "uom x 10^power_of_ten"),
        _RECEIVED,
    ),
    key=("message_id", "position"),
    window="received_at",
)

MESSAGE_OUTCOMES = Table(
    schema="core",
    name="message_outcomes",
    comment="What became of every message: readings_total = accepted + rejected + telemetry, and a message without readings counts too.",
    columns=(
        _MESSAGE,
        _ZONE,
        _METER,
        Column(
            "document", Type.TEXT, "Local name of the document's root element; null where it could not be parsed.", nullable=True
        ),
        Column("readings_total", Type.INTEGER, "Wire readings in the message.", "count"),
        Column("accepted", Type.INTEGER, "Wire readings in core.readings (sum of parts).", "count"),
        Column("rejected", Type.INTEGER, "Wire readings in core.rejected_readings (sum of parts).", "count"),
        Column("telemetry", Type.INTEGER, "Wire readings in core.telemetry.", "count"),
        _RECEIVED,
    ),
    key=("message_id",),
    window="received_at",
)


METERS = Table(
    schema="core",
    name="meters",
    comment="The meters of the configuration and the devices that stand for them.",
    columns=(
        _ZONE,
        _METER,
        Column("building", Type.TEXT, "Building."),
        Column("building_type", Type.TEXT, "academic, residential, administrative, athletic, research or support."),
        Column("rated_kw", Type.INTEGER, "Rated power of the generation.", "kW"),
        Column("battery_kwh", Type.INTEGER, "Capacity of the battery.", "kWh"),
        Column("baseline_kw", Type.INTEGER, "Baseline load.", "kW"),
        Column(
            "device_lfdi",
            Type.TEXT,
            "LFDI of the device that stands for the meter now; null where none is registered.",
            nullable=True,
        ),
        Column("device_status", Type.TEXT, "active, suspended or revoked.", nullable=True),
    ),
    key=("meter_id",),
    window=None,
)


def _energy_table(name: str, length: str, extra: tuple[Column, ...] = ()) -> Table:
    """`core.energy_*`: the same columns at another interval length."""
    energies = tuple(
        Column(f"{channel}_wh", Type.ENERGY, f"{text} in the interval.", "Wh", nullable=True)
        for channel, text in (
            ("generation", "Energy generated"),
            ("load", "Energy consumed by the building"),
            ("charge", "Energy into the battery, at its AC terminals"),
            ("discharge", "Energy out of the battery, at its AC terminals"),
            ("import", "Energy taken from the network"),
            ("export", "Energy given to the network"),
        )
    )
    registers = tuple(
        Column(
            f"{channel}_register_wh",
            Type.ENERGY,
            f"Cumulative {channel} register at the end of the interval.",
            "Wh",
            nullable=True,
        )
        for channel in ENERGY_CHANNELS
    )
    return Table(
        schema="core",
        name=name,
        comment=f"Energy of every meter in intervals of {length}, from the latest version of each reading. A null energy was not measured.",
        columns=(
            _ZONE,
            _METER,
            _START,
            Column("duration_s", Type.INTEGER, "Length of the interval.", "s"),
            *energies,
            *registers,
            Column("state_of_charge_pct", Type.PERCENT, "State of charge at the end of the interval.", "%", nullable=True),
            Column("readings_expected", Type.INTEGER, "Meter intervals that fit in this interval.", "count"),
            Column(
                "readings_present", Type.INTEGER, "Meter intervals present with generation, load, charge and discharge.", "count"
            ),
            _VEE_FLAGS,
            Column("version", Type.INTEGER, "Highest reading version in the interval.", "count from 1"),
            *extra,
        ),
        key=("meter_id", "interval_start"),
        window="interval_start",
    )


ENERGY_15S = _energy_table("energy_15s", "15 s")
ENERGY_5MIN = _energy_table("energy_5min", "5 min")
ENERGY_15MIN = _energy_table("energy_15min", "15 min")

TABLES = (METERS, READING_TYPES, READINGS, REJECTED_READINGS, TELEMETRY, MESSAGE_OUTCOMES, ENERGY_15S, ENERGY_5MIN, ENERGY_15MIN)
