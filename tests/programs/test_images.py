from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess

import pytest
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from svm_world import LOADER, SYSTEM, Outcome, World, altered, key, program_data

from gridtokenx_pipeline.solana.programs import images
from gridtokenx_pipeline.solana.programs.addresses import config_address, meter_address
from gridtokenx_pipeline.solana.programs.images import PROGRAMS, ROOT, ProgramError, idl, image, local_keypair, program_id

RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")


@pytest.mark.skipif(
    shutil.which(os.environ.get("CLANG", "clang-19")) is None,
    reason="NOT CHECKED that programs/bin is what the sources make: clang-19 is missing (apt-get install clang-19)",
)
def test_the_committed_images_are_what_the_sources_make(tmp_path):
    subprocess.run([ROOT / "build.sh", tmp_path], check=True, timeout=120)

    committed = {path.name: path.read_bytes() for path in (ROOT / "bin").iterdir()}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == committed


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_idl_says_what_anchor_would(program: str):
    described = idl(program)
    assert (described["metadata"]["name"], described["metadata"]["spec"]) == (program, "0.1.0")
    for space, part in (("global", "instructions"), ("account", "accounts"), ("event", "events")):
        for each in described[part]:
            digest = hashlib.sha256(f"{space}:{each['name']}".encode()).digest()
            assert bytes(each["discriminator"]) == digest[:8]
    named = {kind["name"] for kind in described["types"]}
    assert {each["name"] for part in ("accounts", "events") for each in described[part]} <= named
    assert [error["code"] for error in described["errors"]] == list(range(6000, 6000 + len(described["errors"])))
    assert program_id(program) == local_keypair(program).pubkey()


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_upgradeable_loader_deploys_it_under_the_rules_of_mainnet(program: str):
    svm = LiteSVM().with_mainnet_features().with_sigverify(False)
    payer, id_, buffer = (key(name).pubkey() for name in ("payer", "id", "buffer"))
    elf = image(program)
    svm.set_account(payer, Account(10**12, b"", SYSTEM))
    svm.set_account(buffer, Account(10**10, struct.pack("<IB", 1, 1) + bytes(payer) + elf, LOADER))
    svm.set_account(id_, Account(10**10, bytes(36), LOADER))
    metas = [AccountMeta(payer, True, True), *(AccountMeta(each, False, True) for each in (program_data(id_), id_, buffer))]
    metas += [*(AccountMeta(each, False, False) for each in (RENT, CLOCK, SYSTEM)), AccountMeta(payer, True, False)]
    deploy = Instruction(LOADER, struct.pack("<IQ", 2, len(elf)), metas)

    message = Message.new_with_blockhash([deploy], payer, svm.latest_blockhash())
    outcome = Outcome(svm.send_transaction(Transaction.new_unsigned(message)))

    assert outcome.error is None, outcome.logs
    assert bytes(svm.get_account(program_data(id_)).data)[45:] == elf


def test_images_serve_under_other_ids(world: World):
    """Programs deployed under a cluster's own ids know each other, and not the local ones."""
    ids = {name: key(f"another {name}").pubkey() for name in PROGRAMS}
    for name in ("governance", "registry"):
        world.svm.add_program(ids[name], image(name, ids))
    config = Pubkey.find_program_address([b"config"], ids["governance"])[0]
    meter = Pubkey.find_program_address([b"meter", b"m" * 32], ids["registry"])[0]
    initialize = altered(altered(world.initialize_ix(), 1, key=config), 2, key=ids["governance"])
    initialize = altered(initialize, 3, key=program_data(ids["governance"]))
    register = altered(world.register_ix(b"m" * 32), 2, key=meter)
    elsewhere = [Instruction(ids["governance"], initialize.data, initialize.accounts)]
    elsewhere.append(Instruction(ids["registry"], register.data, altered(register, 1, key=config).accounts))

    assert world.send(*elsewhere).error is None
    assert world.data(meter) is not None
    world.initialize()
    assert world.send(Instruction(ids["registry"], register.data, register.accounts)).error == (0, 3007)
    assert world.data(config_address()) is not None
    assert world.data(meter_address(b"m" * 32)) is None


def test_every_id_a_program_checks_is_in_its_image_once():
    checked = {
        "governance": set(),
        "registry": {"governance"},
        "oracle": {"governance", "registry"},
        "trading": {"governance"},
        "energy_token": {"governance", "registry", "oracle"},
    }
    for program, others in checked.items():
        counts = {name: image(program).count(bytes(program_id(name))) for name in PROGRAMS}
        assert counts == {name: int(name in others) for name in PROGRAMS}


def test_an_image_that_was_changed_is_refused(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "bin", tmp_path / "bin")
    path = tmp_path / "bin" / "oracle.so"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    monkeypatch.setattr(images, "ROOT", tmp_path)

    with pytest.raises(ProgramError, match=r"oracle\.so"):
        image("oracle")


def test_anchors_codes_for_what_is_no_instruction(governed: World):
    ix = governed.register_ix(b"m" * 32)
    for data, code in ((b"", 100), (ix.data[:7], 100), (bytes(8), 101), (ix.data[:-1], 102), (ix.data + b"\0", 102)):
        assert governed.send(Instruction(ix.program_id, data, ix.accounts)).code == code
    assert governed.send(Instruction(ix.program_id, ix.data, ix.accounts[:-1])).code == 3005
    assert (
        governed.send(Instruction(ix.program_id, ix.data, [*ix.accounts, AccountMeta(key("x").pubkey(), False, False)])).code
        == 3005
    )
