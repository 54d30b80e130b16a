"""Columns and names that several tables share."""

from ..table import Column, Type

CHANNELS = ("generation", "load", "charge", "discharge", "import", "export", "state_of_charge")
ENERGY_CHANNELS = CHANNELS[:6]

ZONE = Column("zone", Type.TEXT, "Market area.")
METER = Column("meter_id", Type.TEXT, "Meter.")
RECEIVED = Column("received_at", Type.TIMESTAMP, "When the message behind the row was received.", "UTC")
MESSAGE = Column("message_id", Type.TEXT, "Raw message behind the row (raw.messages).")
START = Column("interval_start", Type.TIMESTAMP, "Start of the interval, which it is named by.", "UTC")
VEE_FLAGS = Column(
    "quality_flags",
    Type.INTEGER,
    "Quality after validation: 1 valid, 2 manually edited, 4 estimated by reference day, 8 interpolated, 16 questionable, 32 derived, 64 projected.",
    "IEEE 2030.5 qualityFlags bits",
)
