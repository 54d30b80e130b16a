"""Trading as it should be."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from model_common import Accounts, Record, Ref, dispatch, expect, need, replace
from model_tokens import Mint, Ring, Token, is_token, transfer
from svm_world import TOKEN


@dataclass(frozen=True)
class Market(Record):
    grid: bytes
    currency: bytes
    bump: int
    program = "trading"

    def fields(self) -> bytes:
        return self.grid + self.currency + bytes([self.bump])


@dataclass(frozen=True)
class TradeBook(Record):
    seller: bytes
    ring: Ring
    bump: int
    program = "trading"

    def fields(self) -> bytes:
        return self.seller + self.ring.encode() + bytes([self.bump])


@dataclass(frozen=True)
class Position(Record):
    wallet: bytes
    ring: Ring
    bump: int
    program = "trading"

    def fields(self) -> bytes:
        return self.wallet + self.ring.encode() + bytes([self.bump])


def open_market(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    expect(refs, 6, args, "<")
    authority, config, market, grid, currency, system = refs
    accounts.authorized(authority, config, "authority")
    need(authority.writable and market.writable, 2000)
    need(not accounts.owned_by(market, "trading"), 6009)
    for mint, decimals in ((grid, 3), (currency, 6)):
        need(accounts.owned_by(mint, "token"), 3007)
        found = accounts[mint.key]
        need(isinstance(found, Mint) and found.decimals == decimals, 6002)
    bump = accounts.may_create(market, system, "trading", b"market")
    accounts[market.key] = Market(grid.key, currency.key, bump)


def _may_open(accounts: Accounts, refs: Sequence[Ref], args: bytes, kind: type, label: bytes) -> int | None:
    """The bump of the account to be made, `None` where it exists."""
    expect(refs, 5, args, "<")
    submitter, config, wallet, account, system = refs
    accounts.authorized(submitter, config)
    need(submitter.writable and account.writable, 2000)
    if accounts.owned_by(account, "trading"):
        need(next(iter(vars(accounts.holds(account, kind)).values())) == wallet.key, 2006)
        return None
    return accounts.may_create(account, system, "trading", label, wallet.key)


def open_book(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    bump = _may_open(accounts, refs, args, TradeBook, b"book")
    if bump is not None:
        accounts[refs[3].key] = TradeBook(refs[2].key, Ring(), bump)


def open_position(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    bump = _may_open(accounts, refs, args, Position, b"position")
    if bump is not None:
        accounts[refs[3].key] = Position(refs[2].key, Ring(capacity=16), bump)


def _belong(accounts: Accounts, refs: Sequence[Ref], kind: type) -> tuple[Market, Any, int]:
    """The market, the book or position, and the length of a window, where `refs` belong together."""
    submitter, config, market, kept, _, _, _, _, grid, currency, token = refs
    window_s = accounts.authorized(submitter, config).window_s
    mints = accounts.holds(market, Market)
    need(kept.writable, 2000)
    found = accounts.holds(kept, kind)
    need(token.key == bytes(TOKEN), 3008)
    need((grid.key, currency.key) == (mints.grid, mints.currency), 6002)
    return mints, found, window_s


def execute_trade(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    trade_id, window, energy_wh, price = expect(refs, 11, args, "<32sQQQ")
    _, _, market, book, energy_from, energy_to, paid_to, paid_from, _, _, _ = refs
    mints, kept, window_s = _belong(accounts, refs, TradeBook)
    is_token(accounts, energy_from, mints.grid, kept.seller)
    is_token(accounts, paid_to, mints.currency, kept.seller)
    receiver = accounts.get(energy_to.key)
    need(receiver is not None and len(receiver.encode()) >= 165, 6003)
    buyer = receiver.owner if isinstance(receiver, Token) else b""
    is_token(accounts, energy_to, mints.grid, buyer)
    is_token(accounts, paid_from, mints.currency, buyer)
    need(buyer != kept.seller and market.key not in (buyer, kept.seller), 6004)
    need(0 < energy_wh < 2**32 and price < 2**31, 6005)
    need((window + 1) * window_s <= now + 60, 6006)
    ring = kept.ring.after(window, hashlib.sha256(trade_id).digest(), hashlib.sha256(args + buyer).digest())
    if ring is None:
        return
    accounts[book.key] = replace(kept, ring=ring)
    transfer(accounts, energy_from.key, energy_to.key, energy_wh, market.key)
    transfer(accounts, paid_from.key, paid_to.key, (energy_wh * price + 500) // 1000, market.key)


def settle_position(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    first, last, number, energy_wh, amount_micro = expect(refs, 11, args, "<QQIqq")
    _, _, market, position, party_energy, party_currency, vault_energy, vault_currency, _, _, _ = refs
    mints, kept, window_s = _belong(accounts, refs, Position)
    is_token(accounts, party_energy, mints.grid, kept.wallet)
    is_token(accounts, party_currency, mints.currency, kept.wallet)
    is_token(accounts, vault_energy, mints.grid, market.key)
    is_token(accounts, vault_currency, mints.currency, market.key)
    need(kept.wallet != market.key, 6004)
    need(first <= last and number >= 1 and (energy_wh, amount_micro) != (0, 0), 6005)
    need(abs(energy_wh) < 2**53 and abs(amount_micro) < 2**53, 6005)
    need((last + 1) * window_s <= now + 60, 6006)
    name = hashlib.sha256(struct.pack("<QI", last, number)).digest()
    ring = kept.ring.after(last, name, hashlib.sha256(args).digest(), conflict=6010)
    if ring is None:
        return
    accounts[position.key] = replace(kept, ring=ring)
    for amount, party, vault in ((energy_wh, party_energy, vault_energy), (amount_micro, party_currency, vault_currency)):
        if amount:
            source, target = (vault, party) if amount > 0 else (party, vault)
            transfer(accounts, source.key, target.key, abs(amount), market.key)


HANDLERS = {each.__name__: each for each in (open_market, open_book, execute_trade, open_position, settle_position)}


def apply(accounts: Accounts, refs: Sequence[Ref], data: bytes, now: int) -> None:
    dispatch("trading", HANDLERS, accounts, refs, data, now)
