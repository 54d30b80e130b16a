"""The profile `gridtokenx-2026-08`: GridTokenX's programs by the IDL files a user brings."""

from .addresses import AddressError
from .profile import Prepared, Profile
from .sidecar import Sidecar, parse_sidecar, sidecar_2026_08
from .units import UnitError, convert

__all__ = [
    "AddressError",
    "Prepared",
    "Profile",
    "Sidecar",
    "UnitError",
    "convert",
    "parse_sidecar",
    "sidecar_2026_08",
]
