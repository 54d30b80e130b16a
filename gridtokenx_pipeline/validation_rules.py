"""`docs/validation.md`, made from the code: every check, reason, finding and threshold with its meaning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from gridtokenx_pipeline.domain.findings import Finding
from gridtokenx_pipeline.domain.reasons import Reason
from gridtokenx_pipeline.domain.thresholds import Thresholds

_HEADER = "Made from gridtokenx_pipeline/domain by `gridtokenx dictionary`; change it there."

_INTRODUCTION = """\
Readings are judged twice. **At receipt**, message by message: a reading is accepted (`core.readings`), refused with a reason
(`core.rejected_readings`), or is no settled energy (`core.telemetry`). **By event hour**, with everything around it: what the checks
find is in `core.vee_exceptions`, and what is put in the place of missing energy in `core.estimates`. Nothing is edited in place: another
value is another version, an operator's correction a row of `core.edits` (`gridtokenx edit`).

Quality flags are the bits of IEEE 2030.5 qualityFlags: 1 valid, 2 manually edited, 4 estimated by reference day, 8 interpolated,
16 questionable, 32 derived, 64 projected. The device's own are in `device_quality_flags`. Energy of an interval has bit 1 if all its
parts do, and every other bit that one of its parts has. No certificate is issued for energy with 4, 8, 16 or 64.
"""

_ESTIMATION = """\
A gap is a run of closed intervals without a reading between two readings. In this order:

1. **register_exact**: the registers on both sides say its energy exactly; only its shape is estimated, after the neighbours' (or a line),
   in whole milli-watt-hours that add up. Flags 1 and 32 where the gap lies within one market interval, else 32 and 8.
2. **interpolated**: without registers and up to `linear_s`, a line between good neighbours. Flag 8.
3. **like_day**: longer, the mean of the last like days (working day or weekend), generation scaled as the neighbours'. Flag 4.
4. Nothing: the energy stays unknown, and the meter settles with the grid for what is known.

Settlement uses estimates of gaps up to `settlement_gap_s`. **register_wins**: where a reading and its own registers disagree (check 5),
the registers' difference is used, with flags 16 and 32.
"""


def validation_rules() -> str:
    """Return `docs/validation.md`."""
    lines = ["# Validation, estimation, editing", "", f"<!-- {_HEADER} -->", "", *_INTRODUCTION.splitlines(), ""]
    lines += ["## Reasons for refusing a reading", "", "The first check that fails names the reason.", ""]
    lines += _table(("reason", "meaning"), ((f"`{reason.value}`", reason.meaning) for reason in Reason))
    lines += ["", "## Findings about accepted readings", ""]
    lines += _table(
        ("check", "code", "severity", "flags", "meaning"),
        (
            (str(finding.check), f"`{finding.value}`", finding.severity, str(finding.flags or ""), finding.meaning)
            for finding in sorted(Finding, key=lambda finding: finding.check)
        ),
    )
    lines += ["", "## Estimation", "", *_ESTIMATION.splitlines(), "", "## Thresholds", ""]
    lines += [
        "Section `[vee]` of the configuration sets them for all meters, `[vee.types.residential]` and so on for those of a building type.",
        "",
    ]
    lines += _table(
        ("threshold", "default", "unit", "meaning"),
        (
            (f"`{threshold.name}`", f"{threshold.default:g}", threshold.metadata["unit"], threshold.metadata["meaning"])  # type: ignore[str-format]
            for threshold in fields(Thresholds)
        ),
    )
    return "\n".join(lines) + "\n"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(cell.replace("|", "&#124;") for cell in row) + " |" for row in rows),
    ]
