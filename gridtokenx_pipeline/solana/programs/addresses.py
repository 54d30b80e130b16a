"""Addresses of the programs' accounts. Seeds are those of `programs/README.md`."""

from __future__ import annotations

import hashlib
from typing import Literal

from solders.pubkey import Pubkey

from .images import program_id

PAGE_WINDOWS = 256


def identifier(kind: str, text: str) -> bytes:
    """Return the 32 bytes by which programs know a meter, trade or bundle: sha256 of `kind`, a colon and `text`."""
    return hashlib.sha256(f"{kind}:{text}".encode()).digest()


def config_address() -> Pubkey:
    """Return the address of governance's configuration."""
    return _find("governance", b"config")


def meter_address(meter_id: bytes) -> Pubkey:
    """Return the address of a meter in the registry."""
    return _find("registry", b"meter", meter_id)


def state_address(meter_id: bytes) -> Pubkey:
    """Return the address of what counted of a meter, in the oracle."""
    return _find("oracle", b"state", meter_id)


def page_address(window: int) -> Pubkey:
    """Return the address of the page of batch roots that holds `window`."""
    return _find("oracle", b"page", (window // PAGE_WINDOWS).to_bytes(8, "little"))


def market_address() -> Pubkey:
    """Return the address of the market, which also is the delegate that sellers and buyers approve."""
    return _find("trading", b"market")


def book_address(seller: Pubkey) -> Pubkey:
    """Return the address of the trade book of the wallet `seller`."""
    return _find("trading", b"book", bytes(seller))


def issuer_address() -> Pubkey:
    """Return the address of the authority of both mints."""
    return _find("energy_token", b"issuer")


def mint_address(token: Literal["grid", "rec"]) -> Pubkey:
    """Return the address of the mint of `token`."""
    return _find("energy_token", token.encode())


def ledger_address(meter_id: bytes) -> Pubkey:
    """Return the address of the ledger of what was minted for a meter."""
    return _find("energy_token", b"ledger", meter_id)


def _find(program: str, *seeds: bytes) -> Pubkey:
    return Pubkey.find_program_address(list(seeds), program_id(program))[0]
