"""What validation finds in readings that it accepts: the codes of `core.vee_exceptions.code` and `core.readings.findings`.

A finding does not refuse a reading; what is refused has a code of `domain.reasons`. The numbers of the checks are those of the
validation rules for 15-second data, after the California VEE rules (DASMMD), the Ontario IESO's and Oracle's rule list.
"""

from __future__ import annotations

from enum import StrEnum

VALID, EDITED, REFERENCE_DAY, INTERPOLATED, QUESTIONABLE, DERIVED, PROJECTED = 1, 2, 4, 8, 16, 32, 64
INFORMATION, WARNING, ERROR = "information", "warning", "error"
ALL_CHANNELS = "all"


class Finding(StrEnum):
    """Codes; each with the number of its check, a severity, the qualityFlags bits it sets, and its meaning in one line."""

    check: int
    severity: str
    flags: int
    meaning: str

    def __new__(cls, code: str, check: int, severity: str, flags: int, meaning: str) -> Finding:
        """Keep what belongs to the code beside it."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.check, member.severity, member.flags, member.meaning = check, severity, flags, meaning
        return member

    CONFLICT = "conflict", 2, WARNING, QUESTIONABLE, "Another value was received before for the same interval."
    CLOCK_SNAPPED = (
        "clock_snapped",
        3,
        INFORMATION,
        DERIVED,
        "The interval started up to vee.clock_snap_s off a multiple of its length and was taken as that multiple.",
    )
    CLOCK_DRIFT = "clock_drift", 3, WARNING, QUESTIONABLE, "The meter's clock is off by more than vee.clock_drift_s for an hour."
    REGISTER_ROLLOVER = (
        "register_rollover",
        4,
        INFORMATION,
        DERIVED,
        "The register passed its end and began again at 0: what is missing to the end plus what came after is plausible.",
    )
    METER_SWAP = (
        "meter_swap",
        4,
        WARNING,
        QUESTIONABLE,
        "The register fell with a new device or after a reset in its log: it counts anew from here.",
    )
    REGISTER_MISMATCH = (
        "register_mismatch",
        5,
        WARNING,
        QUESTIONABLE,
        "Interval values and the difference of the registers around them disagree; the register wins.",
    )
    OVERCOUNTING = (
        "overcounting",
        6,
        ERROR,
        QUESTIONABLE,
        "So many readings of the hour exceed the ratings that the others are not believed either (a wrong interval length).",
    )
    TARE = "tare", 7, INFORMATION, DERIVED, "A small negative generation, the inverter's own use: booked as load, no certificate."
    SPIKE = "spike", 8, WARNING, QUESTIONABLE, "Far above the same time of like days, and not confirmed by the register."
    ZERO_GENERATION = (
        "zero_generation",
        9,
        WARNING,
        QUESTIONABLE,
        "No generation for vee.zero_generation_min while the neighbours generate.",
    )
    ZERO_LOAD = "zero_load", 9, WARNING, QUESTIONABLE, "A load of exactly 0 for vee.zero_load_h."
    STUCK = "stuck", 9, WARNING, QUESTIONABLE, "The same value other than 0 vee.stuck_readings times in a row."
    NIGHT_GENERATION = (
        "night_generation",
        10,
        WARNING,
        QUESTIONABLE,
        "Solar generation above vee.night_pct of the rating with the sun below vee.night_elevation_deg.",
    )
    SIBLING_MISSING = (
        "sibling_missing",
        11,
        INFORMATION,
        0,
        "Some, not all, of generation, load, charge and discharge are there for an interval.",
    )
    SIBLING_IMBALANCE = (
        "sibling_imbalance",
        11,
        WARNING,
        QUESTIONABLE,
        "Generation and discharge less load and charge is not export less import.",
    )
    MISSING = "missing", 12, INFORMATION, 0, "Readings of closed intervals are missing."
    PROLONGED_ESTIMATION = (
        "prolonged_estimation",
        12,
        ERROR,
        0,
        "The meter has been without readings for vee.prolonged_days: somebody has to go there.",
    )
    LATE = "late", 13, INFORMATION, 0, "Readings came after their interval had closed."
    FEEDER_IMBALANCE = (
        "feeder_imbalance",
        14,
        ERROR,
        0,
        "The meters' sum and the feeder's meter differ by more than vee.feeder_pct in two hours in a row.",
    )
    EDIT_CONTRADICTED = (
        "edit_contradicted",
        2,
        INFORMATION,
        0,
        "A reading with another value came after a person had edited the interval; the edit stands.",
    )
