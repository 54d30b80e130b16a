"""ISO 4217: the standard's tariffs name a currency by its number."""

from __future__ import annotations

_NUMBERS = {"AUD": 36, "CAD": 124, "CHF": 756, "EUR": 978, "GBP": 826, "JPY": 392, "NZD": 554, "THB": 764, "USD": 840}


def number(code: str) -> int:
    """The number of a currency. Raises `ValueError` for one that this list lacks."""
    try:
        return _NUMBERS[code]
    except KeyError:
        raise ValueError(f"the ISO 4217 number of {code} is not known: add it") from None
