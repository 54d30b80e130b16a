from __future__ import annotations

import struct

import pytest
from bazaar import CURRENCY, GRID, LAST, REC, Bazaar
from solders.account import Account
from solders.instruction import Instruction
from svm_world import TOKEN, altered, key

from gridtokenx_pipeline.solana.programs.addresses import book_address, market_address, position_address, vault_address
from gridtokenx_pipeline.solana.programs.contents import Contents
from gridtokenx_pipeline.solana.programs.images import program_id

STRANGER = key("other").pubkey()


@pytest.fixture
def bazaar() -> Bazaar:
    """The seller has 2,000 Wh and no money, the vaults 1,000 Wh and 200,000 micro."""
    opened = Bazaar().open()
    opened.done(opened.grid_ix(3000))
    opened.fund_vaults(1000, 200_000)
    opened.approve(opened.seller, CURRENCY, 6, 10**9)
    return opened


def held(bazaar: Bazaar) -> tuple[int, ...]:
    """GRID of seller and vault, currency of seller and vault."""
    places = [(bazaar.ata(bazaar.seller, mint), vault_address(mint)) for mint in (GRID, CURRENCY)]
    return tuple(bazaar.held_at(account) for pair in places for account in pair)


@pytest.mark.parametrize(
    ("energy_wh", "amount_micro", "after"),
    [
        (-500, 60_000, (1500, 1500, 60_000, 140_000)),
        (1000, 0, (3000, 0, 0, 200_000)),
        (-2000, 0, (0, 3000, 0, 200_000)),
        (0, 1, (2000, 1000, 1, 199_999)),
        (7, 200_000, (2007, 993, 200_000, 0)),
    ],
)
def test_energy_and_money_move_as_the_signs_say(bazaar: Bazaar, energy_wh: int, amount_micro: int, after: tuple[int, ...]):
    outcome = bazaar.done(bazaar.settle_ix(energy_wh, amount_micro))

    assert held(bazaar) == after
    told = struct.pack("<QQIqq", LAST - 11, LAST, 1, energy_wh, amount_micro)
    assert outcome.events("trading") == [("PositionSettled", bytes(bazaar.seller.pubkey()) + told)]
    (event,) = Contents().events(outcome.logs)
    assert (event.fields["wallet"], event.fields["energy_wh"]) == (bazaar.seller.pubkey(), energy_wh)


def test_money_flows_back_to_the_vault(bazaar: Bazaar):
    bazaar.done(bazaar.settle_ix(-500, 60_000), bazaar.settle_ix(300, -50_000, number=2))

    assert held(bazaar) == (1800, 1200, 10_000, 190_000)


def test_the_same_settlement_again_moves_nothing_and_lets_others_land(bazaar: Bazaar):
    bazaar.done(bazaar.settle_ix())

    outcome = bazaar.done(bazaar.settle_ix(), bazaar.settle_ix(number=2), bazaar.settle_ix(last=LAST - 1))

    assert len(outcome.events("trading")) == 2
    assert held(bazaar) == (500, 2500, 180_000, 20_000)


@pytest.mark.parametrize("change", [{"energy_wh": -501}, {"amount_micro": 60_001}, {"first": LAST}])
def test_last_window_and_number_belong_to_one_settlement(bazaar: Bazaar, change: dict):
    bazaar.done(bazaar.settle_ix())
    before = held(bazaar)

    assert bazaar.send(bazaar.settle_ix(number=2), bazaar.settle_ix(**change)).error == (1, 6010)
    assert held(bazaar) == before


def test_what_the_position_forgot_cannot_be_settled_again(bazaar: Bazaar):
    bazaar.done(bazaar.settle_ix(-1, 1, last=LAST - 1))
    for number in range(1, 17):
        bazaar.done(bazaar.settle_ix(-1, 1, number))

    assert bazaar.send(bazaar.settle_ix(-1, 1, last=LAST - 1)).code == 6007
    assert bazaar.send(bazaar.settle_ix(-1, 1, 2, last=LAST - 1)).code == 6007
    assert bazaar.done(bazaar.settle_ix(-1, 1, 1)).events("trading") == []
    assert held(bazaar)[2] == 17


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda b, ix: altered(ix, 0, signer=False), 3010),
        (lambda b, ix: altered(ix, 0, key=b.certifier.pubkey()), 6000),
        (lambda b, ix: altered(ix, 1, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 2, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 2, key=book_address(b.seller.pubkey())), 3002),
        (lambda b, ix: altered(ix, 3, writable=False), 2000),
        (lambda b, ix: altered(ix, 3, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 3, key=book_address(b.seller.pubkey())), 3002),
        (lambda b, ix: altered(ix, 3, key=position_address(b.buyer.pubkey())), 6003),
        *((lambda b, ix, n=n: altered(ix, n, writable=False), 2000) for n in range(4, 8)),
        *((lambda b, ix, n=n: altered(ix, n, key=b.ata(b.seller, REC)), 6003) for n in range(4, 8)),
        *((lambda b, ix, n=n: altered(ix, n, key=STRANGER), 3007) for n in range(4, 8)),
        *((lambda b, ix, n=n, m=m: altered(ix, n, key=b.ata(b.buyer, m)), 6003) for n, m in enumerate((GRID, CURRENCY) * 2, 4)),
        (lambda b, ix: altered(ix, 6, key=ix.accounts[4].pubkey), 2040),
        (lambda b, ix: altered(ix, 8, key=REC), 6002),
        (lambda b, ix: altered(ix, 9, key=REC), 6002),
        (lambda b, ix: altered(ix, 10, key=STRANGER), 3008),
        (lambda b, ix: b.settle_ix(0, 0), 6005),
        (lambda b, ix: b.settle_ix(number=0), 6005),
        (lambda b, ix: b.settle_ix(first=LAST + 1), 6005),
        *((lambda b, ix, x=x: b.settle_ix(x, 0), 6005) for x in (2**53, -(2**53), 2**63 - 1, -(2**63))),
        *((lambda b, ix, x=x: b.settle_ix(0, x), 6005) for x in (2**53, -(2**53), 2**63 - 1, -(2**63))),
        (lambda b, ix: b.settle_ix(last=LAST + 1), 6006),
        (lambda b, ix: b.settle_ix(last=2**64 - 1), 6006),
        *((lambda b, ix, x=x: b.settle_ix(x, 0), 1) for x in (1001, -2001, 2**53 - 1, 1 - 2**53)),
        *((lambda b, ix, x=x: b.settle_ix(0, x), 1) for x in (200_001, -1)),
        (lambda b, ix: b.settle_ix(-500, 200_001), 1),
    ],
)
def test_what_settle_position_refuses(bazaar: Bazaar, change, code: int):
    bazaar.done(bazaar.position_ix(bazaar.buyer.pubkey()))
    before = held(bazaar), bazaar.data(position_address(bazaar.seller.pubkey()))

    assert bazaar.send(change(bazaar, bazaar.settle_ix())).error == (0, code)
    assert (held(bazaar), bazaar.data(position_address(bazaar.seller.pubkey()))) == before


def test_what_the_party_did_not_approve_stays_its_own(bazaar: Bazaar):
    bazaar.approve(bazaar.seller, GRID, 3, 499)
    assert bazaar.send(bazaar.settle_ix()).code == 1
    bazaar.approve(bazaar.seller, GRID, 3, 500)

    assert len(bazaar.done(bazaar.settle_ix()).events("trading")) == 1
    assert bazaar.send(bazaar.settle_ix(number=2)).code == 4


def at_second_accounts(bazaar: Bazaar, ix: Instruction, places: tuple[int, int]) -> Instruction:
    """`ix` with other accounts of the market in place of the GRID and the currency account at `places`."""
    for place, mint in zip(places, (GRID, CURRENCY), strict=True):
        vault = bazaar.svm.get_account(vault_address(mint))
        address = key(f"second {mint}").pubkey()
        bazaar.svm.set_account(address, Account(vault.lamports, bytes(vault.data), TOKEN))
        ix = altered(ix, place, key=address)
    return ix


def test_the_market_is_no_party(bazaar: Bazaar):
    bazaar.done(bazaar.position_ix(market_address()))
    ix = altered(bazaar.settle_ix(), 3, key=position_address(market_address()))

    assert bazaar.send(at_second_accounts(bazaar, ix, (4, 5))).code == 6004


def test_the_market_neither_buys_nor_sells(bazaar: Bazaar):
    bazaar.done(bazaar.book_ix(market_address()))
    before = held(bazaar)
    buys, sells = bazaar.trade_ix(), altered(bazaar.trade_ix(), 3, key=book_address(market_address()))

    assert bazaar.send(at_second_accounts(bazaar, buys, (5, 7))).code == 6004
    assert bazaar.send(at_second_accounts(bazaar, sells, (4, 6))).code == 6004
    assert held(bazaar) == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda b, ix: altered(ix, 0, signer=False), 3010),
        (lambda b, ix: altered(ix, 0, key=STRANGER), 6000),
        (lambda b, ix: altered(ix, 0, writable=False), 2000),
        (lambda b, ix: altered(ix, 1, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 3, writable=False), 2000),
        (lambda b, ix: altered(ix, 3, key=STRANGER), 2006),
        (lambda b, ix: altered(ix, 3, key=position_address(b.seller.pubkey())), 2006),
        (lambda b, ix: altered(ix, 3, key=book_address(b.seller.pubkey())), 3002),
        (lambda b, ix: altered(ix, 4, key=STRANGER), 3008),
    ],
)
def test_what_open_position_refuses(bazaar: Bazaar, change, code: int):
    assert bazaar.send(change(bazaar, bazaar.position_ix(bazaar.buyer.pubkey()))).error == (0, code)
    assert bazaar.data(position_address(bazaar.buyer.pubkey())) is None


def test_opening_a_position_again_leaves_it_alone(bazaar: Bazaar):
    bazaar.done(bazaar.settle_ix())
    before = bazaar.data(position_address(bazaar.seller.pubkey()))

    bazaar.done(bazaar.position_ix(bazaar.seller.pubkey()))

    assert bazaar.data(position_address(bazaar.seller.pubkey())) == before
    fields = Contents().account(program_id("trading"), before).fields
    assert (fields["wallet"], fields["entered"], fields["entries"][0]["window"]) == (bazaar.seller.pubkey(), 1, LAST)


def test_a_pause_stops_settlements(bazaar: Bazaar):
    bazaar.govern("set_paused", paused=1)

    assert bazaar.send(bazaar.settle_ix()).code == 6001
    assert bazaar.send(bazaar.position_ix(bazaar.buyer.pubkey())).code == 6001
