"""How many actions fit in a transaction, found by really compiling it."""

from .message import MAX_COMPUTE_UNITS, MAX_LOCKS, PACKET_BYTES, Draft, Tables, budget
from .pack import Packed, composed_of, pack
from .portions import WINDOWS_AT_ONCE, portions

__all__ = [
    "MAX_COMPUTE_UNITS",
    "MAX_LOCKS",
    "PACKET_BYTES",
    "WINDOWS_AT_ONCE",
    "Draft",
    "Packed",
    "Tables",
    "budget",
    "composed_of",
    "pack",
    "portions",
]
