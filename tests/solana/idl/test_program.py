"""A program is bound to its id, its IDL and what its instructions take."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from deployed_idls import deployed_idl
from idl_documents import document, idl_named
from solders.instruction import AccountMeta
from solders.pubkey import Pubkey

from gridtokenx_pipeline.solana.idl import (
    BindingError,
    EncodeError,
    Expected,
    Idl,
    Layout,
    Program,
    account_list,
    argument_list,
    parse_idl,
)

KEY, OTHER = (Pubkey.from_bytes(bytes([byte]) * 32) for byte in (1, 2))


def expected_of(idl: Idl, *names: str) -> Expected:
    layouts = {name: idl.instructions[name] for name in names}
    return Expected(
        idl.sha256,
        {name: Layout(item.discriminator, argument_list(idl, item), account_list(item)) for name, item in layouts.items()},
    )


def bound(idl: Idl, *names: str) -> Program:
    return Program(idl, Pubkey.from_string(idl.address), expected_of(idl, *names))


def oracle() -> dict[str, Any]:
    document_: dict[str, Any] = json.loads((deployed_idl("oracle")).read_text())
    return document_


def test_lists_are_written_out() -> None:
    trading, registry, oracle_ = (idl_named(name) for name in ("trading", "registry", "oracle"))
    payload = (
        "{order_id: [u8; 16], user: pubkey, energy_amount: u64, price_per_kwh: u64, side: u8, zone_id: u32, expires_at: i64}"
    )
    pair = f"{{buyer_payload: {payload}, seller_payload: {payload}, match_amount: u64, match_price: u64, trade_id: [u8; 16]}}"
    assert argument_list(trading, trading.instructions["batch_settle_offchain_match"])[0] == f"matches: vec<{pair}>"
    assert argument_list(registry, registry.instructions["set_meter_status"]) == (
        "new_status: enum{Active, Inactive, Maintenance}",
    )
    assert account_list(oracle_.instructions["submit_meter_reading"]) == (
        "oracle_data",
        "meter_state: writable",
        "authority: writable signer",
        "system_program",
    )
    everything = idl_named("everything")
    assert argument_list(everything, everything.instructions["tree"]) == ("root: {value: u8, children: vec<Tree>}",)
    assert argument_list(everything, everything.instructions["generic"])[0] == "buffer: {used: u8, data: [u8; 4]}"


def test_an_earlier_generation_with_the_same_discriminator_is_refused() -> None:
    """February 2026: `submit_meter_reading` had four arguments and two accounts under the discriminator it has today."""
    today = idl_named("oracle")
    raw = oracle()
    submit = next(item for item in raw["instructions"] if item["name"] == "submit_meter_reading")
    four_arguments = copy.deepcopy(raw)
    next(item for item in four_arguments["instructions"] if item["name"] == submit["name"])["args"].pop()
    two_accounts = copy.deepcopy(raw)
    next(item for item in two_accounts["instructions"] if item["name"] == submit["name"])["accounts"][2:] = []
    expected = expected_of(today, "submit_meter_reading")
    program_id = Pubkey.from_string(today.address)
    with pytest.raises(
        BindingError, match=r"same discriminator, other arguments: the IDL has \(meter_id: string, .*reading_timestamp: i64\), "
    ):
        Program(parse_idl(four_arguments), program_id, expected)
    with pytest.raises(BindingError, match="same discriminator, other accounts: "):
        Program(parse_idl(two_accounts), program_id, expected)
    # Even where somebody takes the new hash over without looking.
    blindly = Expected(parse_idl(four_arguments).sha256, expected.instructions)
    with pytest.raises(BindingError, match="other arguments"):
        Program(parse_idl(four_arguments), program_id, blindly)


def test_a_type_that_changed_behind_its_name_is_refused() -> None:
    raw = json.loads((deployed_idl("trading")).read_text())
    payload = next(item for item in raw["types"] if item["name"] == "OffchainOrderPayload")
    payload["type"]["fields"][5]["type"] = "i32"
    today = idl_named("trading")
    with pytest.raises(BindingError, match="settle_offchain_match: same discriminator, other arguments"):
        Program(parse_idl(raw), Pubkey.from_string(today.address), expected_of(today, "settle_offchain_match"))


def test_anything_else_that_changed_is_refused_by_the_hash() -> None:
    raw, today = oracle(), idl_named("oracle")
    raw["errors"].pop()
    with pytest.raises(BindingError, match=r"sha256 of the IDL is [0-9a-f]{64}, a8852ef7[0-9a-f]* is bound"):
        Program(parse_idl(raw), Pubkey.from_string(today.address), expected_of(today, "submit_meter_reading"))


def test_other_programs_and_instructions_are_refused() -> None:
    idl = idl_named("oracle")
    with pytest.raises(BindingError, match="the IDL is of the program 64Vgos"):
        Program(idl, KEY, expected_of(idl, "submit_meter_reading"))
    layout = expected_of(idl, "submit_meter_reading").instructions["submit_meter_reading"]
    program_id = Pubkey.from_string(idl.address)
    with pytest.raises(BindingError, match="no such instruction"):
        Program(idl, program_id, Expected(idl.sha256, {"submit_energy_reading": layout}))
    with pytest.raises(BindingError, match="discriminator b5f7c48b4e58c0ce, ee282d8e3653fdc9 is bound"):
        Program(
            idl,
            program_id,
            Expected(
                idl.sha256, {"submit_meter_reading": expected_of(idl, "aggregate_readings").instructions["aggregate_readings"]}
            ),
        )
    with pytest.raises(BindingError, match=r"oracle\.aggregate_readings is not bound"):
        bound(idl, "submit_meter_reading").instruction("aggregate_readings", {}, {})


def test_an_instruction_has_the_idls_accounts_in_its_order() -> None:
    program = bound(idl_named("oracle"), "submit_meter_reading")
    args = {"meter_id": "M", "energy_produced": 1, "energy_consumed": 2, "reading_timestamp": 3, "zone_id": -1}
    accounts = {"system_program": KEY, "authority": OTHER, "oracle_data": KEY, "meter_state": OTHER}
    extra = AccountMeta(KEY, is_signer=False, is_writable=False)
    built = program.instruction("submit_meter_reading", args, accounts, [extra])
    assert built.program_id == program.program_id
    assert (
        bytes(built.data).hex()
        == "b5f7c48b4e58c0ce" + "010000004d" + "01" + "00" * 7 + "02" + "00" * 7 + "03" + "00" * 7 + "ff" * 4
    )
    assert [(meta.pubkey, meta.is_writable, meta.is_signer) for meta in built.accounts] == [
        (KEY, False, False),
        (OTHER, True, False),
        (OTHER, True, True),
        (KEY, False, False),
        (KEY, False, False),
    ]
    for wrong, error in (
        ({"oracle_data": KEY}, "accounts: missing account meter_state, authority, system_program"),
        (accounts | {"payer": KEY}, "accounts: unknown account payer"),
        (accounts | {"authority": None}, "accounts.authority: must be given"),
    ):
        with pytest.raises(EncodeError) as caught:
            program.instruction("submit_meter_reading", args, wrong)
        assert str(caught.value) == error


def test_an_optional_account_left_out_is_the_program_itself() -> None:
    raw = document(instructions=[{"name": "go", "discriminator": [1], "args": [], "accounts": [
        {"name": "helper", "writable": True, "signer": True, "optional": True}, {"name": "fixed", "address": str(KEY)}]}])  # fmt: skip
    program = bound(parse_idl(raw), "go")
    left_out = program.instruction("go", {}, {"helper": None, "fixed": KEY}).accounts[0]
    assert (left_out.pubkey, left_out.is_signer, left_out.is_writable) == (program.program_id, False, False)
    assert program.instruction("go", {}, {"helper": OTHER, "fixed": KEY}).accounts[0].is_signer
    with pytest.raises(EncodeError, match=r"accounts\.fixed: must be "):
        program.instruction("go", {}, {"helper": None, "fixed": OTHER})


def test_errors_are_found_by_code_and_unknown_ones_are_nothing() -> None:
    program = bound(idl_named("oracle"), "submit_meter_reading")
    error = program.error(6004)
    assert error is not None
    assert (error.name, error.message) == ("AnomalousReading", "Anomalous reading detected")
    assert program.error(6999) is None
