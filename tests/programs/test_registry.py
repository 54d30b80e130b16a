from __future__ import annotations

import struct

import pytest
from solders.rent import Rent
from svm_world import NOW, SYSTEM, World, altered, key

from gridtokenx_pipeline.solana.programs.addresses import meter_address

METER, OTHER = b"m" * 32, b"o" * 32
STRANGER = key("other").pubkey()
ACTIVE, MAINTENANCE, SUSPENDED, REVOKED = range(4)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda w, ix: altered(ix, 0, signer=False), 3010),
        (lambda w, ix: altered(ix, 0, writable=False), 2000),
        (lambda w, ix: altered(ix, 0, key=STRANGER), 6000),
        (lambda w, ix: altered(ix, 1, key=STRANGER), 3007),
        (lambda w, ix: altered(ix, 2, writable=False), 2000),
        (lambda w, ix: altered(ix, 2, key=meter_address(OTHER)), 2006),
        (lambda w, ix: altered(ix, 3, key=STRANGER), 3008),
        (lambda w, ix: altered(ix, 3, key=ix.accounts[2].pubkey), 2040),
        (lambda w, ix: w.register_ix(METER, limit_wh=0), 6003),
        (lambda w, ix: w.register_ix(METER, owner=SYSTEM), 6004),
    ],
)
def test_what_register_meter_refuses(governed: World, change, code: int):
    assert governed.send(change(governed, governed.register_ix(METER))).error == (0, code)
    assert governed.data(meter_address(METER)) is None


def test_a_configuration_that_governance_does_not_own_is_none(governed: World):
    governed.send(governed.register_ix(METER))

    assert governed.send(altered(governed.register_ix(OTHER), 1, key=meter_address(METER))).code == 3007


def test_registering_again_is_a_no_op_unless_it_differs(governed: World):
    owner = governed.stranger.pubkey()
    outcome = governed.send(governed.register_ix(METER))
    before = governed.data(meter_address(METER))

    assert outcome.events("registry") == [("MeterRegistered", METER + bytes(owner) + struct.pack("<I", 5000))]
    assert governed.send(governed.register_ix(METER), governed.register_ix(OTHER)).error is None
    assert governed.send(governed.register_ix(METER, owner=STRANGER)).code == 6002
    assert governed.send(governed.register_ix(METER, limit_wh=5001)).code == 6002
    assert governed.send(altered(governed.register_ix(METER), 2, key=meter_address(OTHER))).code == 2006
    assert governed.data(meter_address(METER)) == before


@pytest.mark.parametrize("rent", [Rent(3480, 2.0, 50), Rent(6960, 1.0, 50)], ids=["two years", "one"])
def test_an_account_gets_the_rent_that_exempts_it_and_no_more(governed: World, rent: Rent):
    governed.svm.set_rent(rent)

    assert governed.send(governed.register_ix(METER)).error is None

    made = governed.svm.get_account(meter_address(METER))
    assert made.lamports == governed.svm.minimum_balance_for_rent_exemption(len(made.data)) == (86 + 128) * 6960


@pytest.mark.parametrize("start", [ACTIVE, MAINTENANCE, SUSPENDED, REVOKED])
@pytest.mark.parametrize("end", [ACTIVE, MAINTENANCE, SUSPENDED, REVOKED])
def test_which_status_may_become_which(governed: World, start: int, end: int):
    governed.send(governed.register_ix(METER))
    if start != ACTIVE:
        assert governed.send(governed.status_ix(METER, start, NOW - 10)).error is None

    outcome = governed.send(governed.status_ix(METER, end, NOW))

    legal = start not in (end, REVOKED)
    assert outcome.code == (None if legal else 6006)
    assert governed.data(meter_address(METER))[84] == (end if legal else start)
    if legal:
        changed = struct.pack("<BBq", start, end, NOW)
        assert outcome.events("registry") == [("MeterStatusChanged", METER + changed)]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda w, ix: altered(ix, 0, signer=False), 3010),
        (lambda w, ix: altered(ix, 0, key=STRANGER), 6000),
        (lambda w, ix: altered(ix, 1, key=STRANGER), 3007),
        (lambda w, ix: altered(ix, 2, writable=False), 2000),
        (lambda w, ix: altered(ix, 2, key=STRANGER), 3007),
        (lambda w, ix: altered(ix, 2, key=ix.accounts[1].pubkey), 2040),
        (lambda w, ix: w.status_ix(METER, 4, NOW), 6005),
        (lambda w, ix: w.status_ix(METER, MAINTENANCE, NOW - 100), 6007),
        (lambda w, ix: w.status_ix(METER, ACTIVE, NOW - 50), 6007),
        (lambda w, ix: w.status_ix(METER, MAINTENANCE, NOW + 61), 6008),
    ],
)
def test_what_update_meter_status_refuses(governed: World, change, code: int):
    governed.send(governed.register_ix(METER))
    governed.send(governed.status_ix(METER, SUSPENDED, NOW - 50))
    before = governed.data(meter_address(METER))

    assert governed.send(change(governed, governed.status_ix(METER, ACTIVE, NOW))).error == (0, code)
    assert governed.data(meter_address(METER)) == before


def test_the_same_change_again_lets_its_neighbours_land(governed: World):
    governed.send(governed.register_ix(METER), governed.register_ix(OTHER))
    change = governed.status_ix(METER, SUSPENDED, NOW + 60)
    governed.send(change)

    outcome = governed.send(change, governed.status_ix(OTHER, MAINTENANCE, NOW))

    assert outcome.error is None
    assert len(outcome.events("registry")) == 1
    assert governed.data(meter_address(OTHER))[84] == MAINTENANCE
