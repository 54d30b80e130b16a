from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from bazaar import CURRENCY, GRID, LAST, METER, REC, Bazaar
from hypothesis import given
from hypothesis import strategies as st
from model_tokens import Mint
from solders.account import Account
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from spl.token.instructions import get_associated_token_address
from svm_world import SYSTEM, TOKEN, Outcome, World, instruction, key, program_data

from gridtokenx_pipeline.solana.idl import EncodeError
from gridtokenx_pipeline.solana.programs import images
from gridtokenx_pipeline.solana.programs.addresses import (
    book_address,
    config_address,
    issuer_address,
    ledger_address,
    market_address,
    meter_address,
    page_address,
    position_address,
    state_address,
)
from gridtokenx_pipeline.solana.programs.images import idl, image, program_id
from gridtokenx_pipeline.solana.programs.instructions import MeterStatus, Programs, Reading

PROGRAMS = Programs()
SIGNER = key("a signer").pubkey()
KEYS = st.binary(min_size=32, max_size=32).map(Pubkey.from_bytes)
IDS = st.binary(min_size=32, max_size=32)
I64 = st.integers(-(2**63), 2**63 - 1)
U64, U32, U16 = (st.integers(0, 2**bits - 1) for bits in (64, 32, 16))
METERS = {"meter_id": IDS, "owner": KEYS}

Case = tuple[Callable[..., Instruction], dict[str, Any], Callable[..., Sequence[Pubkey]], Sequence[str]]


def ata(wallet: Pubkey, mint: Pubkey) -> Pubkey:
    return get_associated_token_address(wallet, mint, TOKEN)


def minting(mint: Pubkey) -> Callable[..., Sequence[Pubkey]]:
    return lambda meter_id, owner, **_: [
        *[SIGNER, config_address(), issuer_address(), meter_address(meter_id), state_address(meter_id)],
        *[ledger_address(meter_id), mint, ata(owner, mint), TOKEN],
    ]


def settlement_keys(wallet: Pubkey, currency_mint: Pubkey, **_: Any) -> Sequence[Pubkey]:
    market = market_address()
    keys = [SIGNER, config_address(), market, position_address(wallet), ata(wallet, GRID), ata(wallet, currency_mint)]
    return [*keys, ata(market, GRID), ata(market, currency_mint), GRID, currency_mint, TOKEN]


def trade_keys(seller: Pubkey, buyer: Pubkey, currency_mint: Pubkey, **_: Any) -> Sequence[Pubkey]:
    keys = [SIGNER, config_address(), market_address(), book_address(seller), ata(seller, GRID), ata(buyer, GRID)]
    return [*keys, ata(seller, currency_mint), ata(buyer, currency_mint), GRID, currency_mint, TOKEN]


# (program, instruction): the builder, what its arguments may be, the accounts in the order of the IDL, its data's arguments.
CASES: dict[tuple[str, str], Case] = {
    ("governance", "initialize"): (
        PROGRAMS.governance.initialize,
        {"submitter": KEYS, "certifier": KEYS, "window_seconds": U32},
        lambda **_: [SIGNER, config_address(), program_id("governance"), program_data(program_id("governance")), SYSTEM],
        ("submitter", "certifier", "window_seconds"),
    ),
    ("governance", "set_keys"): (
        PROGRAMS.governance.set_keys,
        {"submitter": KEYS, "certifier": KEYS},
        lambda **_: [SIGNER, config_address()],
        ("submitter", "certifier"),
    ),
    ("governance", "set_paused"): (
        PROGRAMS.governance.set_paused,
        {"paused": st.booleans()},
        lambda **_: [SIGNER, config_address()],
        ("paused",),
    ),
    ("governance", "accept_authority"): (
        PROGRAMS.governance.accept_authority,
        {},
        lambda **_: [SIGNER, config_address()],
        (),
    ),
    ("registry", "register_meter"): (
        PROGRAMS.registry.register_meter,
        METERS | {"limit_wh": U32},
        lambda meter_id, **_: [SIGNER, config_address(), meter_address(meter_id), SYSTEM],
        ("meter_id", "owner", "limit_wh"),
    ),
    ("registry", "update_meter_status"): (
        PROGRAMS.registry.update_meter_status,
        {"meter_id": IDS, "status": st.sampled_from(MeterStatus), "changed_at": st.integers(-(2**63), 2**63 - 1)},
        lambda meter_id, **_: [SIGNER, config_address(), meter_address(meter_id)],
        ("status", "changed_at"),
    ),
    ("oracle", "sync_meter"): (
        PROGRAMS.oracle.sync_meter,
        {"meter_id": IDS},
        lambda meter_id: [SIGNER, meter_address(meter_id), state_address(meter_id), SYSTEM],
        (),
    ),
    ("oracle", "submit_energy_reading"): (
        PROGRAMS.oracle.submit_energy_reading,
        {"meter_id": IDS, "window": U64, "produced_wh": U64, "consumed_wh": U64},
        lambda meter_id, **_: [SIGNER, config_address(), state_address(meter_id)],
        ("window", "produced_wh", "consumed_wh"),
    ),
    ("oracle", "submit_energy_readings"): (
        PROGRAMS.oracle.submit_energy_readings,
        {"window": U64, "readings": st.lists(st.builds(Reading, IDS, U32, U32), max_size=9, unique_by=lambda r: r.meter_id)},
        lambda window, readings: [SIGNER, config_address(), *(state_address(r.meter_id) for r in readings)],
        ("window", "readings"),
    ),
    ("oracle", "record_batch"): (
        PROGRAMS.oracle.record_batch,
        {"window": U64, "version": U16, "leaves": U32, "root": IDS},
        lambda window, **_: [SIGNER, config_address(), page_address(window), SYSTEM],
        ("window", "version", "leaves", "root"),
    ),
    ("trading", "open_market"): (
        PROGRAMS.trading.open_market,
        {"currency_mint": KEYS},
        lambda currency_mint: [SIGNER, config_address(), market_address(), GRID, currency_mint, SYSTEM],
        (),
    ),
    ("trading", "open_book"): (
        PROGRAMS.trading.open_book,
        {"seller": KEYS},
        lambda seller: [SIGNER, config_address(), seller, book_address(seller), SYSTEM],
        (),
    ),
    ("trading", "execute_trade"): (
        PROGRAMS.trading.execute_trade,
        {"seller": KEYS, "buyer": KEYS, "currency_mint": KEYS, "trade_id": IDS, "window": U64}
        | {"energy_wh": U64, "price_micro_per_kwh": U64},
        trade_keys,
        ("trade_id", "window", "energy_wh", "price_micro_per_kwh"),
    ),
    ("trading", "open_position"): (
        PROGRAMS.trading.open_position,
        {"wallet": KEYS},
        lambda wallet: [SIGNER, config_address(), wallet, position_address(wallet), SYSTEM],
        (),
    ),
    ("trading", "settle_position"): (
        PROGRAMS.trading.settle_position,
        {"wallet": KEYS, "currency_mint": KEYS, "first_window": U64, "last_window": U64, "number": U32}
        | {"energy_wh": I64, "amount_micro": I64},
        settlement_keys,
        ("first_window", "last_window", "number", "energy_wh", "amount_micro"),
    ),
    ("energy_token", "initialize"): (
        PROGRAMS.energy_token.initialize,
        {},
        lambda **_: [SIGNER, config_address(), issuer_address(), GRID, REC, TOKEN, SYSTEM],
        (),
    ),
    ("energy_token", "open_ledger"): (
        PROGRAMS.energy_token.open_ledger,
        {"meter_id": IDS},
        lambda meter_id: [SIGNER, meter_address(meter_id), ledger_address(meter_id), SYSTEM],
        (),
    ),
    ("energy_token", "mint_grid"): (
        PROGRAMS.energy_token.mint_grid,
        METERS | {"window": U64, "energy_wh": U64},
        minting(GRID),
        ("window", "energy_wh"),
    ),
    ("energy_token", "mint_rec"): (
        PROGRAMS.energy_token.mint_rec,
        METERS | {"bundle_id": IDS, "first_window": U64, "last_window": U64, "energy_wh": U64},
        minting(REC),
        ("bundle_id", "first_window", "last_window", "energy_wh"),
    ),
    ("energy_token", "retire"): (
        PROGRAMS.energy_token.retire,
        {"energy_wh": U64, "purpose": IDS},
        lambda **_: [SIGNER, issuer_address(), REC, ata(SIGNER, REC), TOKEN],
        ("energy_wh", "purpose"),
    ),
    ("energy_token", "retire_for"): (
        PROGRAMS.energy_token.retire_for,
        METERS | {"retirement_id": IDS, "window": U64, "energy_wh": U64},
        lambda meter_id, owner, **_: [
            *[SIGNER, config_address(), issuer_address(), meter_address(meter_id), ledger_address(meter_id)],
            *[REC, ata(owner, REC), TOKEN],
        ],
        ("retirement_id", "window", "energy_wh"),
    ),
}


def test_every_instruction_of_the_idls_has_a_builder():
    described = {(name, each["name"]) for name in images.PROGRAMS for each in idl(name)["instructions"]}
    assert described == {*CASES, ("governance", "propose_authority")}


@pytest.mark.parametrize("case", CASES, ids="-".join)
@given(data=st.data())
def test_builders_make_what_the_idl_says(case: tuple[str, str], data: st.DataObject):
    build, arguments, keys, names = CASES[case]
    given_ = data.draw(st.fixed_dictionaries(arguments))
    if "seller" in given_ and given_["seller"] == given_.get("buyer"):
        return
    built = build(SIGNER, **given_)
    said = {name: given_[name] for name in names}
    if "readings" in said:
        said["readings"] = [(reading.produced_wh, reading.consumed_wh) for reading in said["readings"]]

    assert built == instruction(*case, keys(**given_), **said)


@given(proposed=st.none() | KEYS)
def test_a_proposal_is_withdrawn_by_none(proposed: Pubkey | None):
    wanted = instruction("governance", "propose_authority", [SIGNER, config_address()], authority=proposed or SYSTEM)
    assert PROGRAMS.governance.propose_authority(SIGNER, proposed) == wanted


READING = {"meter_id": METER, "window": 1, "produced_wh": 1, "consumed_wh": 1}
TRADE = {"seller": SIGNER, "buyer": CURRENCY, "currency_mint": CURRENCY, "trade_id": METER, "window": 1, "energy_wh": 1}


@pytest.mark.parametrize(
    ("build", "arguments", "message"),
    [
        (
            PROGRAMS.trading.settle_position,
            {"wallet": market_address(), "currency_mint": CURRENCY, "first_window": 1, "last_window": 1, "number": 1}
            | {"energy_wh": 1, "amount_micro": 1},
            "wallet: the same account as market",
        ),
        (PROGRAMS.oracle.submit_energy_reading, READING | {"window": -1}, "args.window: -1 is not a u64"),
        (PROGRAMS.oracle.submit_energy_reading, READING | {"produced_wh": 1.5}, "args.produced_wh: 1.5 is not a u64"),
        (PROGRAMS.oracle.submit_energy_reading, READING | {"meter_id": b"m"}, "meter_id: 32 bytes are wanted, not 1"),
        (
            PROGRAMS.oracle.submit_energy_readings,
            {"window": 1, "readings": [Reading(METER, 1, 1), Reading(b"n" * 32, 1, 2**32)]},
            "args.readings[1].consumed_wh: 4294967296 is not a u32",
        ),
        (
            PROGRAMS.oracle.submit_energy_readings,
            {"window": 1, "readings": [Reading(METER, 1, 1), Reading(METER, 2, 2)]},
            "readings[1].meter_id: the same account as readings[0].meter_id",
        ),
        (
            PROGRAMS.oracle.record_batch,
            {"window": 1, "version": 1, "leaves": 1, "root": b"r" * 31},
            "args.root: 32 items are wanted, not 31",
        ),
        (
            PROGRAMS.oracle.record_batch,
            {"window": 2**64, "version": 1, "leaves": 1, "root": b"r" * 32},
            "window: 18446744073709551616 is not a u64",
        ),
        (
            PROGRAMS.trading.execute_trade,
            TRADE | {"buyer": SIGNER, "price_micro_per_kwh": 1},
            "buyer: the same account as seller",
        ),
        (
            PROGRAMS.trading.execute_trade,
            TRADE | {"price_micro_per_kwh": True},
            "args.price_micro_per_kwh: True is not a u64",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_named(build: Callable[..., Instruction], arguments: dict[str, Any], message: str):
    with pytest.raises(EncodeError) as caught:
        build(SIGNER, **arguments)

    assert str(caught.value) == message


def succeeded(outcome: Outcome) -> None:
    assert outcome.error is None, outcome.logs


def test_a_window_is_settled_by_builders_alone():
    """From nothing to a trade, a certificate and its retirement, on the SVM."""
    world = Bazaar.__new__(Bazaar)
    World.__init__(world)
    world.seller, world.buyer, world.bank = key("seller"), key("buyer"), key("bank")
    authority, submitter, certifier = world.authority.pubkey(), world.submitter.pubkey(), world.certifier.pubkey()
    seller, buyer = world.seller.pubkey(), world.buyer.pubkey()
    succeeded(world.send(PROGRAMS.governance.initialize(authority, submitter=submitter, certifier=certifier, window_seconds=300)))
    world.svm.set_account(CURRENCY, Account(10**9, Mint(bytes(world.bank.pubkey()), 0, 6).encode(), TOKEN))
    succeeded(
        world.send(
            PROGRAMS.registry.register_meter(submitter, meter_id=METER, owner=seller, limit_wh=5000),
            PROGRAMS.oracle.sync_meter(submitter, meter_id=METER),
            PROGRAMS.oracle.submit_energy_readings(submitter, window=LAST, readings=[Reading(METER, 4000, 10)]),
        )
    )
    world.open()
    mint = {"meter_id": METER, "owner": seller, "energy_wh": 1500}
    trade = {"seller": seller, "buyer": buyer, "currency_mint": CURRENCY, "trade_id": b"t" * 32, "window": LAST}
    succeeded(
        world.send(
            PROGRAMS.oracle.record_batch(submitter, window=LAST, version=1, leaves=1, root=b"r" * 32),
            PROGRAMS.energy_token.mint_grid(submitter, window=LAST, **mint),
        )
    )
    succeeded(
        world.send(PROGRAMS.trading.execute_trade(submitter, energy_wh=1000, price_micro_per_kwh=120_000, **trade)),
    )
    rec = PROGRAMS.energy_token.mint_rec(certifier, bundle_id=b"b" * 32, first_window=LAST, last_window=LAST, **mint)
    succeeded(world.send(rec, PROGRAMS.energy_token.retire(seller, energy_wh=400, purpose=b"p" * 32)))

    assert (world.balance(world.seller, GRID), world.balance(world.buyer, GRID)) == (500, 1000)
    assert (world.balance(world.seller, CURRENCY), world.balance(world.seller, REC)) == (120_000, 1100)


def test_programs_under_a_clusters_own_ids_are_spoken_to():
    world = World()
    ids = {name: key(f"own {name}").pubkey() for name in images.PROGRAMS}
    for name, each in ids.items():
        world.svm.add_program(each, image(name, ids))
    own = Programs(ids)
    submitter = world.submitter.pubkey()

    succeeded(
        world.send(
            own.governance.initialize(
                world.authority.pubkey(), submitter=submitter, certifier=world.certifier.pubkey(), window_seconds=300
            ),
            own.registry.register_meter(submitter, meter_id=METER, owner=SIGNER, limit_wh=5000),
            own.oracle.sync_meter(submitter, meter_id=METER),
            own.oracle.submit_energy_reading(submitter, meter_id=METER, window=LAST, produced_wh=1, consumed_wh=2),
        )
    )

    assert world.data(state_address(METER, ids)) is not None
    assert world.data(state_address(METER)) is None
    assert str(idl("oracle", ids)).count(str(list(bytes(program_id("governance"))))) == 0
