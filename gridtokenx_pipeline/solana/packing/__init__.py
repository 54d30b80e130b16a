"""How many actions fit in a transaction, found by really compiling it."""

from .message import MAX_COMPUTE_UNITS, MAX_LOCKS, PACKET_BYTES, Draft, Tables, budget
from .pack import Packed, pack

__all__ = ["MAX_COMPUTE_UNITS", "MAX_LOCKS", "PACKET_BYTES", "Draft", "Packed", "Tables", "budget", "pack"]
