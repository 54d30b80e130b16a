"""Addresses of an instruction's accounts by its rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from solders.pubkey import Pubkey
from spl.token.constants import ASSOCIATED_TOKEN_PROGRAM_ID

from .sidecar import Account, Ata, InstructionRule

_SEED_BYTES = 32
_SHARDS = 16


class AddressError(ValueError):
    """An address cannot be derived: something was not given, or a seed has more than 32 bytes."""


@lru_cache(maxsize=256)
def _fixed(address: str) -> Pubkey:
    return Pubkey.from_string(address)


@lru_cache(maxsize=65_536)
def derived(seeds: tuple[bytes, ...], program: Pubkey) -> Pubkey:
    """Return the program-derived address of `seeds`."""
    # Kept, as most accounts are the same in every instruction and a meter's are in every window.
    return Pubkey.find_program_address(list(seeds), program)[0]


@dataclass
class Addresses:
    """Derives the accounts of one instruction.

    `programs` are the ids of the profile's programs, `keys` what the caller knows by role or name, `values` what seeds
    need beside the arguments, `seeds_of_arguments` the arguments as bytes.
    """

    rule: InstructionRule
    own_program: str
    programs: Mapping[str, Pubkey]
    keys: Mapping[str, Pubkey]
    values: Mapping[str, Any]
    seeds_of_arguments: Mapping[str, bytes]
    _found: dict[str, Pubkey] = field(default_factory=dict)

    def all(self) -> dict[str, Pubkey]:
        """Return the address of every account by name; raise `AddressError` naming the account."""
        return {account.name: self._account(account) for account in self.rule.accounts}

    def _account(self, account: Account) -> Pubkey:
        if account.name not in self._found:
            try:
                self._found[account.name] = self._derive(account)
            except AddressError as error:
                raise AddressError(f"{account.name}: {error}") from None
        return self._found[account.name]

    def _derive(self, account: Account) -> Pubkey:
        if account.address is not None:
            return _fixed(account.address)
        if account.program_of is not None:
            return self.programs[account.program_of]
        if account.ata is not None:
            return self._ata(account.ata)
        if account.pda is not None:
            seeds = tuple(self._seed(seed) for seed in account.pda)
            return derived(seeds, self.programs[account.program or self.own_program])
        return self._given(account.role or account.given or "")

    def _ata(self, ata: Ata) -> Pubkey:
        owner, token_program, mint = (bytes(self._key(name)) for name in (ata.owner, ata.token_program, ata.mint))
        return derived((owner, token_program, mint), ASSOCIATED_TOKEN_PROGRAM_ID)

    def _seed(self, seed: str) -> bytes:
        kind, _, name = seed.partition(":")
        found = self._seed_bytes(kind, name)
        if len(found) > _SEED_BYTES:
            # The runtime refuses it with MaxSeedLengthExceeded before the program runs.
            raise AddressError(f"the seed {name} has {len(found)} bytes, at most {_SEED_BYTES} are allowed")
        return found

    def _seed_bytes(self, kind: str, name: str) -> bytes:
        if kind == "text":
            return name.encode()
        if kind == "argument":
            return self.seeds_of_arguments[name]
        if kind == "key":
            return bytes(self._key(name))
        if kind == "shard":
            return bytes([bytes(self._key(name))[0] % _SHARDS])
        if name not in self.values:
            raise AddressError(f"the value {name} was not given")
        value = self.values[name]
        if kind == "u64":
            return int(value).to_bytes(8, "little")
        return value.encode() if isinstance(value, str) else bytes(value)

    def _key(self, name: str) -> Pubkey:
        account = self.rule.account(name)
        return self._given(name) if account is None else self._account(account)

    def _given(self, name: str) -> Pubkey:
        if name not in self.keys:
            raise AddressError(f"the key {name} was not given")
        return self.keys[name]
