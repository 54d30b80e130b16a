"""The local energy market: metered positions in, trades and settlement with the grid out."""

from .clearing import MECHANISM, Cleared, clear, closed_only
from .mechanisms import MECHANISMS
from .model import Agreement, Link, MarketInputError, Network, Offer, Rules, Tariff, amount_micro
from .positions import INCOMPLETE, NO_REGISTER, POSITIONS, positions
from .tariffs import TARIFFS

__all__ = [
    "INCOMPLETE",
    "MECHANISM",
    "MECHANISMS",
    "NO_REGISTER",
    "POSITIONS",
    "TARIFFS",
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
