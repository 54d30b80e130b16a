"""The programs in a node: there from genesis, the operator's to initialize, the same after a restart, used over HTTP."""

from __future__ import annotations

import datetime as dt
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Processed
from solana.rpc.core import RPCException
from solana.rpc.models import TxOpts
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from gridtokenx_pipeline.solana import keys
from gridtokenx_pipeline.solana.node import genesis
from gridtokenx_pipeline.solana.node.bank import Bank
from gridtokenx_pipeline.solana.node.genesis import OPERATOR_FILE, open_ledger, operator_of
from gridtokenx_pipeline.solana.node.ledger import Ledger, LedgerError
from gridtokenx_pipeline.solana.node.rpc import application
from gridtokenx_pipeline.solana.programs.addresses import config_address, identifier, meter_address, state_address
from gridtokenx_pipeline.solana.programs.contents import Contents, window_counted
from gridtokenx_pipeline.solana.programs.images import PROGRAMS, image, program_id
from gridtokenx_pipeline.solana.programs.instructions import Programs
from gridtokenx_pipeline.solana.programs.loader import program_data_address, read_program, read_program_data

T0 = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
WINDOW = int(T0.timestamp()) // 300 - 1
METER = identifier("meter", "AMI_METER_STANFORD_ENG_001")
CONTENTS, CALLS = Contents(), Programs()


def founded(directory: Path, operator: Pubkey | None = None) -> Ledger:
    return open_ledger(directory, now_ms=int(T0.timestamp() * 1000), slot_ms=None, operator=operator)


class Node:
    """A node behind HTTP on a clock that stands still, and a client of it."""

    def __init__(self, directory: Path):
        self.directory = directory

    async def __aenter__(self) -> Node:
        self.ledger = founded(self.directory)
        self.bank = Bank(self.ledger, lambda: T0)
        self.server = TestServer(application(self.bank))
        await self.server.start_server()
        self.client = AsyncClient(str(self.server.make_url("/")), commitment=Processed)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        await self.server.close()
        self.ledger.close()

    async def send(self, signer: Keypair, *instructions: Instruction) -> None:
        blockhash = (await self.client.get_latest_blockhash(Processed)).value.blockhash
        message = MessageV0.try_compile(signer.pubkey(), list(instructions), [], blockhash)
        transaction = VersionedTransaction(message, [signer])
        sent = await self.client.send_raw_transaction(bytes(transaction), TxOpts(preflight_commitment=Processed))
        assert (await self.client.get_signature_statuses([sent.value])).value[0].err is None

    async def fields(self, address: Pubkey) -> dict:
        account = (await self.client.get_account_info(address, Processed)).value
        return dict(CONTENTS.account(account.owner, account.data).fields)


async def test_a_client_initializes_registers_syncs_submits_and_reads_back(tmp_path: Path):
    async with Node(tmp_path / "node") as node:
        operator = keys.load(tmp_path / "node" / OPERATOR_FILE)
        submitter, certifier, stranger = Keypair(), Keypair(), Keypair()
        for each in (operator, submitter, stranger):
            await node.client.request_airdrop(each.pubkey(), 10**10)
        roles = {"submitter": submitter.pubkey(), "certifier": certifier.pubkey(), "window_seconds": 300}
        with pytest.raises(RPCException) as refused:
            await node.send(stranger, CALLS.governance.initialize(stranger.pubkey(), **roles))
        assert refused.value.args[0].data.err.err.code == 6000
        await node.send(operator, CALLS.governance.initialize(operator.pubkey(), **roles))
        await node.send(
            submitter,
            CALLS.registry.register_meter(submitter.pubkey(), meter_id=METER, owner=stranger.pubkey(), limit_wh=5000),
            CALLS.oracle.sync_meter(submitter.pubkey(), meter_id=METER),
        )
        reading = {"meter_id": METER, "window": WINDOW, "produced_wh": 1200, "consumed_wh": 34}
        await node.send(submitter, CALLS.oracle.submit_energy_reading(submitter.pubkey(), **reading))

        async def read() -> list[dict]:
            return [await node.fields(address) for address in (config_address(), meter_address(METER), state_address(METER))]

        config, meter, state = before = await read()
        assert (config["authority"], config["window_seconds"]) == (operator.pubkey(), 300)
        assert meter["owner"] == stranger.pubkey()
        assert (state["produced_wh"], state["consumed_wh"], state["readings"]) == (1200, 34, 1)
        assert (window_counted(state, WINDOW), window_counted(state, WINDOW - 1)) == (True, False)

    async with Node(tmp_path / "node") as node:
        assert await read() == before


def test_programs_are_there_from_genesis_upgradeable_by_the_operator(tmp_path: Path):
    operator = Keypair().pubkey()
    ledger = founded(tmp_path, operator)
    bank = Bank(ledger, lambda: T0)
    for name in PROGRAMS:
        account = bank.account(program_id(name))
        assert account.executable
        assert read_program(bytes(account.data)) == program_data_address(program_id(name))
        held = bank.account(program_data_address(program_id(name)))
        found = read_program_data(bytes(held.data))
        assert (found.slot, found.authority, found.image) == (0, operator, image(name))
        assert held.lamports == bank.rent_exemption(len(held.data))
    ledger.close()
    assert not (tmp_path / OPERATOR_FILE).exists()


def test_the_operator_is_made_once_for_its_owner_and_fixed_at_genesis(tmp_path: Path):
    ledger = founded(tmp_path)
    operator = operator_of(ledger)
    ledger.close()
    path = tmp_path / OPERATOR_FILE
    assert (keys.load(path).pubkey(), stat.S_IMODE(path.stat().st_mode)) == (operator, 0o600)
    again = founded(tmp_path, operator)
    again.close()
    with pytest.raises(LedgerError, match="fixed at genesis"):
        founded(tmp_path, Keypair().pubkey())
    founded(tmp_path).close()  # what was refused has let go of the ledger


def test_a_ledger_keeps_the_images_of_its_genesis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ledger = founded(tmp_path)
    before = ledger.programs()
    ledger.close()
    monkeypatch.setattr(genesis, "image", lambda name: b"another build")

    ledger = founded(tmp_path)

    assert ledger.programs() == before
    assert {each.image for each in before} == {image(name) for name in PROGRAMS}
    Bank(ledger, lambda: T0)
    ledger.close()


def test_a_ledger_from_before_the_programs_still_serves(tmp_path: Path):
    ledger = Ledger(tmp_path, now_ms=int(T0.timestamp() * 1000))
    bank = Bank(ledger, lambda: T0)
    signature = bank.airdrop(Keypair().pubkey(), 10**9)
    ledger.close()
    db = sqlite3.connect(tmp_path / "ledger.sqlite")
    db.execute("UPDATE genesis SET schema_version = 1")
    db.execute("ALTER TABLE genesis DROP COLUMN slot_hashes_from_seq")
    db.execute("DROP TABLE genesis_programs")
    db.commit()

    ledger = founded(tmp_path)

    bank = Bank(ledger, lambda: T0)
    assert bank.entry(signature) is not None
    assert (bank.account(program_id("governance")), operator_of(ledger)) == (None, None)
    ledger.close()
    db.execute("UPDATE genesis SET schema_version = 4")
    db.commit()
    db.close()
    with pytest.raises(LedgerError, match="schema 4"):
        founded(tmp_path)


def test_a_process_says_who_its_operator_is(node_process, tmp_path: Path):
    node = node_process()
    assert keys.load(node.directory / OPERATOR_FILE).pubkey() is not None
    node.stop()
    command = [sys.executable, "-m", "gridtokenx_pipeline.solana.node", "--port", "0", "--dir", str(node.directory)]
    for operator, message in ((str(Keypair().pubkey()), "fixed at genesis"), ("somebody", "is no public key")):
        refused = subprocess.run([*command, "--operator", operator], capture_output=True, text=True, timeout=30)
        assert (refused.returncode != 0, message in refused.stderr, refused.stdout) == (True, True, "")
