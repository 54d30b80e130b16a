from __future__ import annotations

import struct

import pytest
from solders.account import Account
from solders.pubkey import Pubkey
from svm_world import LOADER, SYSTEM, World, altered, instruction, key, program_data

from gridtokenx_pipeline.solana.programs.addresses import config_address
from gridtokenx_pipeline.solana.programs.images import program_id

OTHER = key("other").pubkey()
GOVERNANCE = program_id("governance")


def config_fields(world: World) -> dict[str, object]:
    data = world.data(config_address())
    names = ("authority", "pending", "submitter", "certifier")
    keys = {name: Pubkey.from_bytes(data[8 + 32 * n : 40 + 32 * n]) for n, name in enumerate(names)}
    return keys | {"window_s": int.from_bytes(data[136:140], "little"), "paused": data[140]}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda w, ix: altered(ix, 0, signer=False), 3010),
        (lambda w, ix: altered(ix, 0, writable=False), 2000),
        (lambda w, ix: altered(ix, 1, writable=False), 2000),
        (lambda w, ix: altered(ix, 1, key=OTHER), 2006),
        (lambda w, ix: altered(ix, 2, key=program_id("registry")), 3008),
        (lambda w, ix: altered(ix, 3, key=program_data(program_id("registry"))), 2006),
        (lambda w, ix: altered(ix, 4, key=OTHER), 3008),
        (lambda w, ix: altered(ix, 4, key=ix.accounts[3].pubkey), 2040),
        (lambda w, ix: w.initialize_ix(certifier=w.authority.pubkey()), 6003),
        (lambda w, ix: w.initialize_ix(submitter=SYSTEM), 6004),
        (lambda w, ix: w.initialize_ix(certifier=SYSTEM), 6004),
        (lambda w, ix: w.initialize_ix(window_seconds=0), 6002),
        (lambda w, ix: w.initialize_ix(window_seconds=7), 6002),
    ],
)
def test_what_initialize_refuses(world: World, change, code: int):
    outcome = world.send(change(world, world.initialize_ix()))

    assert outcome.error == (0, code)
    assert world.data(config_address()) is None


def test_the_configuration_is_made_once(world: World):
    assert world.send(world.initialize_ix()).events("governance")[0][0] == "Initialized"

    assert world.send(world.initialize_ix(window_seconds=900)).code == 6001
    assert config_fields(world) == {
        "authority": world.authority.pubkey(),
        "pending": SYSTEM,
        "submitter": world.submitter.pubkey(),
        "certifier": world.certifier.pubkey(),
        "window_s": 300,
        "paused": 0,
    }


def test_lamports_sent_to_the_address_before_do_not_stop_it(world: World):
    world.svm.set_account(config_address(), Account(1, b"", SYSTEM))

    assert world.send(world.initialize_ix()).error is None


def test_a_program_with_an_upgrade_authority_is_initialized_by_that_key_alone(world: World):
    held = world.svm.get_account(program_data(GOVERNANCE))
    data = bytes(held.data)[:12] + b"\1" + bytes(world.authority.pubkey()) + bytes(held.data)[45:]
    world.svm.set_account(program_data(GOVERNANCE), Account(held.lamports, data, LOADER))

    assert world.send(altered(world.initialize_ix(), 0, key=world.stranger.pubkey())).code == 6000
    assert world.send(world.initialize_ix()).error is None


@pytest.mark.parametrize(
    ("owner", "data", "code"),
    [
        (SYSTEM, struct.pack("<IQB", 3, 0, 0) + bytes(32), 3007),
        (LOADER, struct.pack("<IQB", 1, 0, 0) + bytes(32), 3002),
        (LOADER, struct.pack("<IQB", 3, 0, 0) + bytes(31), 3002),
        (LOADER, struct.pack("<IQB", 3, 0, 0) + bytes(32), None),
    ],
)
def test_what_says_who_may_upgrade_is_the_loaders(world: World, owner: Pubkey, data: bytes, code: int | None):
    # The SVM keeps what it has loaded; only the program reads its data account.
    world.svm.set_account(program_data(GOVERNANCE), Account(10**10, data, owner))

    assert world.send(world.initialize_ix()).code == code


CHANGES = {
    "set_keys": {"submitter": OTHER, "certifier": key("another").pubkey()},
    "set_paused": {"paused": 1},
    "propose_authority": {"authority": OTHER},
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"place": 0, "signer": False}, 3010),
        ({"place": 0, "key": OTHER}, 6000),
        ({"place": 1, "writable": False}, 2000),
        ({"place": 1, "key": OTHER}, 3007),
    ],
)
def test_changes_need_the_authority_and_the_configuration(governed: World, name: str, change: dict, code: int):
    before = governed.data(config_address())
    ix = instruction("governance", name, [governed.authority.pubkey(), config_address()], **CHANGES[name])

    assert governed.send(altered(ix, **change)).code == code
    assert governed.data(config_address()) == before


def test_keys_are_replaced_and_certifier_stays_apart_from_authority(governed: World):
    assert governed.govern("set_keys", submitter=OTHER, certifier=governed.authority.pubkey()).code == 6003
    assert governed.govern("set_keys", submitter=SYSTEM, certifier=OTHER).code == 6004
    assert governed.govern("set_keys", submitter=OTHER, certifier=SYSTEM).code == 6004

    outcome = governed.govern("set_keys", submitter=OTHER, certifier=governed.stranger.pubkey())

    assert outcome.events("governance") == [("KeysChanged", bytes(OTHER) + bytes(governed.stranger.pubkey()))]
    assert config_fields(governed)["certifier"] == governed.stranger.pubkey()


def test_a_pause_stops_the_others_until_it_ends(governed: World):
    assert governed.govern("set_paused", paused=1).events("governance") == [("PauseChanged", b"\1")]
    assert governed.govern("set_paused", paused=1).events("governance") == []
    assert governed.send(governed.register_ix(b"m" * 32)).code == 6001
    assert governed.govern("set_paused", paused=2).code == 102

    governed.govern("set_paused", paused=0)

    assert governed.send(governed.register_ix(b"m" * 32)).error is None


def test_authority_passes_in_two_steps(governed: World):
    new = governed.stranger
    assert governed.govern("accept_authority", new).code == 6005
    assert governed.govern("propose_authority", authority=governed.certifier.pubkey()).code == 6003
    governed.govern("propose_authority", authority=new.pubkey())
    assert config_fields(governed)["authority"] == governed.authority.pubkey()
    assert governed.govern("accept_authority", governed.submitter).code == 6000

    outcome = governed.govern("accept_authority", new)

    assert outcome.events("governance") == [("AuthorityChanged", bytes(governed.authority.pubkey()) + bytes(new.pubkey()))]
    assert governed.govern("set_paused", paused=1).code == 6000
    assert governed.govern("set_paused", new, paused=1).error is None
    assert governed.govern("accept_authority", new).code == 6005


def test_a_proposal_ends_where_its_key_became_certifier_or_it_was_withdrawn(governed: World):
    new = governed.stranger
    governed.govern("propose_authority", authority=new.pubkey())
    governed.govern("set_keys", submitter=OTHER, certifier=new.pubkey())
    assert governed.govern("accept_authority", new).code == 6003

    governed.govern("propose_authority", authority=SYSTEM)

    assert governed.govern("accept_authority", new).code == 6005
