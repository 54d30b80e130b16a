"""The local energy market: metered positions in, trades and settlement with the grid out."""

from .clearing import MECHANISM, Cleared, clear, closed_only
from .model import Agreement, Link, MarketInputError, Network, Offer, Rules, Tariff, amount_micro
from .positions import INCOMPLETE, NO_REGISTER, POSITIONS, positions

__all__ = [
    "INCOMPLETE",
    "MECHANISM",
    "NO_REGISTER",
    "POSITIONS",
    "Agreement",
    "Cleared",
    "Link",
    "MarketInputError",
    "Network",
    "Offer",
    "Rules",
    "Tariff",
    "amount_micro",
    "clear",
    "closed_only",
    "positions",
]
