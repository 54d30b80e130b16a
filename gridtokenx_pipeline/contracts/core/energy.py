"""Energy by meter and interval, at every interval length, and what it was before."""

from ..table import Column, Table, Type
from .common import ENERGY_CHANNELS, METER, START, VEE_FLAGS, ZONE

_MEANINGS = (
    ("generation", "Energy generated"),
    ("load", "Energy consumed by the building"),
    ("charge", "Energy into the battery, at its AC terminals"),
    ("discharge", "Energy out of the battery, at its AC terminals"),
    ("import", "Energy taken from the network"),
    ("export", "Energy given to the network"),
)


def _energy_table(name: str, length: str) -> Table:
    """`core.energy_*`: the same columns at another interval length."""
    energies = tuple(
        Column(f"{channel}_wh", Type.ENERGY, f"{text} in the interval.", "Wh", nullable=True) for channel, text in _MEANINGS
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
        comment=f"Energy of every meter in intervals of {length}, from the latest version of each reading, edits and estimates. A null energy is not known.",
        columns=(
            ZONE,
            METER,
            START,
            Column("duration_s", Type.INTEGER, "Length of the interval.", "s"),
            *energies,
            *registers,
            Column("state_of_charge_pct", Type.PERCENT, "State of charge at the end of the interval.", "%", nullable=True),
            Column("readings_expected", Type.INTEGER, "Meter intervals that fit in this interval.", "count"),
            Column(
                "readings_present", Type.INTEGER, "Meter intervals present with generation, load, charge and discharge.", "count"
            ),
            VEE_FLAGS,
            Column("version", Type.INTEGER, "Highest reading version in the interval.", "count from 1"),
            Column(
                "readings_estimated",
                Type.INTEGER,
                "Meter intervals without all four measured, completed by estimates that settlement may use.",
                "count",
                default=0,
            ),
        ),
        key=("meter_id", "interval_start"),
        window="interval_start",
    )


ENERGY_15S = _energy_table("energy_15s", "15 s")
ENERGY_5MIN = _energy_table("energy_5min", "5 min")
ENERGY_15MIN = _energy_table("energy_15min", "15 min")
ENERGY_1H = _energy_table("energy_1h", "an hour")
ENERGY_1D = _energy_table("energy_1d", "a day (UTC)")

REVISIONS = Table(
    schema="core",
    name="energy_revisions",
    comment=(
        "What core.energy_5min said before: a row for each state of an interval that changed after it had closed, the last one being "
        "the present state. An interval without rows has had one state since it closed."
    ),
    columns=(
        ZONE,
        METER,
        START,
        Column("duration_s", Type.INTEGER, "Length of the interval.", "s"),
        Column(
            "revision", Type.INTEGER, "1 as known when the interval closed, one more for each change after it.", "count from 1"
        ),
        Column(
            "known_from",
            Type.TIMESTAMP,
            "From when the pipeline could know this state: the close of the interval, or the five-minute mark after what changed it.",
            "UTC",
        ),
        *(
            Column(f"{channel}_wh", Type.ENERGY, f"{text} in the interval, as known then.", "Wh", nullable=True)
            for channel, text in _MEANINGS
        ),
        *(
            Column(
                f"{channel}_delta_wh",
                Type.ENERGY,
                f"{channel} of this revision less that of the one before, a null counting as 0; null for revision 1.",
                "Wh",
                nullable=True,
            )
            for channel in ENERGY_CHANNELS
        ),
        Column("readings_expected", Type.INTEGER, "Meter intervals that fit in this interval.", "count"),
        Column("readings_present", Type.INTEGER, "Meter intervals present, as known then.", "count"),
        Column("readings_estimated", Type.INTEGER, "Meter intervals completed by estimates, as known then.", "count"),
        VEE_FLAGS,
    ),
    key=("meter_id", "interval_start", "revision"),
    window="interval_start",
)

LEVELS = ((ENERGY_15S, 15), (ENERGY_5MIN, 300), (ENERGY_15MIN, 900), (ENERGY_1H, 3600), (ENERGY_1D, 86_400))
TABLES = (*(table for table, _ in LEVELS), REVISIONS)
