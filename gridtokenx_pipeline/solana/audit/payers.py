"""Who signs and who pays, by the keys there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ..keys import Role, known_key

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings

_SIGNING: tuple[Role, ...] = ("fee_payer", "submitter", "certifier")


def signers(settings: Settings) -> dict[str, Pubkey]:
    """Return the public keys of fee payer, submitter and certifier, those that there are: none is made by looking.

    Raises `KeyFileError` for a key that cannot be used.
    """
    found: dict[str, Keypair | None] = {role: known_key(settings, role) for role in _SIGNING}
    return {role: key.pubkey() for role, key in found.items() if key is not None}


def payers(settings: Settings) -> dict[str, Pubkey]:
    """Return those of `signers` whose balance has to last: the fee payer, who also gives the submitter what rent it pays.

    The certifier pays nothing.
    """
    return {role: key for role, key in signers(settings).items() if role == "fee_payer"}
