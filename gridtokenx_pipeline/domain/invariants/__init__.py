"""Checks of what must always hold, on whole frames. Each returns its violations; none means that all is well."""

from .certificates import certificate_violations
from .energy import energy_violations
from .market import market_violations
from .settlement import settlement_violations
from .violations import VIOLATIONS

__all__ = ["VIOLATIONS", "certificate_violations", "energy_violations", "market_violations", "settlement_violations"]
