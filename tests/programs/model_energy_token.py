"""The energy tokens as they should be."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from model_common import Accounts, Config, Meter, Record, Ref, dispatch, expect, need, replace
from model_oracle import MeterState
from model_tokens import Mint, Ring, burn, is_token, supply
from svm_world import TOKEN, encode


@dataclass(frozen=True)
class Issuer(Record):
    grid: bytes
    rec: bytes
    bump: int
    program = "energy_token"

    def fields(self) -> bytes:
        return self.grid + self.rec + bytes([self.bump])


@dataclass(frozen=True)
class TokenLedger(Record):
    meter_id: bytes
    grid_wh: int
    rec_wh: int
    retired_wh: int
    ring: Ring
    bump: int
    program = "energy_token"

    def fields(self) -> bytes:
        sums = struct.pack("<QQQ", self.grid_wh, self.rec_wh, self.retired_wh)
        return self.meter_id + sums + self.ring.encode() + bytes([self.bump])


def initialize(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    expect(refs, 7, args, "<")
    authority, config, issuer, grid, rec, token, system = refs
    accounts.authorized(authority, config, "authority")
    need(all(ref.writable for ref in (authority, issuer, grid, rec)), 2000)
    need(not accounts.owned_by(issuer, "energy_token"), 6010)
    need(token.key == bytes(TOKEN), 3008)
    accounts[issuer.key] = Issuer(grid.key, rec.key, accounts.may_create(issuer, system, "energy_token", b"issuer"))
    for mint, label, decimals in ((grid, b"grid", 3), (rec, b"rec", 6)):
        accounts.may_create(mint, system, "energy_token", label)
        accounts[mint.key] = Mint(issuer.key, 0, decimals)


def open_ledger(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    expect(refs, 4, args, "<")
    payer, meter, ledger, system = refs
    need(payer.signer, 3010)
    need(payer.writable and ledger.writable, 2000)
    meter_id = accounts.holds(meter, Meter).meter_id
    if accounts.owned_by(ledger, "energy_token"):
        need(accounts.holds(ledger, TokenLedger).meter_id == meter_id, 6004)
        return
    bump = accounts.may_create(ledger, system, "energy_token", b"ledger", meter_id)
    accounts[ledger.key] = TokenLedger(meter_id, 0, 0, 0, Ring(), bump)


def _belong(accounts: Accounts, refs: Sequence[Ref], kind: str, role: str) -> tuple[TokenLedger, Config]:
    """The ledger of the meter and the configuration, where `refs` belong together."""
    signer, config, issuer, meter, ledger, mint, held, token = refs
    found = accounts.authorized(signer, config, role)
    issued = accounts.holds(issuer, Issuer)
    owned = accounts.holds(meter, Meter)
    need(ledger.writable and mint.writable, 2000)
    kept: TokenLedger = accounts.holds(ledger, TokenLedger)
    need(token.key == bytes(TOKEN), 3008)
    need(owned.meter_id == kept.meter_id, 6004)
    need(mint.key == getattr(issued, kind), 6002)
    is_token(accounts, held, mint.key, owned.owner)
    return kept, found


def _mint(
    accounts: Accounts, refs: Sequence[Ref], kind: str, name: bytes, data: bytes, windows: tuple[int, int], wh: int
) -> None:
    _, _, _, _, state, ledger, mint, destination, _ = refs
    kept, _ = _belong(accounts, [*refs[:4], *refs[5:]], kind, "submitter" if kind == "grid" else "certifier")
    accepted = accounts.holds(state, MeterState)
    need(accepted.meter_id == kept.meter_id, 6004)
    need(wh > 0 and windows[0] <= windows[1], 6005)
    ring = kept.ring.after(windows[1], hashlib.sha256(name).digest(), hashlib.sha256(data).digest())
    if ring is None:
        return
    need(windows[1] <= accepted.newest, 6006)
    field = f"{kind}_wh"
    need(getattr(kept, field) + wh <= accepted.produced, 6009)
    accounts[ledger.key] = replace(kept, ring=ring, **{field: getattr(kept, field) + wh})
    supply(accounts, mint.key, destination.key, wh)


def mint_grid(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    window, wh = expect(refs, 9, args, "<QQ")
    data = encode("energy_token", "mint_grid", {"window": window, "energy_wh": wh})
    _mint(accounts, refs, "grid", data[:16], data, (window, window), wh)


def mint_rec(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    bundle_id, first, last, wh = expect(refs, 9, args, "<32sQQQ")
    given = {"bundle_id": bundle_id, "first_window": first, "last_window": last, "energy_wh": wh}
    data = encode("energy_token", "mint_rec", given)
    _mint(accounts, refs, "rec", data[:40], data, (first, last), wh)


def retire(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    wh, _ = expect(refs, 5, args, "<Q32s")
    holder, issuer, mint, account, token = refs
    need(holder.signer, 3010)
    issued = accounts.holds(issuer, Issuer)
    need(mint.writable, 2000)
    need(token.key == bytes(TOKEN), 3008)
    need(mint.key == issued.rec, 6002)
    is_token(accounts, account, mint.key, holder.key)
    need(wh > 0, 6005)
    supply(accounts, mint.key, account.key, -wh)


def retire_for(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    retirement_id, window, wh = expect(refs, 8, args, "<32sQQ")
    _, _, issuer, _, ledger, mint, account, _ = refs
    kept, config = _belong(accounts, refs, "rec", "certifier")
    need(wh > 0, 6005)
    need((window + 1) * config.window_s <= now + 60, 6011)
    given = {"retirement_id": retirement_id, "window": window, "energy_wh": wh}
    data = encode("energy_token", "retire_for", given)
    ring = kept.ring.after(window, hashlib.sha256(data[:40]).digest(), hashlib.sha256(data).digest())
    if ring is None:
        return
    need(kept.retired_wh + wh <= kept.rec_wh, 6012)
    accounts[ledger.key] = replace(kept, ring=ring, retired_wh=kept.retired_wh + wh)
    burn(accounts, mint.key, account.key, wh, issuer.key)


HANDLERS = {each.__name__: each for each in (initialize, open_ledger, mint_grid, mint_rec, retire, retire_for)}


def apply(accounts: Accounts, refs: Sequence[Ref], data: bytes, now: int) -> None:
    dispatch("energy_token", HANDLERS, accounts, refs, data, now)
