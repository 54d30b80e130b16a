"""The signature of a DLMS reading: Ed25519 (RFC 8032), in base58, over `{device_id}:{kwh}:{timestamp_ms}`."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .documents import LegacyReading

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGIT = {character: value for value, character in enumerate(_ALPHABET)}
_SIGNATURE_BYTES = 64
_LONGEST = 88
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class BadSignature(Exception):
    """A reading that its meter did not sign, or signed otherwise; the message says what is wrong."""


def public_key(text: str) -> Ed25519PublicKey:
    """Read a public key of 64 hex digits. Raises `ValueError`."""
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))


def signed_text(reading: LegacyReading) -> bytes:
    """What the meter signs. The energy is `kwh`, or without it import, else export, in kWh, in its shortest decimal form."""
    energy = reading.net_kwh
    if energy is None:
        wh = reading.imported if reading.imported is not None else reading.exported
        energy = (wh or Decimal(0)).scaleb(-3)
    milliseconds = (reading.at - _EPOCH) // dt.timedelta(milliseconds=1)
    return f"{reading.meter_id}:{energy.normalize():f}:{milliseconds}".encode()


def verify(reading: LegacyReading, key: Ed25519PublicKey) -> None:
    """Check the signature of a reading. Raises `BadSignature`."""
    if reading.signature is None:
        raise BadSignature("the meter's key is registered, and the reading is not signed")
    try:
        key.verify(_base58(reading.signature), signed_text(reading))
    except InvalidSignature:
        raise BadSignature("the signature is not the meter's over device_id:kwh:timestamp_ms") from None


def _base58(text: str) -> bytes:
    if len(text) > _LONGEST or any(character not in _DIGIT for character in text):
        raise BadSignature("the signature is not base58 of 64 bytes")
    number = 0
    for character in text:
        number = number * 58 + _DIGIT[character]
    zeros = len(text) - len(text.lstrip("1"))
    content = b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(content) != _SIGNATURE_BYTES:
        raise BadSignature("the signature is not base58 of 64 bytes")
    return content
