"""Trading as it should be."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

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


def open_book(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    expect(refs, 5, args, "<")
    submitter, config, seller, book, system = refs
    accounts.authorized(submitter, config)
    need(submitter.writable and book.writable, 2000)
    if accounts.owned_by(book, "trading"):
        need(accounts.holds(book, TradeBook).seller == seller.key, 2006)
        return
    bump = accounts.may_create(book, system, "trading", b"book", seller.key)
    accounts[book.key] = TradeBook(seller.key, Ring(), bump)


def execute_trade(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    trade_id, window, energy_wh, price = expect(refs, 11, args, "<32sQQQ")
    submitter, config, market, book, energy_from, energy_to, paid_to, paid_from, grid, currency, token = refs
    window_s = accounts.authorized(submitter, config).window_s
    mints = accounts.holds(market, Market)
    need(book.writable, 2000)
    kept = accounts.holds(book, TradeBook)
    need(token.key == bytes(TOKEN), 3008)
    need((grid.key, currency.key) == (mints.grid, mints.currency), 6002)
    is_token(accounts, energy_from, mints.grid, kept.seller)
    is_token(accounts, paid_to, mints.currency, kept.seller)
    receiver = accounts.get(energy_to.key)
    need(receiver is not None and len(receiver.encode()) >= 165, 6003)
    buyer = receiver.owner if isinstance(receiver, Token) else b""
    is_token(accounts, energy_to, mints.grid, buyer)
    is_token(accounts, paid_from, mints.currency, buyer)
    need(buyer != kept.seller, 6004)
    need(0 < energy_wh < 2**32 and price < 2**31, 6005)
    need((window + 1) * window_s <= now + 60, 6006)
    ring = kept.ring.after(window, hashlib.sha256(trade_id).digest(), hashlib.sha256(args + buyer).digest())
    if ring is None:
        return
    accounts[book.key] = replace(kept, ring=ring)
    transfer(accounts, energy_from.key, energy_to.key, energy_wh, market.key)
    transfer(accounts, paid_from.key, paid_to.key, (energy_wh * price + 500) // 1000, market.key)


HANDLERS = {each.__name__: each for each in (open_market, open_book, execute_trade)}


def apply(accounts: Accounts, refs: Sequence[Ref], data: bytes, now: int) -> None:
    dispatch("trading", HANDLERS, accounts, refs, data, now)
