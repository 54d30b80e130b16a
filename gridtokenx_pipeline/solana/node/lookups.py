"""Addresses that a v0 transaction loads from address lookup tables.

LiteSVM judges whether they may be loaded (a table that is there, extended in an earlier slot and not deactivated; no address
twice; 64 locks with them); here they are named. Layout: `LookupTableMeta` of Agave, 56 bytes, then addresses of 32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from solders.message import MessageV0
from solders.pubkey import Pubkey

_HEADER_BYTES = 56

# A node refuses these before it forwards anything. Texts: Agave's `TransactionError`.
REFUSALS = {
    "AddressLookupTableNotFound": "Transaction loads an address table account that doesn't exist",
    "InvalidAddressLookupTableOwner": "Transaction loads an address table account with an invalid owner",
    "InvalidAddressLookupTableData": "Transaction loads an address table account with invalid data",
    "InvalidAddressLookupTableIndex": "Transaction address table lookup uses an invalid index",
}


@dataclass(frozen=True)
class LoadedAddresses:
    """What a transaction loads, in the order its instructions count on: after its own keys, the writable ones first."""

    writable: tuple[Pubkey, ...] = ()
    readonly: tuple[Pubkey, ...] = ()

    @property
    def all(self) -> tuple[Pubkey, ...]:
        """All of them, writable before readonly."""
        return self.writable + self.readonly

    @classmethod
    def of(cls, detail: dict[str, Any]) -> LoadedAddresses:
        """Return what a landed transaction loaded, by the ledger's detail; nothing for one from before nodes kept it."""
        found = detail.get("loadedAddresses", {"writable": (), "readonly": ()})
        return cls(*(tuple(map(Pubkey.from_string, found[kind])) for kind in ("writable", "readonly")))

    def json(self) -> dict[str, list[str]]:
        """Return them as `meta.loadedAddresses` of the RPC."""
        return {"writable": [str(key) for key in self.writable], "readonly": [str(key) for key in self.readonly]}


def loaded_addresses(message: Any, account: Callable[[Pubkey], Any]) -> LoadedAddresses:
    """Return what `message` loads from the tables that `account` finds. For messages that LiteSVM executes, only."""
    writable: list[Pubkey] = []
    readonly: list[Pubkey] = []
    for lookup in message.address_table_lookups if isinstance(message, MessageV0) else ():
        data = bytes(account(lookup.account_key).data)
        writable += [_address(data, index) for index in bytes(lookup.writable_indexes)]
        readonly += [_address(data, index) for index in bytes(lookup.readonly_indexes)]
    return LoadedAddresses(tuple(writable), tuple(readonly))


def _address(table: bytes, index: int) -> Pubkey:
    start = _HEADER_BYTES + 32 * index
    return Pubkey.from_bytes(table[start : start + 32])
