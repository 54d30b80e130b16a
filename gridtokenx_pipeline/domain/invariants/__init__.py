"""Checks of what must always hold, on whole frames. Each returns its violations; none means that all is well."""

from .certificates import certificate_violations
from .energy import day_violations, energy_violations, register_violations
from .estimates import estimate_violations
from .market import market_violations
from .settlement import settlement_violations
from .violations import VIOLATIONS

__all__ = [
    "VIOLATIONS",
    "certificate_violations",
    "day_violations",
    "energy_violations",
    "estimate_violations",
    "market_violations",
    "register_violations",
    "settlement_violations",
]
