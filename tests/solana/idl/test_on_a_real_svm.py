"""A program that runs takes what was written by its IDL, and what it stores and says reads back."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest
from deployed_idls import deployed_idl
from solders.pubkey import Pubkey

from gridtokenx_pipeline.solana.idl import Expected, Layout, Program, account_list, argument_list, read_idl
from gridtokenx_pipeline.solana.programs.addresses import config_address, identifier, meter_address, state_address
from gridtokenx_pipeline.solana.programs.images import PROGRAMS, ROOT

sys.path.insert(0, str(Path(__file__).parents[2] / "programs"))

from svm_world import SYSTEM, World

OWNER = Pubkey.from_bytes(bytes(range(32)))


def program(name: str) -> Program:
    idl = read_idl(ROOT / name / "idl.json")
    layouts = {
        key: Layout(item.discriminator, argument_list(idl, item), account_list(item)) for key, item in idl.instructions.items()
    }
    return Program(idl, Pubkey.from_string(idl.address), Expected(idl.sha256, layouts))


@pytest.mark.parametrize("name", PROGRAMS)
def test_our_own_idls_are_taken_as_strictly_as_others(name: str) -> None:
    bound = program(name)
    assert bound.idl.name == name
    # Ours and theirs share names and discriminators, and are told apart all the same.
    theirs = read_idl(deployed_idl(name))
    assert theirs.sha256 != bound.idl.sha256


def test_instructions_accounts_events_and_errors_of_a_running_program() -> None:
    world = World()
    world.initialize()
    registry, oracle = program("registry"), program("oracle")
    meter_id = identifier("meter", "AMI_METER_STANFORD_ENG_001")
    meter, submitter = meter_address(meter_id), world.submitter.pubkey()
    shared = {"submitter": submitter, "config": config_address(), "meter": meter}
    register = registry.instruction(
        "register_meter", {"meter_id": meter_id, "owner": OWNER, "limit_wh": 2_000}, shared | {"system_program": SYSTEM}
    )
    outcome = world.send(register)
    assert outcome.error is None
    events = [base64.b64decode(line.split()[2]) for line in outcome.logs if line.startswith("Program data: ")]
    (name, event), *_ = [registry.coder.decode_event(data) for data in events]
    assert (name, event["meter_id"], event["owner"]) == ("MeterRegistered", meter_id, OWNER)

    stored = world.data(meter)
    assert stored is not None
    assert registry.coder.account_name(stored) == "Meter"
    content = registry.coder.decode_account("Meter", stored)
    assert (content["meter_id"], content["owner"], content["limit_wh"]) == (meter_id, OWNER, 2_000)

    state = state_address(meter_id)
    payer = world.payer.pubkey()
    sync = oracle.instruction("sync_meter", {}, {"payer": payer, "meter": meter, "state": state, "system_program": SYSTEM})
    assert world.send(sync).error is None
    readings = {"window": 6_000_000 - 2, "produced_wh": 1_670, "consumed_wh": 900}
    accounts = {"submitter": submitter, "config": config_address(), "state": state}
    assert world.send(oracle.instruction("submit_energy_reading", readings, accounts)).error is None
    too_much = oracle.instruction("submit_energy_reading", readings | {"window": 6_000_000 - 1, "produced_wh": 2_001}, accounts)
    code = world.send(too_much).code
    assert isinstance(code, int)
    assert oracle.error(code) is not None
