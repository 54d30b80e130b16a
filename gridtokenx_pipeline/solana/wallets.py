"""Wallets of the meters' owners: in custody, derived from one secret, unless the owner named a wallet of their own."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from .keys import KeyFileError, create_private, read_private

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings

SECRET_BYTES = 32


class Wallets:
    """The wallet of every meter. One in custody is `Keypair.from_seed(HMAC-SHA256(secret, "wallet:" + meter id))`.

    So the secret's file is all there is to back up, and a meter has the same wallet on every cluster.
    """

    def __init__(self, secret: bytes, own: Mapping[str, Pubkey] | None = None) -> None:
        """`own` are the owners' own wallets by meter id. Raises `ValueError` for a secret of another length than 32 bytes."""
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"the wallets' secret has {len(secret)} bytes instead of {SECRET_BYTES}")
        self._secret = secret
        self._own = dict(own or {})
        self._counts = Counter(self._own.values())
        self._keys: dict[str, Keypair] = {}
        self._addresses = dict(self._own)

    def __repr__(self) -> str:
        return f"Wallets({len(self._own)} of owners, others in custody)"

    def address(self, meter_id: str) -> Pubkey:
        """Return the wallet of `meter_id`."""
        # Kept, since solders derives a public key anew each time it is asked for one.
        if meter_id not in self._addresses:
            self._addresses[meter_id] = self._custody(meter_id).pubkey()
        return self._addresses[meter_id]

    def key(self, meter_id: str) -> Keypair | None:
        """Return the key of the wallet of `meter_id`, or `None` where the wallet is the owner's own."""
        return None if meter_id in self._own else self._custody(meter_id)

    def shared(self, meter_id: str) -> bool:
        """Return whether the owner of `meter_id` named the same wallet for another meter too."""
        return meter_id in self._own and self._counts[self._own[meter_id]] > 1

    def _custody(self, meter_id: str) -> Keypair:
        if meter_id not in self._keys:
            seed = hmac.new(self._secret, f"wallet:{meter_id}".encode(), hashlib.sha256).digest()
            self._keys[meter_id] = Keypair.from_seed(seed)
        return self._keys[meter_id]


def wallets_of(settings: Settings) -> Wallets:
    """Return the wallets of the configured meters; the secret's file is made where missing.

    Raises `KeyFileError` where that file is not 32 bytes or open to others, `ValueError` for a wallet that is no public key.
    """
    return Wallets(load_or_create_secret(settings.wallets_secret), _own(settings))


def _own(settings: Settings) -> dict[str, Pubkey]:
    return {meter.id: _public(meter.id, meter.wallet) for meter in settings.meters if meter.wallet}


def _public(meter_id: str, text: str) -> Pubkey:
    try:
        return Pubkey.from_string(text)
    except ValueError:
        raise ValueError(f"meter {meter_id}: wallet {text} is no public key") from None


def load_or_create_secret(path: Path) -> bytes:
    """Read the 32 bytes of `path`, or make them there with mode 0600; racing callers get the same.

    Raises `KeyFileError`, also where group or others have any permission on the file.
    """
    if not path.exists():
        create_private(path, secrets.token_bytes(SECRET_BYTES))
    content = read_private(path, SECRET_BYTES + 1)
    if len(content) != SECRET_BYTES:
        raise KeyFileError(f"{path}: not the wallets' secret, which is {SECRET_BYTES} bytes; restore it from a backup")
    return content
