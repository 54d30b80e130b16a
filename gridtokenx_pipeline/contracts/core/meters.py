"""The configured meters."""

from ..table import Column, Table, Type
from .common import METER, ZONE

METERS = Table(
    schema="core",
    name="meters",
    comment="The meters of the configuration and the devices that stand for them.",
    columns=(
        ZONE,
        METER,
        Column("building", Type.TEXT, "Building."),
        Column(
            "building_type",
            Type.TEXT,
            "academic, residential, administrative, athletic, research, support, or feeder: the campus's connection.",
        ),
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
        Column(
            "owner_ref",
            Type.TEXT,
            "Pseudonym of the owner now: random, and only the operational database knows whose it is; null where none is known.",
            nullable=True,
        ),
    ),
    key=("meter_id",),
    window=None,
)

TABLES = (METERS,)
