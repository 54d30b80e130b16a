"""Addresses of the programs' accounts. Seeds are those of `programs/README.md`.

`ids` are the ids that a cluster has the programs at; without them the local ones are meant. Where an id of a meter is not 32
bytes or a window is not a u64, `EncodeError` is raised.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Literal

from solders.pubkey import Pubkey
from spl.token.constants import ASSOCIATED_TOKEN_PROGRAM_ID, TOKEN_2022_PROGRAM_ID

from ..idl.errors import EncodeError
from .images import Ids, program_id

PAGE_WINDOWS = 256


def identifier(kind: str, text: str) -> bytes:
    """Return the 32 bytes by which programs know a meter, trade or bundle: sha256 of `kind`, a colon and `text`."""
    return hashlib.sha256(f"{kind}:{text}".encode()).digest()


def config_address(ids: Ids | None = None) -> Pubkey:
    """Return the address of governance's configuration."""
    return _find("governance", ids, b"config")


def meter_address(meter_id: bytes, ids: Ids | None = None) -> Pubkey:
    """Return the address of a meter in the registry."""
    return _find("registry", ids, b"meter", _id(meter_id))


def state_address(meter_id: bytes, ids: Ids | None = None) -> Pubkey:
    """Return the address of what counted of a meter, in the oracle."""
    return _find("oracle", ids, b"state", _id(meter_id))


def page_address(window: int, ids: Ids | None = None) -> Pubkey:
    """Return the address of the page of batch roots that holds `window`."""
    if not 0 <= window < 1 << 64:
        raise EncodeError(f"{window} is not a u64").within("window")
    return _find("oracle", ids, b"page", (window // PAGE_WINDOWS).to_bytes(8, "little"))


def market_address(ids: Ids | None = None) -> Pubkey:
    """Return the address of the market, which also is the delegate that sellers and buyers approve."""
    return _find("trading", ids, b"market")


def book_address(seller: Pubkey, ids: Ids | None = None) -> Pubkey:
    """Return the address of the trade book of the wallet `seller`."""
    return _find("trading", ids, b"book", bytes(seller))


def position_address(wallet: Pubkey, ids: Ids | None = None) -> Pubkey:
    """Return the address of what remembers the settlements of `wallet`."""
    return _find("trading", ids, b"position", bytes(wallet))


def vault_address(mint: Pubkey, ids: Ids | None = None) -> Pubkey:
    """Return the address of the market's own account of `mint`, out of which and into which positions are settled."""
    return token_address(market_address(ids), mint)


def issuer_address(ids: Ids | None = None) -> Pubkey:
    """Return the address of the authority of both mints, which also is the delegate that owners of meters approve for REC."""
    return _find("energy_token", ids, b"issuer")


def mint_address(token: Literal["grid", "rec"], ids: Ids | None = None) -> Pubkey:
    """Return the address of the mint of `token`."""
    return _find("energy_token", ids, token.encode())


def ledger_address(meter_id: bytes, ids: Ids | None = None) -> Pubkey:
    """Return the address of the ledger of what was minted for a meter."""
    return _find("energy_token", ids, b"ledger", _id(meter_id))


def token_address(wallet: Pubkey, mint: Pubkey) -> Pubkey:
    """Return the address of the Token-2022 account of `mint` that is associated with `wallet`."""
    return _derived(ASSOCIATED_TOKEN_PROGRAM_ID, (bytes(wallet), bytes(TOKEN_2022_PROGRAM_ID), bytes(mint)))


def _find(program: str, ids: Ids | None, *seeds: bytes) -> Pubkey:
    return _derived(program_id(program, ids), seeds)


# Deriving takes tens of microseconds, and the same few addresses are asked for with every meter and trade of a batch.
@lru_cache(maxsize=1 << 16)
def _derived(program: Pubkey, seeds: tuple[bytes, ...]) -> Pubkey:
    return Pubkey.find_program_address(list(seeds), program)[0]


def _id(meter_id: bytes) -> bytes:
    if len(meter_id) != 32:
        raise EncodeError(f"32 bytes are wanted, not {len(meter_id)}").within("meter_id")
    return meter_id
