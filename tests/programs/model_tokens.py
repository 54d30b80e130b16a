"""Token-2022 as far as the programs use it, and the ring of what was done once."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from model_common import NULL, Accounts, Record, Ref, Refused, need, replace
from solders.pubkey import Pubkey
from svm_world import TOKEN

FEW, NOT_ITS_OWNER = 1, 4  # errors of Token-2022


class _Token(Record):
    program = "token"

    @property
    def owner_id(self) -> Pubkey:
        return TOKEN


@dataclass(frozen=True)
class Mint(_Token):
    authority: bytes
    supply: int
    decimals: int

    def encode(self) -> bytes:
        return struct.pack("<I32sQBB36x", 1, self.authority, self.supply, self.decimals, 1)


@dataclass(frozen=True)
class Token(_Token):
    """An account; `delegate` is null where nothing is approved."""

    mint: bytes
    owner: bytes
    amount: int
    delegate: bytes = NULL
    delegated: int = 0

    def encode(self) -> bytes:
        approved = int(self.delegate != NULL)
        held = struct.pack("<32s32sQI32sB", self.mint, self.owner, self.amount, approved, self.delegate, 1)
        return held + struct.pack("<12xQ36x", self.delegated)

    def matches(self, data: bytes | None) -> bool:
        # A delegate that is used up leaves its key behind, unmarked.
        if data is not None and data[72] == 0:
            data = data[:76] + NULL + data[108:]
        return data == self.encode()


def is_token(accounts: Accounts, ref: Ref, mint: bytes, wallet: bytes) -> Token:
    need(ref.writable, 2000)
    need(accounts.owned_by(ref, "token"), 3007)
    found = accounts[ref.key]
    need(isinstance(found, Token) and (found.mint, found.owner) == (mint, wallet), 6003)
    assert isinstance(found, Token)
    return found


def taken(accounts: Accounts, source: bytes, amount: int, delegate: bytes) -> Token:
    """The account after `delegate`, or its owner where that is it, took `amount`."""
    held = accounts[source]
    assert isinstance(held, Token)
    need(held.amount >= amount, FEW)
    # An owner who is his own delegate counts as the delegate.
    if delegate == held.owner != held.delegate:
        return replace(held, amount=held.amount - amount)
    need(held.delegate == delegate, NOT_ITS_OWNER)
    need(held.delegated >= amount, FEW)
    left = held.delegated - amount
    return replace(held, amount=held.amount - amount, delegated=left, delegate=delegate if left else NULL)


def transfer(accounts: Accounts, source: bytes, target: bytes, amount: int, delegate: bytes) -> None:
    other = accounts[target]
    assert isinstance(other, Token)
    accounts[source] = taken(accounts, source, amount, delegate)
    accounts[target] = replace(other, amount=other.amount + amount)


def burn(accounts: Accounts, mint: bytes, source: bytes, amount: int, delegate: bytes) -> None:
    minted = accounts[mint]
    assert isinstance(minted, Mint)
    accounts[source] = taken(accounts, source, amount, delegate)
    accounts[mint] = replace(minted, supply=minted.supply - amount)


def supply(accounts: Accounts, mint: bytes, account: bytes, change: int) -> None:
    minted, held = accounts[mint], accounts[account]
    assert isinstance(minted, Mint)
    assert isinstance(held, Token)
    need(held.amount + change >= 0, FEW)
    accounts[mint] = replace(minted, supply=minted.supply + change)
    accounts[account] = replace(held, amount=held.amount + change)


@dataclass(frozen=True)
class Ring:
    """The newest deeds by place, as (window, 16 bytes, 8 bytes)."""

    floor: int = 0
    entered: int = 0
    entries: dict[int, tuple[int, bytes, bytes]] = field(default_factory=dict)
    capacity: int = 128

    def encode(self) -> bytes:
        slots = bytearray(32 * self.capacity)
        for place, entry in self.entries.items():
            slots[32 * place : 32 * place + 32] = struct.pack("<Q16s8s", *entry)
        return struct.pack("<QQ", self.floor, self.entered) + bytes(slots)

    def after(self, window: int, name: bytes, content: bytes, conflict: int = 6008) -> Ring | None:
        """The ring with the deed in it, `None` where it was there. Raises `Refused`."""
        deed = (window, name[:16], content[:8])
        for entry in self.entries.values():
            if entry[1] == deed[1]:
                if entry != deed:
                    raise Refused(conflict)
                return None
        need(window >= self.floor, 6007)
        place = self.entered % self.capacity
        gone = self.entries.get(place)
        floor = self.floor if gone is None else max(self.floor, gone[0] + 1)
        return Ring(floor, self.entered + 1, self.entries | {place: deed}, self.capacity)
