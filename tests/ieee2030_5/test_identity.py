from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ieee2030_5.identity import derive_pin, is_pin, is_sfdi, lfdi_of, normalize_hex, pin_with_check_digit, sfdi_of


@pytest.mark.parametrize(
    ("lfdi", "sfdi"),
    [
        ("3E4F45AB31EDFE5B67E343E5E4562E31984E23E5", 167261211391),
        ("37B1C7CB00E655273BB1494CF3FA3F9DC0C945D2", 149503663841),
    ],
)
def test_sfdi_of_known_vectors(lfdi: str, sfdi: int) -> None:
    assert sfdi_of(lfdi) == sfdi
    assert sfdi_of(lfdi.lower()) == sfdi
    assert is_sfdi(sfdi)
    assert not is_sfdi(sfdi + 1)


def test_lfdi_is_the_first_20_bytes_of_the_hash() -> None:
    assert lfdi_of(b"der") == hashlib.sha256(b"der").hexdigest()[:40].upper()


@given(st.binary(min_size=20, max_size=20))
def test_sfdi_always_carries_its_check_digit(lfdi: bytes) -> None:
    sfdi = sfdi_of(lfdi.hex())
    assert is_sfdi(sfdi)
    assert sfdi // 10 == int.from_bytes(lfdi, "big") >> 124


@given(st.binary(min_size=1, max_size=16))
def test_hex_survives_stripped_zeros_and_case(raw: bytes) -> None:
    text = raw.hex().lstrip("0") or "0"
    assert normalize_hex(text, 16) == normalize_hex(f"  {text.upper()}\n", 16) == raw.rjust(16, b"\0").hex().upper()


@pytest.mark.parametrize("text", ["", "   ", "0x12", "12 34", "g0", "1" * 33, "１２"])
def test_bad_hex_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hexBinary"):
        normalize_hex(text, 16)


def test_leading_zeros_beyond_the_width_are_harmless() -> None:
    assert normalize_hex("0003", 1) == "03"
    assert normalize_hex("000", 1) == "00"


@pytest.mark.parametrize("pin", [111115, 123455])
def test_pins_in_use_are_accepted(pin: int) -> None:
    assert is_pin(pin)
    assert not is_pin(pin + 1)


def test_pin_of_a_device_is_stable_valid_and_secret() -> None:
    lfdi = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"
    pin = derive_pin(lfdi, b"secret")
    assert is_pin(pin)
    assert derive_pin(lfdi.lower(), b"secret") == pin
    assert derive_pin(lfdi, b"another") != pin
    with pytest.raises(ValueError, match="empty secret"):
        derive_pin(lfdi, b"")
    with pytest.raises(ValueError, match="five digits"):
        pin_with_check_digit(100_000)


@given(st.integers(-10, 2_000_000))
def test_no_number_is_a_pin_by_accident(number: int) -> None:
    assert is_pin(number) == (0 <= number <= 999_999 and sum(map(int, str(number // 10))) % 10 == number % 10)
