"""The profile `gridtokenx-2026-08`: units, addresses, signers, and what it is bound to."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from deployed_idls import deployed_idls
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from solders.pubkey import Pubkey
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID
from spl.token.instructions import get_associated_token_address

from gridtokenx_pipeline.solana.gridtokenx import AddressError, Profile, UnitError, convert, parse_sidecar, sidecar_2026_08
from gridtokenx_pipeline.solana.idl import BindingError, EncodeError

START = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
METER = "AMI_METER_STANFORD_ENG_001"
NAMES = [
    "chain_bridge",
    "oracle_authority",
    "registry_authority",
    "token_authority",
    "rec_validator",
    "payer",
    "meter_owner",
    "governance_authority",
    "escrow_authority",
    "market_authority",
    "buyer",
    "seller",
    "buyer_currency_escrow",
    "seller_energy_escrow",
    "seller_currency_account",
    "buyer_energy_account",
    "currency_mint",
]
KEYS = {name: Pubkey.from_bytes(bytes([number + 40]) * 32) for number, name in enumerate(NAMES)} | {
    "rec_token_program": TOKEN_PROGRAM_ID,
    "currency_token_program": TOKEN_PROGRAM_ID,
}
VALUES = {"meter_id": METER, "buy_order_id": 7, "sell_order_id": 2**63}
QUANTITIES: dict[str, dict[str, Any]] = {
    "oracle.submit_meter_reading": {
        "meter_id": METER,
        "energy_produced": 1_670,
        "energy_consumed": 900,
        "reading_timestamp": START,
        "zone_id": 4,
    },
    "registry.update_meter_reading": {"energy_generated": 1_670, "energy_consumed": 900, "reading_timestamp": START},
    "registry.set_meter_status": {"new_status": "maintenance"},
    "energy_token.mint_generation": {"meter_id": bytes(range(16)), "window_start_ms": START, "amount": 1_670},
    "governance.issue_erc": {
        "certificate_id": "C-1",
        "energy_amount": 123_456,
        "renewable_source": "solar",
        "validation_data": "",
    },
    "trading.execute_atomic_settlement": {"amount": 5_000, "price": 150_000, "trade_id": bytes(16)},
}


@pytest.fixture(scope="module")
def profile() -> Profile:
    return Profile.bind(sidecar_2026_08(), deployed_idls())


def pda(profile: Profile, program: str, *seeds: bytes) -> Pubkey:
    return Pubkey.find_program_address(list(seeds), profile.programs[program].program_id)[0]


def by_name(profile: Profile, name: str, **more: Any) -> dict[str, Any]:
    program, _, instruction = name.partition(".")
    built = profile.prepare(name, QUANTITIES[name], KEYS, VALUES, **more).instruction
    accounts = profile.programs[program].idl.instructions[instruction].accounts
    return {item.name: meta for item, meta in zip(accounts, built.accounts, strict=True)}


def test_every_action_has_its_instructions_and_all_can_be_made(profile: Profile) -> None:
    actions = profile.sidecar.actions
    assert set(actions) == {"submit_energy_reading", "execute_trade", "mint_rec", "update_meter_status"}
    assert {name for names in actions.values() for name in names} == set(QUANTITIES)
    for name, quantities in QUANTITIES.items():
        prepared = profile.prepare(name, quantities, KEYS, VALUES)
        program, _, instruction = name.partition(".")
        coder = profile.programs[program].coder
        assert coder.decode_instruction(bytes(prepared.instruction.data)) == (instruction, dict(prepared.arguments))


def test_quantities_become_the_arguments_units(profile: Profile) -> None:
    def arguments(name: str) -> Any:
        return profile.prepare(name, QUANTITIES[name], KEYS, VALUES).arguments

    seconds = int(START.timestamp())
    assert arguments("oracle.submit_meter_reading")["energy_produced"] == 1_670
    assert arguments("oracle.submit_meter_reading")["reading_timestamp"] == seconds
    assert arguments("energy_token.mint_generation")["window_start_ms"] == seconds * 1_000
    # 1 GRID is 1 kWh of nine decimals.
    assert arguments("energy_token.mint_generation")["amount"] == 1_670_000_000
    assert arguments("trading.execute_atomic_settlement") == {"amount": 5_000_000_000, "price": 150_000, "trade_id": bytes(16)}
    assert arguments("registry.set_meter_status") == {"new_status": "Maintenance"}


def test_what_a_kwh_leaves_over_is_carried_to_the_next_certificate(profile: Profile) -> None:
    name = "governance.issue_erc"
    first = profile.prepare(name, QUANTITIES[name], KEYS, VALUES)
    assert (first.arguments["energy_amount"], first.carried) == (123, {"energy_amount": 456})
    second = profile.prepare(name, QUANTITIES[name] | {"energy_amount": 100_544}, KEYS, VALUES, first.carried)
    assert (second.arguments["energy_amount"], second.carried) == (101, {})


@given(st.lists(st.integers(0, 10**9), max_size=20))
def test_carrying_loses_no_wh(energies: list[int]) -> None:
    certified = carried = 0
    for energy in energies:
        converted = convert("kWh", energy, carried)
        certified, carried = certified + converted.value, converted.carried
        assert 0 <= carried < 1_000
    assert certified * 1_000 + carried == sum(energies)


@pytest.mark.parametrize(
    ("unit", "quantity", "carried", "error"),
    [
        ("s", START.replace(microsecond=1), 0, "is not a whole number of s"),
        ("ms", START.replace(microsecond=1_500), 0, "is not a whole number of ms"),
        ("s", START.replace(tzinfo=None), 0, "a datetime with a time zone"),
        ("s", 1_790_000_000, 0, "a datetime with a time zone"),
        ("Wh", 1.5, 0, "Wh in whole numbers"),
        ("Wh", True, 0, "Wh in whole numbers"),
        ("Wh", 1, 1, "Wh carries no remainder"),
        ("kWh", 1, -1, "is not negative"),
    ],
)
def test_quantities_without_an_exact_form_are_refused(unit: str, quantity: Any, carried: int, error: str) -> None:
    with pytest.raises(UnitError, match=error):
        convert(unit, quantity, carried)
    assert convert("ms", START.replace(microsecond=1_000)).value == int(START.timestamp()) * 1_000 + 1


def test_addresses_are_those_of_the_programs_seeds(profile: Profile) -> None:
    owner, meter = bytes(KEYS["meter_owner"]), METER.encode()
    submit = by_name(profile, "oracle.submit_meter_reading")
    assert submit["oracle_data"].pubkey == pda(profile, "oracle", b"oracle_data")
    assert submit["meter_state"].pubkey == pda(profile, "oracle", b"meter", meter)
    mirror = by_name(profile, "registry.update_meter_reading")
    assert mirror["registry"].pubkey == pda(profile, "registry", b"registry")
    assert mirror["meter_account"].pubkey == pda(profile, "registry", b"meter", owner, meter)
    # The same word as seed, another program.
    assert mirror["oracle_meter_state"].pubkey == submit["meter_state"].pubkey
    status = by_name(profile, "registry.set_meter_status")
    assert status["registry_shard"].pubkey == pda(profile, "registry", b"registry_shard", bytes([owner[0] % 16]))
    mint = by_name(profile, "energy_token.mint_generation")
    window = (int(START.timestamp()) * 1_000).to_bytes(8, "little")
    assert mint["mint_record"].pubkey == pda(profile, "energy_token", b"gen_mint", bytes(range(16)), window)
    assert mint["mint"].pubkey == pda(profile, "energy_token", b"mint_2022")
    assert mint["destination"].pubkey == get_associated_token_address(
        KEYS["meter_owner"], mint["mint"].pubkey, TOKEN_2022_PROGRAM_ID
    )
    erc = by_name(profile, "governance.issue_erc")
    assert erc["erc_certificate"].pubkey == pda(profile, "governance", b"erc_certificate", b"C-1")
    assert erc["meter_account"].pubkey == mirror["meter_account"].pubkey
    assert erc["registry_program"].pubkey == profile.programs["registry"].program_id
    assert erc["rec_token_account"].pubkey == get_associated_token_address(
        KEYS["meter_owner"], erc["rec_mint"].pubkey, TOKEN_PROGRAM_ID
    )
    trade = by_name(profile, "trading.execute_atomic_settlement")
    assert trade["buy_order"].pubkey == pda(profile, "trading", b"order", bytes(KEYS["buyer"]), (7).to_bytes(8, "little"))
    assert trade["sell_order"].pubkey == pda(profile, "trading", b"order", bytes(KEYS["seller"]), (2**63).to_bytes(8, "little"))
    assert trade["trade_nullifier"].pubkey == pda(profile, "trading", b"trade", bytes(16))
    assert trade["loss_collector"].pubkey == pda(profile, "trading", b"loss_collector", bytes(KEYS["currency_mint"]))
    assert trade["energy_mint"].pubkey == mint["mint"].pubkey
    assert trade["governance_config"].pubkey == erc["governance_config"].pubkey


def test_roles_sign_and_nobody_else(profile: Profile) -> None:
    signers = {name: {account for account, meta in by_name(profile, name).items() if meta.is_signer} for name in QUANTITIES}
    assert signers == {
        "oracle.submit_meter_reading": {"authority"},
        "registry.update_meter_reading": {"oracle_authority"},
        "registry.set_meter_status": {"authority"},
        "energy_token.mint_generation": {"authority", "rec_validator", "payer"},
        "governance.issue_erc": {"owner", "authority"},
        "trading.execute_atomic_settlement": {"escrow_authority", "market_authority"},
    }
    assert by_name(profile, "oracle.submit_meter_reading")["authority"].pubkey == KEYS["chain_bridge"]
    assert by_name(profile, "governance.issue_erc")["owner"].pubkey == KEYS["meter_owner"]


def test_a_remainder_of_no_argument_is_not_dropped(profile: Profile) -> None:
    name = "governance.issue_erc"
    with pytest.raises(UnitError, match=r"governance\.issue_erc has no argument energy to carry to"):
        profile.prepare(name, QUANTITIES[name], KEYS, VALUES, {"energy": 456})
    with pytest.raises(UnitError, match="certificate_id: text carries no remainder, 456 was given"):
        profile.prepare(name, QUANTITIES[name], KEYS, VALUES, {"certificate_id": 456})


def test_what_is_missing_is_named(profile: Profile) -> None:
    submit, status = "oracle.submit_meter_reading", "registry.set_meter_status"
    with pytest.raises(AddressError, match="authority: the key chain_bridge was not given"):
        profile.prepare(submit, QUANTITIES[submit], {})
    with pytest.raises(AddressError, match="meter_account: the value meter_id was not given"):
        profile.prepare(status, QUANTITIES[status], KEYS)
    with pytest.raises(AddressError, match="meter_state: the seed meter_id has 33 bytes"):
        profile.prepare(submit, QUANTITIES[submit] | {"meter_id": "M" * 33}, KEYS)
    with pytest.raises(EncodeError, match="args: missing argument zone_id"):
        profile.prepare(submit, {key: value for key, value in QUANTITIES[submit].items() if key != "zone_id"}, KEYS)
    with pytest.raises(EncodeError, match=r"args\.zone_id: 2147483648 is not an i32"):
        profile.prepare(submit, QUANTITIES[submit] | {"zone_id": 2**31}, KEYS)
    with pytest.raises(EncodeError, match=r"args\.energy_produced: -1 is not a u64"):
        profile.prepare(submit, QUANTITIES[submit] | {"energy_produced": -1}, KEYS)
    with pytest.raises(UnitError, match="new_status: 'Active' is none of active, maintenance, suspended, revoked"):
        profile.prepare(status, {"new_status": "Active"}, KEYS, VALUES)
    with pytest.raises(UnitError, match=r"reading_timestamp: .*whole number of s"):
        profile.prepare(submit, QUANTITIES[submit] | {"reading_timestamp": START.replace(microsecond=5)}, KEYS)


def copied(directory: Path, program: str, change: Any) -> Path:
    for path in deployed_idls().glob("*.json"):
        shutil.copy(path, directory)
    raw = json.loads((directory / f"{program}.json").read_text())
    change(raw)
    (directory / f"{program}.json").write_text(json.dumps(raw))
    return directory


def test_a_program_deployed_anew_keeps_its_interface(tmp_path: Path) -> None:
    new = str(Pubkey.from_bytes(bytes([9]) * 32))
    directory = copied(tmp_path, "oracle", lambda raw: raw.update(address=new))
    with pytest.raises(BindingError, match=f"the IDL is of the program {new}"):
        Profile.bind(sidecar_2026_08(), directory)
    profile = Profile.bind(sidecar_2026_08(), directory, {"oracle": new})
    assert (
        str(
            profile.prepare("oracle.submit_meter_reading", QUANTITIES["oracle.submit_meter_reading"], KEYS).instruction.program_id
        )
        == new
    )
    # The registry's instruction follows it.
    assert by_name(profile, "registry.update_meter_reading")["oracle_meter_state"].pubkey == pda(
        profile, "oracle", b"meter", METER.encode()
    )


def test_another_idl_is_taken_by_its_hash_but_not_with_other_arguments(tmp_path: Path) -> None:
    directory = copied(tmp_path, "oracle", lambda raw: raw["errors"].append({"code": 6012, "name": "New"}))
    with pytest.raises(BindingError, match="sha256 of the IDL is") as caught:
        Profile.bind(sidecar_2026_08(), directory)
    sha256 = str(caught.value).split("sha256 of the IDL is ")[1][:64]
    assert Profile.bind(sidecar_2026_08(), directory, accepted={"oracle": sha256}).programs["oracle"].error(6012)
    for path in tmp_path.iterdir():
        path.unlink()

    def older(raw: dict[str, Any]) -> None:
        next(item for item in raw["instructions"] if item["name"] == "submit_meter_reading")["args"].pop()

    with pytest.raises(BindingError, match=r"oracle\.submit_meter_reading: same discriminator, other arguments"):
        Profile.bind(sidecar_2026_08(), copied(tmp_path, "oracle", older), accepted={"oracle": sha256})


def test_missing_files_and_unknown_programs_are_named(tmp_path: Path) -> None:
    with pytest.raises(BindingError, match=r"gridtokenx-2026-08 needs oracle\.json in "):
        Profile.bind(sidecar_2026_08(), tmp_path)
    with pytest.raises(BindingError, match="has no program orcale"):
        Profile.bind(sidecar_2026_08(), deployed_idls(), {"orcale": "x"})


@pytest.mark.parametrize(
    ("account", "error"),
    [
        ('{ name = "a" }', "one source of the address"),
        ('{ name = "a", role = "x", flags = "signer", given = "x" }', "one source of the address"),
        ('{ name = "a", given = "x", flags = "signer" }', "roles sign"),
        ('{ name = "a", role = "x" }', "roles sign"),
        ('{ name = "a", given = "x", program = "p" }', "program goes with pda"),
        ('{ name = "a", pda = ["meter"] }', "String should match pattern"),
        ('{ name = "a", pad = ["text:meter"] }', "Extra inputs are not permitted"),
    ],
)
def test_sidecars_are_read_strictly(account: str, error: str) -> None:
    text = f"""
        profile = "p"
        spec = "0.1.0"
        [actions]
        [programs.p]
        program_id = "1"
        idl_sha256 = "{"0" * 64}"
        [programs.p.instructions.i]
        discriminator = "01"
        arguments = [{{ name = "n", type = "u8", unit = "Wh" }}]
        accounts = [{account}]
    """
    with pytest.raises(ValidationError, match=error):
        parse_sidecar(text)
    good = text.replace(account, '{ name = "a", given = "x" }')
    assert parse_sidecar(good).rule("p.i").layout().accounts == ("a",)
    for wrong, other in (
        (good.replace('"Wh"', '"MWh"'), "no unit is named 'MWh'"),
        (good.replace('"Wh"', '"choice"'), "choices go with the unit choice"),
        (good.replace("[actions]", '[actions]\ndo = ["p.j"]'), "no instruction is named p.j"),
    ):
        with pytest.raises(ValidationError, match=other):
            parse_sidecar(wrong)
