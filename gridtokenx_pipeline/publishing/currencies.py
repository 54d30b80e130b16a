"""ISO 4217: the standard's tariffs name a currency by its number."""

from __future__ import annotations

_NUMBERS = {
    "AED": 784,
    "ARS": 32,
    "AUD": 36,
    "BDT": 50,
    "BRL": 986,
    "CAD": 124,
    "CHF": 756,
    "CLP": 152,
    "CNY": 156,
    "COP": 170,
    "CZK": 203,
    "DKK": 208,
    "EGP": 818,
    "EUR": 978,
    "GBP": 826,
    "HKD": 344,
    "HUF": 348,
    "IDR": 360,
    "ILS": 376,
    "INR": 356,
    "ISK": 352,
    "JPY": 392,
    "KES": 404,
    "KRW": 410,
    "MAD": 504,
    "MXN": 484,
    "MYR": 458,
    "NGN": 566,
    "NOK": 578,
    "NPR": 524,
    "NZD": 554,
    "PEN": 604,
    "PHP": 608,
    "PKR": 586,
    "PLN": 985,
    "QAR": 634,
    "RON": 946,
    "SAR": 682,
    "SEK": 752,
    "SGD": 702,
    "THB": 764,
    "TRY": 949,
    "TWD": 901,
    "UAH": 980,
    "USD": 840,
    "UYU": 858,
    "VND": 704,
    "ZAR": 710,
}


def number(code: str) -> int:
    """The number of a currency. Raises `ValueError` for one that this list lacks."""
    try:
        return _NUMBERS[code]
    except KeyError:
        raise ValueError(f"the ISO 4217 number of {code} is not known: add it") from None
