from __future__ import annotations

import struct
from typing import Any

import pytest
from bazaar import CURRENCY, GRID, LAST, METER, OTHER_METER, REC, Bazaar
from solders.account import Account
from svm_world import TOKEN, altered, key

from gridtokenx_pipeline.solana.programs.addresses import (
    issuer_address,
    ledger_address,
    market_address,
    meter_address,
    state_address,
)
from gridtokenx_pipeline.solana.programs.contents import Contents
from gridtokenx_pipeline.solana.programs.images import program_id

STRANGER = key("other").pubkey()


@pytest.fixture
def bazaar() -> Bazaar:
    return Bazaar().open()


def test_mints_are_the_issuers_and_nobody_can_freeze(bazaar: Bazaar):
    for mint, decimals in ((GRID, 3), (REC, 6)):
        data = bazaar.data(mint)
        assert data[:36] == struct.pack("<I", 1) + bytes(issuer_address())
        assert (data[44], data[46:50]) == (decimals, bytes(4))


def test_grid_is_minted_to_the_meters_owner_once(bazaar: Bazaar):
    outcome = bazaar.done(bazaar.grid_ix(1500), bazaar.grid_ix(1500))

    assert outcome.events("energy_token") == [("GridMinted", METER + struct.pack("<QQ", LAST, 1500))]
    assert bazaar.balance(bazaar.seller, GRID) == bazaar.supply(GRID) == 1500
    assert bazaar.send(bazaar.grid_ix(1501)).code == 6008


def test_a_bundle_is_minted_to_the_meters_owner_once(bazaar: Bazaar):
    outcome = bazaar.done(bazaar.rec_ix(1500), bazaar.rec_ix(1500), bazaar.rec_ix(10, b"c" * 32))

    told = [(METER + bundle + struct.pack("<QQQ", LAST - 11, LAST, wh)) for bundle, wh in ((b"b" * 32, 1500), (b"c" * 32, 10))]
    assert outcome.events("energy_token") == [("RecMinted", each) for each in told]
    assert bazaar.balance(bazaar.seller, REC) == 1510
    for change in ({"energy_wh": 1501}, {"first": LAST - 12}, {"last": LAST - 1}):
        assert bazaar.send(bazaar.rec_ix(**({"energy_wh": 1500} | change))).code == 6008


def test_neither_token_exceeds_the_accepted_generation(bazaar: Bazaar):
    bazaar.done(bazaar.grid_ix(1500), bazaar.rec_ix(3900))
    for energy_wh in (101, 2**64 - 1):
        assert bazaar.send(bazaar.rec_ix(energy_wh, b"c" * 32)).code == 6009
    for energy_wh in (2501, 2**64 - 1):
        assert bazaar.send(bazaar.grid_ix(energy_wh, LAST - 1)).code == 6009
    bazaar.done(bazaar.rec_ix(100, b"c" * 32), bazaar.grid_ix(2500, LAST - 1))
    assert bazaar.supply(GRID) == bazaar.supply(REC) == 4000

    bazaar.done(bazaar.retire_ix(3000), bazaar.retire_for_ix(1000))

    assert bazaar.supply(REC) == 0
    assert bazaar.send(bazaar.rec_ix(1, b"d" * 32)).code == 6009
    bazaar.done(bazaar.reading_ix(1, LAST - 1), bazaar.rec_ix(1, b"d" * 32))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda b, ix: altered(ix, 0, signer=False), 3010),
        (lambda b, ix: altered(ix, 0, key=b.authority.pubkey()), 6000),
        (lambda b, ix: altered(ix, 1, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 2, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 2, key=ledger_address(OTHER_METER)), 3002),
        (lambda b, ix: altered(ix, 3, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 3, key=meter_address(OTHER_METER)), 6004),
        (lambda b, ix: altered(ix, 4, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 4, key=state_address(OTHER_METER)), 6004),
        (lambda b, ix: altered(ix, 5, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 5, key=ledger_address(OTHER_METER)), 6004),
        (lambda b, ix: altered(ix, 5, writable=False), 2000),
        (lambda b, ix: altered(ix, 6, writable=False), 2000),
        (lambda b, ix: altered(ix, 6, key=CURRENCY), 6002),
        (lambda b, ix: altered(ix, 7, writable=False), 2000),
        (lambda b, ix: altered(ix, 7, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 7, key=b.ata(b.seller, CURRENCY)), 6003),
        (lambda b, ix: altered(ix, 7, key=b.ata(b.buyer, ix.accounts[6].pubkey)), 6003),
        (lambda b, ix: altered(ix, 7, key=ix.accounts[6].pubkey), 2040),
        (lambda b, ix: altered(ix, 8, key=STRANGER), 3008),
    ],
)
@pytest.mark.parametrize("make", [lambda b: b.grid_ix(), lambda b: b.rec_ix()], ids=["grid", "rec"])
def test_whose_mints_are_refused(bazaar: Bazaar, make, change, code: int):
    bazaar.done(bazaar.ledger_ix(OTHER_METER))
    before = bazaar.data(ledger_address(METER))

    assert bazaar.send(change(bazaar, make(bazaar))).error == (0, code)
    assert bazaar.data(ledger_address(METER)) == before
    assert bazaar.supply(GRID) == bazaar.supply(REC) == 0


def test_submitter_and_certifier_do_not_stand_in_for_each_other(bazaar: Bazaar):
    assert bazaar.send(altered(bazaar.rec_ix(), 0, key=bazaar.submitter.pubkey())).code == 6000
    assert bazaar.send(altered(bazaar.grid_ix(), 0, key=bazaar.certifier.pubkey())).code == 6000


def test_which_mints_are_refused(bazaar: Bazaar):
    assert bazaar.send(bazaar.grid_ix(0)).code == 6005
    assert bazaar.send(bazaar.rec_ix(0)).code == 6005
    assert bazaar.send(bazaar.rec_ix(first=LAST + 1)).code == 6005
    assert bazaar.send(bazaar.rec_ix(last=LAST + 1)).code == 6006
    assert bazaar.send(bazaar.grid_ix(window=LAST + 1)).code == 6006


def test_what_the_ledger_forgot_cannot_be_minted_again(bazaar: Bazaar):
    bazaar.done(bazaar.rec_ix(1, b"f" * 32, LAST - 1, LAST - 1))
    for number in range(128):
        bazaar.done(bazaar.rec_ix(1, number.to_bytes(32, "big")))

    assert bazaar.send(bazaar.rec_ix(1, b"f" * 32, LAST - 1, LAST - 1)).code == 6007
    assert bazaar.supply(REC) == 129


def test_the_holder_retires_and_nobody_else(bazaar: Bazaar):
    bazaar.done(bazaar.rec_ix(1500))
    retire = bazaar.retire_ix(100)
    for change, code in [
        ({"place": 0, "signer": False}, 3010),
        ({"place": 0, "key": bazaar.buyer.pubkey()}, 6003),
        ({"place": 1, "key": STRANGER}, 3007),
        ({"place": 2, "writable": False}, 2000),
        ({"place": 2, "key": CURRENCY}, 6002),
        ({"place": 3, "writable": False}, 2000),
        ({"place": 3, "key": bazaar.ata(bazaar.seller, CURRENCY)}, 6003),
        ({"place": 4, "key": STRANGER}, 3008),
    ]:
        assert bazaar.send(altered(retire, **change)).error == (0, code)
    assert bazaar.send(bazaar.retire_ix(0)).code == 6005
    assert bazaar.send(bazaar.retire_ix(1501)).code == 1

    outcome = bazaar.done(retire)

    told = bytes(bazaar.seller.pubkey()) + struct.pack("<Q", 100) + b"p" * 32
    assert outcome.events("energy_token") == [("RecRetired", told)]
    assert bazaar.supply(REC) == 1400


def ledger(bazaar: Bazaar) -> dict[str, Any]:
    return dict(Contents().account(program_id("energy_token"), bazaar.data(ledger_address(METER))).fields)


def test_what_ended_is_burnt_once_and_counted(bazaar: Bazaar):
    bazaar.done(bazaar.rec_ix(1500))

    outcome = bazaar.done(bazaar.retire_for_ix(400), bazaar.retire_for_ix(400), bazaar.retire_for_ix(50, b"s" * 32, LAST - 1))

    told = [
        METER + id_ + struct.pack("<QQ", window, wh) for id_, window, wh in ((b"r" * 32, LAST, 400), (b"s" * 32, LAST - 1, 50))
    ]
    assert outcome.events("energy_token") == [("RecRetiredFor", each) for each in told]
    assert bazaar.balance(bazaar.seller, REC) == bazaar.supply(REC) == 1050
    assert [ledger(bazaar)[name] for name in ("grid_wh", "rec_wh", "retired_wh")] == [0, 1500, 450]
    for change in ({"energy_wh": 401}, {"window": LAST - 1}):
        assert bazaar.send(bazaar.retire_for_ix(**({"energy_wh": 400} | change))).code == 6008


def test_an_id_of_a_bundle_may_be_that_of_a_retirement(bazaar: Bazaar):
    bazaar.done(bazaar.rec_ix(1500, b"r" * 32), bazaar.retire_for_ix(1500, b"r" * 32))

    assert bazaar.supply(REC) == 0
    assert bazaar.done(bazaar.rec_ix(1500, b"r" * 32)).events("energy_token") == []


def test_no_more_is_retired_than_was_minted_for_the_meter(bazaar: Bazaar):
    bazaar.done(bazaar.rec_ix(300), bazaar.retire_for_ix(200))
    # The owner has REC of another meter in the same account.
    held = bazaar.svm.get_account(bazaar.ata(bazaar.seller, REC))
    richer = bytes(held.data)[:64] + struct.pack("<Q", 10_000) + bytes(held.data)[72:]
    bazaar.svm.set_account(bazaar.ata(bazaar.seller, REC), Account(held.lamports, richer, TOKEN))

    for energy_wh in (101, 2**64 - 1):
        assert bazaar.send(bazaar.retire_for_ix(energy_wh, b"s" * 32)).code == 6012
    bazaar.done(bazaar.retire_for_ix(100, b"s" * 32))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda b, ix: altered(ix, 0, signer=False), 3010),
        (lambda b, ix: altered(ix, 0, key=b.submitter.pubkey()), 6000),
        (lambda b, ix: altered(ix, 0, key=b.seller.pubkey()), 6000),
        (lambda b, ix: altered(ix, 1, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 2, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 2, key=ledger_address(OTHER_METER)), 3002),
        (lambda b, ix: altered(ix, 3, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 3, key=meter_address(OTHER_METER)), 6004),
        (lambda b, ix: altered(ix, 4, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 4, key=ledger_address(OTHER_METER)), 6004),
        (lambda b, ix: altered(ix, 4, writable=False), 2000),
        (lambda b, ix: altered(ix, 5, writable=False), 2000),
        (lambda b, ix: altered(ix, 5, key=GRID), 6002),
        (lambda b, ix: altered(ix, 6, writable=False), 2000),
        (lambda b, ix: altered(ix, 6, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 6, key=b.ata(b.seller, GRID)), 6003),
        (lambda b, ix: altered(ix, 6, key=b.ata(b.buyer, REC)), 6003),
        (lambda b, ix: altered(ix, 6, key=REC), 2040),
        (lambda b, ix: altered(ix, 7, key=STRANGER), 3008),
        (lambda b, ix: b.retire_for_ix(0), 6005),
        (lambda b, ix: b.retire_for_ix(window=LAST + 1), 6011),
        (lambda b, ix: b.retire_for_ix(window=2**64 - 1), 6011),
        (lambda b, ix: b.retire_for_ix(1501), 6012),
    ],
)
def test_what_retire_for_refuses(bazaar: Bazaar, change, code: int):
    bazaar.done(bazaar.ledger_ix(OTHER_METER), bazaar.rec_ix(1500))
    before = bazaar.data(ledger_address(METER))

    assert bazaar.send(change(bazaar, bazaar.retire_for_ix())).error == (0, code)
    assert bazaar.data(ledger_address(METER)) == before
    assert bazaar.supply(REC) == 1500


def test_what_the_owner_did_not_approve_is_not_burnt(bazaar: Bazaar):
    bazaar.done(bazaar.rec_ix(1500))
    bazaar.approve(bazaar.seller, REC, 6, 99, issuer_address())
    assert bazaar.send(bazaar.retire_for_ix(100)).code == 1
    bazaar.approve(bazaar.seller, REC, 6, 10**9, market_address())
    assert bazaar.send(bazaar.retire_for_ix(100)).code == 4
    bazaar.approve(bazaar.seller, REC, 6, 100, issuer_address())

    assert len(bazaar.done(bazaar.retire_for_ix(100)).events("energy_token")) == 1


def test_what_the_ledger_forgot_cannot_be_retired_again(bazaar: Bazaar):
    bazaar.done(bazaar.rec_ix(1500, last=LAST - 1), bazaar.retire_for_ix(1, b"f" * 32, LAST - 1))
    for number in range(128):
        bazaar.done(bazaar.retire_for_ix(1, number.to_bytes(32, "big")))

    assert bazaar.send(bazaar.retire_for_ix(1, b"f" * 32, LAST - 1)).code == 6007
    assert ledger(bazaar)["retired_wh"] == 129


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda b, ix: altered(ix, 0, signer=False), 3010),
        (lambda b, ix: altered(ix, 0, key=b.submitter.pubkey()), 6000),
        *((lambda b, ix, n=n: altered(ix, n, writable=False), 2000) for n in (0, 2, 3, 4)),
        *((lambda b, ix, n=n: altered(ix, n, key=STRANGER), 2006) for n in (2, 3, 4)),
        (lambda b, ix: altered(ix, 1, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 5, key=STRANGER), 3008),
        (lambda b, ix: altered(ix, 6, key=STRANGER), 3008),
    ],
)
def test_what_initialize_refuses(change, code: int):
    bazaar = Bazaar()

    assert bazaar.send(change(bazaar, bazaar.tokens_ix())).error == (0, code)
    assert bazaar.data(issuer_address()) is bazaar.data(GRID) is bazaar.data(REC) is None


def test_the_mints_are_made_once(bazaar: Bazaar):
    assert bazaar.send(bazaar.tokens_ix()).code == 6010


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda b, ix: altered(ix, 0, signer=False), 3010),
        (lambda b, ix: altered(ix, 0, writable=False), 2000),
        (lambda b, ix: altered(ix, 1, key=STRANGER), 3007),
        (lambda b, ix: altered(ix, 2, writable=False), 2000),
        (lambda b, ix: altered(ix, 2, key=STRANGER), 2006),
        (lambda b, ix: altered(ix, 2, key=ledger_address(METER)), 6004),
        (lambda b, ix: altered(ix, 2, key=issuer_address()), 3002),
        (lambda b, ix: altered(ix, 3, key=STRANGER), 3008),
    ],
)
def test_what_open_ledger_refuses(bazaar: Bazaar, change, code: int):
    assert bazaar.send(change(bazaar, bazaar.ledger_ix(OTHER_METER))).error == (0, code)
    assert bazaar.data(ledger_address(OTHER_METER)) is None


def test_opening_a_ledger_again_leaves_it_alone(bazaar: Bazaar):
    bazaar.done(bazaar.grid_ix())
    before = bazaar.data(ledger_address(METER))

    bazaar.done(bazaar.ledger_ix(METER))

    assert bazaar.data(ledger_address(METER)) == before


def test_a_pause_stops_minting_and_the_certifier_but_not_the_holder(bazaar: Bazaar):
    bazaar.done(bazaar.rec_ix(1500))
    bazaar.govern("set_paused", paused=1)

    assert bazaar.send(bazaar.grid_ix()).code == 6001
    assert bazaar.send(bazaar.rec_ix(1, b"c" * 32)).code == 6001
    assert bazaar.send(bazaar.retire_for_ix()).code == 6001
    bazaar.done(bazaar.retire_ix())
