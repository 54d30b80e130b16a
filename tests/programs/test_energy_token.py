from __future__ import annotations

import struct

import pytest
from bazaar import CURRENCY, GRID, LAST, METER, OTHER_METER, REC, Bazaar
from svm_world import altered, key

from gridtokenx_pipeline.solana.programs.addresses import issuer_address, ledger_address, meter_address, state_address

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


def test_both_tokens_together_never_exceed_the_accepted_generation(bazaar: Bazaar):
    bazaar.done(bazaar.grid_ix(1500), bazaar.rec_ix(2400))
    assert bazaar.send(bazaar.rec_ix(101, b"c" * 32)).code == 6009
    assert bazaar.send(bazaar.grid_ix(101, LAST - 1)).code == 6009
    assert bazaar.send(bazaar.rec_ix(2**64 - 1, b"c" * 32)).code == 6009
    bazaar.done(bazaar.rec_ix(100, b"c" * 32))

    bazaar.done(bazaar.retire_ix(2500))

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


def test_a_pause_stops_minting_but_not_retiring(bazaar: Bazaar):
    bazaar.done(bazaar.rec_ix(1500))
    bazaar.govern("set_paused", paused=1)

    assert bazaar.send(bazaar.grid_ix()).code == 6001
    assert bazaar.send(bazaar.rec_ix(1, b"c" * 32)).code == 6001
    bazaar.done(bazaar.retire_ix())
