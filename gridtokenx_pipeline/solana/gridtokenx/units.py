"""The pipeline's quantities in the units of an instruction's arguments, exactly.

The programs state no units (their sources name none), and one program compares as kWh what another was given as Wh. So
every argument has its unit written down, and what does not divide is carried, never rounded away.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class UnitError(ValueError):
    """A quantity has no exact form in the unit, and the unit carries no remainder."""


@dataclass(frozen=True)
class Scale:
    """`argument = quantity * numerator // denominator`; what is left is refused, or carried where `carries` (numerator 1)."""

    quantity: str
    numerator: int
    denominator: int
    carries: bool = False


SCALES: Mapping[str, Scale] = {
    "Wh": Scale("Wh", 1, 1),
    # The remainder (0 to 999 Wh) belongs to the same meter's next certificate.
    "kWh": Scale("Wh", 1, 1_000, carries=True),
    "1e-9 kWh": Scale("Wh", 1_000_000, 1),
    "1e-6 per kWh": Scale("micro per kWh", 1, 1),
    # A window that starts between two seconds is a mistake, not something to round.
    "s": Scale("µs", 1, 1_000_000),
    "ms": Scale("µs", 1, 1_000),
}
"""Unit of an argument -> how the pipeline's quantity becomes it."""

AS_IS = frozenset({"text", "bytes", "zone", "choice"})
"""Units of arguments that are no quantities."""


@dataclass(frozen=True)
class Converted:
    """An argument's value, and what it left over, in the pipeline's unit."""

    value: Any
    carried: int = 0


def convert(unit: str, quantity: Any, carried: int = 0) -> Converted:
    """Return `quantity` as an argument of `unit`, with `carried` of the conversion before added first.

    Energies are whole Wh, prices micro-currency per kWh, times aware datetimes. Raises `UnitError` for a negative
    carry, a carry into a unit that carries nothing, a naive datetime, and a remainder that nothing carries.
    """
    scale = SCALES.get(unit)
    if carried and not (scale and scale.carries):
        raise UnitError(f"{unit} carries no remainder, {carried} was given")
    if carried < 0:
        raise UnitError(f"a carried remainder is not negative, {carried} was given")
    if scale is None:
        return Converted(quantity)
    amount = _microseconds(quantity) if scale.quantity == "µs" else quantity
    if type(amount) is not int:
        raise UnitError(f"{scale.quantity} in whole numbers are wanted, not {quantity!r}")
    value, rest = divmod((amount + carried) * scale.numerator, scale.denominator)
    if rest and not scale.carries:
        raise UnitError(f"{quantity} is not a whole number of {unit}")
    return Converted(value, rest)


def _microseconds(moment: Any) -> int:
    if not isinstance(moment, dt.datetime) or moment.tzinfo is None:
        raise UnitError(f"a datetime with a time zone is wanted, not {moment!r}")
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)
