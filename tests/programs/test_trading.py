from __future__ import annotations

import struct

import pytest
from bazaar import CURRENCY, GRID, LAST, REC, Bazaar
from solders.account import Account
from svm_world import TOKEN, altered, key

from gridtokenx_pipeline.solana.programs.addresses import book_address, market_address

STRANGER = key("other").pubkey()


@pytest.fixture
def bazaar() -> Bazaar:
    opened = Bazaar().open()
    opened.done(opened.grid_ix(3000))
    return opened


def balances(bazaar: Bazaar) -> tuple[int, int, int, int]:
    """GRID of seller and buyer, currency of seller and buyer."""
    return tuple(bazaar.balance(wallet, mint) for mint in (GRID, CURRENCY) for wallet in (bazaar.seller, bazaar.buyer))


def test_energy_and_its_price_move_together(bazaar: Bazaar):
    outcome = bazaar.done(bazaar.trade_ix())

    amount = 90_001  # 750 Wh at 120,001 micro per kWh are 90,000.75
    assert balances(bazaar) == (2250, 750, amount, 1_000_000 - amount)
    parties = bytes(bazaar.seller.pubkey()) + bytes(bazaar.buyer.pubkey())
    told = b"t" * 32 + struct.pack("<Q", LAST) + parties + struct.pack("<QQQ", 750, 120_001, amount)
    assert outcome.events("trading") == [("TradeExecuted", told)]


def test_the_same_trade_again_moves_nothing_and_lets_others_land(bazaar: Bazaar):
    bazaar.done(bazaar.trade_ix())

    outcome = bazaar.done(bazaar.trade_ix(), bazaar.trade_ix(b"u" * 32))

    assert len(outcome.events("trading")) == 1
    assert balances(bazaar)[:2] == (1500, 1500)


@pytest.mark.parametrize("change", [{"energy_wh": 751}, {"price": 120_002}, {"window": LAST - 1}])
def test_an_id_belongs_to_one_trade(bazaar: Bazaar, change: dict):
    bazaar.done(bazaar.trade_ix())
    before = balances(bazaar)

    assert bazaar.send(bazaar.trade_ix(b"u" * 32), bazaar.trade_ix(**change)).error == (1, 6008)
    assert balances(bazaar) == before


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda b, ix: altered(ix, 0, signer=False), 3010),
        (lambda b, ix: altered(ix, 0, key=STRANGER), 6000),
        (lambda b, ix: altered(ix, 1, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 2, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 2, key=book_address(b.buyer.pubkey())), 3002),
        (lambda b, ix: altered(ix, 3, writable=False), 2000),
        (lambda b, ix: altered(ix, 3, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 3, key=book_address(b.buyer.pubkey())), 6003),
        *((lambda b, ix, n=n: altered(ix, n, writable=False), 2000) for n in range(4, 8)),
        *((lambda b, ix, n=n: altered(ix, n, key=b.ata(b.seller, REC)), 6003) for n in range(4, 8)),
        (lambda b, ix: altered(ix, 4, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 5, key=STRANGER), 6003),
        (lambda b, ix: altered(ix, 4, key=ix.accounts[5].pubkey), 2040),
        (lambda b, ix: altered(ix, 8, key=REC), 6002),
        (lambda b, ix: altered(ix, 9, key=REC), 6002),
        (lambda b, ix: altered(ix, 10, key=STRANGER), 3008),
        (lambda b, ix: b.trade_ix(energy_wh=0), 6005),
        (lambda b, ix: b.trade_ix(energy_wh=2**32), 6005),
        (lambda b, ix: b.trade_ix(price=2**31), 6005),
        (lambda b, ix: b.trade_ix(window=LAST + 1), 6006),
        (lambda b, ix: b.trade_ix(energy_wh=3001), 1),
        (lambda b, ix: b.trade_ix(price=2_000_000), 1),
    ],
)
def test_what_execute_trade_refuses(bazaar: Bazaar, change, code: int):
    bazaar.done(bazaar.book_ix(bazaar.buyer.pubkey()))
    before = balances(bazaar), bazaar.data(book_address(bazaar.seller.pubkey()))

    assert bazaar.send(change(bazaar, bazaar.trade_ix())).error == (0, code)
    assert (balances(bazaar), bazaar.data(book_address(bazaar.seller.pubkey()))) == before


@pytest.mark.parametrize("change", [lambda data: data[:165] + b"\1" + data[166:], lambda data: data[:164]])
def test_what_is_no_token_account_is_refused_before_anything_moves(bazaar: Bazaar, change):
    for wallet, mint in ((bazaar.seller, GRID), (bazaar.buyer, CURRENCY)):
        held = bazaar.svm.get_account(bazaar.ata(wallet, mint))
        bazaar.svm.set_account(bazaar.ata(wallet, mint), Account(held.lamports, change(bytes(held.data)), TOKEN))

        assert bazaar.send(bazaar.trade_ix()).code == 6003
        bazaar.svm.set_account(bazaar.ata(wallet, mint), held)


def test_nobody_trades_with_himself(bazaar: Bazaar):
    second = [key(name).pubkey() for name in ("second energy", "second money")]
    for address, mint in zip(second, (GRID, CURRENCY), strict=True):
        held = bazaar.svm.get_account(bazaar.ata(bazaar.seller, mint))
        bazaar.svm.set_account(address, Account(held.lamports, bytes(held.data), TOKEN))

    ix = altered(altered(bazaar.trade_ix(), 5, key=second[0]), 7, key=second[1])

    assert bazaar.send(ix).code == 6004


def test_without_approval_nothing_moves(bazaar: Bazaar):
    bazaar.approve(bazaar.buyer, CURRENCY, 6, 89_999)

    assert bazaar.send(bazaar.trade_ix(price=120_000)).code == 1
    assert balances(bazaar)[:2] == (3000, 0)


def test_a_trade_that_failed_may_be_sent_again(bazaar: Bazaar):
    bazaar.approve(bazaar.buyer, CURRENCY, 6, 1)
    assert bazaar.send(bazaar.trade_ix()).code == 1
    bazaar.approve(bazaar.buyer, CURRENCY, 6, 10**9)

    assert len(bazaar.done(bazaar.trade_ix()).events("trading")) == 1


def test_what_the_book_forgot_cannot_be_done_again(bazaar: Bazaar):
    first = bazaar.trade_ix(b"f" * 32, 1, window=LAST - 1)
    bazaar.done(first)
    for number in range(128):
        bazaar.done(bazaar.trade_ix(number.to_bytes(32, "big"), 1, window=LAST - number % 2))

    assert bazaar.send(first).code == 6007
    assert bazaar.send(bazaar.trade_ix(b"n" * 32, 1, window=LAST - 1)).code == 6007
    assert bazaar.done(bazaar.trade_ix((3).to_bytes(32, "big"), 1, window=LAST - 1)).events("trading") == []
    assert len(bazaar.done(bazaar.trade_ix(b"n" * 32, 1)).events("trading")) == 1
    assert balances(bazaar)[1] == 130


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda b, ix: altered(ix, 0, signer=False), 3010),
        (lambda b, ix: altered(ix, 0, key=b.submitter.pubkey()), 6000),
        (lambda b, ix: altered(ix, 0, writable=False), 2000),
        (lambda b, ix: altered(ix, 1, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 2, writable=False), 2000),
        (lambda b, ix: altered(ix, 2, key=STRANGER), 2006),
        (lambda b, ix: altered(ix, 3, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 3, key=REC), 6002),
        (lambda b, ix: altered(altered(ix, 3, key=CURRENCY), 4, key=GRID), 6002),
        (lambda b, ix: altered(ix, 4, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 5, key=STRANGER), 3008),
    ],
)
def test_what_open_market_refuses(change, code: int):
    bazaar = Bazaar()
    bazaar.done(bazaar.tokens_ix())

    assert bazaar.send(change(bazaar, bazaar.market_ix())).error == (0, code)
    assert bazaar.data(market_address()) is None


def test_a_currency_with_extensions_is_refused():
    """A mint with a transfer fee would pay the seller less than was agreed."""
    bazaar = Bazaar()
    bazaar.done(bazaar.tokens_ix())
    plain = bazaar.data(CURRENCY)
    extended = plain + bytes(165 - 82) + b"\1" + struct.pack("<HH", 3, 32) + bytes(32)
    bazaar.svm.set_account(CURRENCY, Account(10**9, extended, TOKEN))

    assert bazaar.send(bazaar.market_ix()).code == 6002


def test_the_market_opens_once(bazaar: Bazaar):
    assert bazaar.send(bazaar.market_ix()).code == 6009


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda b, ix: altered(ix, 0, signer=False), 3010),
        (lambda b, ix: altered(ix, 0, key=STRANGER), 6000),
        (lambda b, ix: altered(ix, 0, writable=False), 2000),
        (lambda b, ix: altered(ix, 3, writable=False), 2000),
        (lambda b, ix: altered(ix, 3, key=STRANGER), 2006),
        (lambda b, ix: altered(ix, 3, key=book_address(b.seller.pubkey())), 2006),
        (lambda b, ix: altered(ix, 3, key=market_address()), 3002),
        (lambda b, ix: altered(ix, 4, key=STRANGER), 3008),
    ],
)
def test_what_open_book_refuses(bazaar: Bazaar, change, code: int):
    assert bazaar.send(change(bazaar, bazaar.book_ix(bazaar.buyer.pubkey()))).error == (0, code)


def test_opening_a_book_again_leaves_it_alone(bazaar: Bazaar):
    bazaar.done(bazaar.trade_ix())
    before = bazaar.data(book_address(bazaar.seller.pubkey()))

    bazaar.done(bazaar.book_ix(bazaar.seller.pubkey()))

    assert bazaar.data(book_address(bazaar.seller.pubkey())) == before


def test_a_pause_stops_trades(bazaar: Bazaar):
    bazaar.govern("set_paused", paused=1)

    assert bazaar.send(bazaar.trade_ix()).code == 6001
