"""Device identity: LFDI, SFDI and registration PIN (IEEE 2030.5-2018, 6.3), and hexBinary identifiers."""

from __future__ import annotations

import hashlib
import hmac
import re

LFDI_OCTETS = 20
MRID_OCTETS = 16
_HEX = re.compile(r"[0-9A-Fa-f]+")


def normalize_hex(text: str, octets: int) -> str:
    """Return `text` as upper-case hex, left-padded with zeros to `octets` bytes.

    Devices in the field strip leading zero bytes and differ in case, so identifiers are compared only in this form.
    Raises `ValueError` where `text` is empty, is not hex, or is too long (leading zeros do not count as too long).
    """
    text = text.strip()
    if not _HEX.fullmatch(text):
        raise ValueError(f"not hexBinary: {text[:64]!r}")
    digits = text.upper()
    width = 2 * octets
    if len(digits) > width:
        digits = digits.lstrip("0")
        if len(digits) > width:
            raise ValueError(f"hexBinary longer than {octets} octets: {text[:64]!r}")
    return digits.rjust(width, "0")


def lfdi_of(der: bytes) -> str:
    """Long-form device identifier of a DER certificate: the first 20 bytes of its SHA-256, as 40 upper-case hex digits."""
    return hashlib.sha256(der).digest()[:LFDI_OCTETS].hex().upper()


def sfdi_of(lfdi: str) -> int:
    """Short-form device identifier: the LFDI's first 36 bits in decimal, then a digit that makes the digit sum 0 modulo 10.

    Raises `ValueError` for a malformed LFDI.
    """
    truncated = int(normalize_hex(lfdi, LFDI_OCTETS)[:9], 16)
    return truncated * 10 + (-_digit_sum(truncated)) % 10


def is_sfdi(number: int) -> bool:
    """Whether `number` carries a correct SFDI check digit and fits 36 bits and that digit."""
    return 0 <= number // 10 < 1 << 36 and number >= 0 and _digit_sum(number) % 10 == 0


def pin_with_check_digit(number: int) -> int:
    """Append the check digit to a PIN's first five digits (0..99999).

    The digit is the digit sum modulo 10. The SFDI's rule (whole digit sum 0 modulo 10) is the other reading of the
    standard, but servers and test clients in the field issue and check PINs by this one, and a PIN both ends disagree on
    stops a registration. Raises `ValueError` for more than five digits.
    """
    if not 0 <= number <= 99_999:
        raise ValueError(f"a PIN has five digits before its check digit: {number}")
    return number * 10 + _digit_sum(number) % 10


def is_pin(pin: int) -> bool:
    """Whether `pin` (0..999999) ends with its check digit; see `pin_with_check_digit` for the rule."""
    return 0 <= pin <= 999_999 and pin_with_check_digit(pin // 10) == pin


def derive_pin(lfdi: str, secret: bytes) -> int:
    """Registration PIN of a device, the same each time: five digits of HMAC-SHA256(secret, LFDI) and the check digit.

    `secret` belongs to whoever registers devices: an LFDI is public, so a PIN made from it alone would prove nothing.
    Raises `ValueError` for a malformed LFDI or an empty secret.
    """
    if not secret:
        raise ValueError("a PIN cannot be derived from an empty secret")
    digest = hmac.digest(secret, bytes.fromhex(normalize_hex(lfdi, LFDI_OCTETS)), "sha256")
    return pin_with_check_digit(int.from_bytes(digest[:8], "big") % 100_000)


def _digit_sum(number: int) -> int:
    return sum(int(digit) for digit in str(number))
