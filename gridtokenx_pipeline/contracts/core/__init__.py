"""Readings and energy: parsed, validated, estimated, edited and aggregated."""

from . import documents, energy, meters, readings, vee
from .common import CHANNELS, ENERGY_CHANNELS
from .documents import DER_DOCUMENTS, FLOW_RESERVATIONS, LOG_EVENTS, P2P_DOCUMENTS, RESPONSES
from .energy import ENERGY_1D, ENERGY_1H, ENERGY_5MIN, ENERGY_15MIN, ENERGY_15S, LEVELS, REVISIONS
from .meters import METERS
from .readings import MESSAGE_OUTCOMES, READING_TYPES, READINGS, REJECTED_READINGS, TELEMETRY
from .vee import EDITS, ESTIMATES, METER_HOURS, VEE_EXCEPTIONS

TABLES = (*meters.TABLES, *readings.TABLES, *documents.TABLES, *vee.TABLES, *energy.TABLES)

__all__ = [
    "CHANNELS",
    "DER_DOCUMENTS",
    "EDITS",
    "ENERGY_1D",
    "ENERGY_1H",
    "ENERGY_5MIN",
    "ENERGY_15MIN",
    "ENERGY_15S",
    "ENERGY_CHANNELS",
    "ESTIMATES",
    "FLOW_RESERVATIONS",
    "LEVELS",
    "LOG_EVENTS",
    "MESSAGE_OUTCOMES",
    "METERS",
    "METER_HOURS",
    "P2P_DOCUMENTS",
    "READINGS",
    "READING_TYPES",
    "REJECTED_READINGS",
    "RESPONSES",
    "REVISIONS",
    "TABLES",
    "TELEMETRY",
    "VEE_EXCEPTIONS",
]
