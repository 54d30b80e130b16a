"""`sdr_bilateral/1`: supply-demand-ratio price, pro-rata volumes, bilateral trades.

The market is cleared after delivery on metered energy, so no one enters a price: it follows from the ratio of surplus to
deficit alone.
"""

from __future__ import annotations

from .book import AGREEMENT, POOL
from .mechanisms import MECHANISMS
from .prices import pool_price

SDR_BILATERAL = MECHANISMS["sdr_bilateral"]

__all__ = ["AGREEMENT", "POOL", "SDR_BILATERAL", "pool_price"]
