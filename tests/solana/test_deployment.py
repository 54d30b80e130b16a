"""Deploying through the upgradeable loader on the local node, which knows no shortcut to it."""

from __future__ import annotations

import hashlib
import json
import struct
from collections import Counter

import pytest
from aiohttp import web
from solders.account import Account
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from typer.testing import CliRunner

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.cli import app
from gridtokenx_pipeline.solana import keys
from gridtokenx_pipeline.solana.client import RpcUnavailable
from gridtokenx_pipeline.solana.node.bank import Bank
from gridtokenx_pipeline.solana.node.ledger import Ledger
from gridtokenx_pipeline.solana.programs import loader
from gridtokenx_pipeline.solana.programs.addresses import identifier, meter_address
from gridtokenx_pipeline.solana.programs.deployment import (
    MAINNET_BETA,
    PART_BYTES,
    Deployer,
    DeployFailed,
    DeployRefused,
    check_cluster,
)
from gridtokenx_pipeline.solana.programs.images import PROGRAMS, image, local_keypair, program_id
from gridtokenx_pipeline.solana.programs.instructions import Programs

METER = identifier("meter", "AMI_METER_STANFORD_ENG_001")
SOL = 10**9


class Cluster:
    """A node without programs, a payer with 10 SOL, and who deploys for it."""

    def __init__(self, node, connect, **options):
        self.node, self.bank = node, node.bank
        self.rpc = connect(node.url, **options)
        self.payer = Keypair()
        self.bank.airdrop(self.payer.pubkey(), 10 * SOL)
        self.deployer = self.of(self.payer)

    def of(self, payer):
        return Deployer(self.rpc, payer, poll_s=0.02)

    def sign(self, signer, *instructions):
        blockhash = self.bank.blockhash(self.bank.slot)
        return VersionedTransaction(MessageV0.try_compile(signer.pubkey(), list(instructions), [], blockhash), [signer])

    def land(self, signer, *instructions):
        transaction = self.sign(signer, *instructions)
        outcome = self.bank.submit(bytes(transaction), transaction)
        assert outcome.err is None, outcome.logs

    def image_at(self, address):
        return loader.read_program_data(bytes(self.bank.account(loader.program_data_address(address)).data)).image

    def writes(self):
        """How often each offset of a buffer was written by what landed."""
        found = Counter()
        for entry in self.node.ledger.entries():
            message = VersionedTransaction.from_bytes(entry.raw).message
            for each in message.instructions:
                data = bytes(each.data)
                ours = message.account_keys[each.program_id_index] == loader.LOADER
                if ours and data[:4] == struct.pack("<I", 1):
                    found[struct.unpack_from("<I", data, 4)[0]] += 1
        return found


@pytest.fixture
async def cluster(start_node, connect):
    return Cluster(await start_node(slot_ms=20), connect)


async def deployed(cluster, program="registry", key=None, data=None, deployer=None):
    deployer = deployer or cluster.deployer
    work = await deployer.survey(program, key or local_keypair(program), data or image(program))
    return work, await deployer.carry_out(work)


async def test_programs_deployed_by_parts_work_and_cost_what_was_said(cluster):
    before, landed = cluster.bank.balance(cluster.payer.pubkey()), []
    works = [await cluster.deployer.survey(name, local_keypair(name), image(name)) for name in PROGRAMS]
    assert {work.action for work in works} == {"deploy"}
    for work in works:
        digest = await cluster.deployer.carry_out(work, lambda: landed.append(1))
        assert digest == hashlib.sha256(image(work.program)).hexdigest()
        assert cluster.image_at(work.program_id) == image(work.program)

    assert len(landed) == sum(work.transactions for work in works)
    spent = before - cluster.bank.balance(cluster.payer.pubkey())
    assert spent == sum(work.fee_lamports + work.rent_lamports for work in works)
    calls, payer = Programs(), cluster.payer
    roles = {"submitter": payer.pubkey(), "certifier": Keypair().pubkey(), "window_seconds": 300}
    stranger = Keypair()
    cluster.bank.airdrop(stranger.pubkey(), SOL)
    foreign = cluster.sign(stranger, calls.governance.initialize(stranger.pubkey(), **roles))
    assert cluster.bank.simulate(foreign).err == {"InstructionError": [0, {"Custom": 6000}]}
    cluster.land(payer, calls.governance.initialize(payer.pubkey(), **roles))
    cluster.land(payer, calls.registry.register_meter(payer.pubkey(), meter_id=METER, owner=payer.pubkey(), limit_wh=1))
    assert cluster.bank.account(meter_address(METER)).owner == program_id("registry")
    again = [await cluster.deployer.survey(work.program, work.key, work.image) for work in works]
    assert {(work.action, work.transactions, work.fee_lamports) for work in again} == {("none", 0, 0)}
    assert await cluster.deployer.carry_out(again[0]) == hashlib.sha256(works[0].image).hexdigest()


def sending(handle):
    """A middleware that lets `handle(request, number)` answer the `number`-th sendTransaction, or not (`None`)."""
    seen = Counter()

    @web.middleware
    async def middleware(request, handler):
        body = json.loads(await request.text())
        if body.get("method") == "sendTransaction":
            seen["sent"] += 1
            answer = handle(body, seen["sent"])
            if answer is not None:
                return answer
        return await handler(request)

    return middleware


async def test_a_run_that_broke_off_is_taken_up_by_the_next(start_node, connect):
    broken = [True]

    def refuse(_, number):
        return web.Response(status=503) if broken[0] and number > 4 else None

    cluster = Cluster(await start_node(sending(refuse), slot_ms=20), connect, patience_s=0.2)
    first = await cluster.deployer.survey("oracle", local_keypair("oracle"), image("oracle"))
    with pytest.raises(RpcUnavailable):
        await cluster.deployer.carry_out(first)
    written = cluster.writes()
    assert 0 < len(written) < len(first.missing)

    broken[0] = False
    second, digest = await deployed(cluster, "oracle")

    assert (second.new_buffer, second.lent_lamports) == (False, 0)
    assert set(second.missing) == set(first.missing) - set(written)
    assert digest == hashlib.sha256(image("oracle")).hexdigest()
    assert cluster.writes() == dict.fromkeys(first.missing, 1)


async def test_what_was_swallowed_is_signed_again_when_it_can_no_longer_land(start_node, connect):
    swallowed = set()

    def swallow(body, number):
        # Whatever is sent third to tenth is acknowledged and never lands, however often it is sent.
        if 3 <= number <= 10:
            swallowed.add(body["params"][0])
        if body["params"][0] in swallowed:
            return web.json_response({"jsonrpc": "2.0", "id": body["id"], "result": str(Keypair().sign_message(b""))})
        return None

    cluster = Cluster(await start_node(sending(swallow), slot_ms=4), connect)

    work, digest = await deployed(cluster, "registry")

    assert digest == hashlib.sha256(work.image).hexdigest()
    assert swallowed
    assert cluster.writes() == dict.fromkeys(work.missing, 1)


async def test_another_image_is_an_upgrade_for_the_payer_alone(cluster):
    key, stranger = Keypair(), Keypair()
    cluster.bank.airdrop(stranger.pubkey(), SOL)
    await deployed(cluster, key=key)
    ids = dict.fromkeys(["governance"], stranger.pubkey())

    with pytest.raises(DeployRefused, match=f"{cluster.payer.pubkey()} may upgrade it"):
        await deployed(cluster, key=key, data=image("registry", ids), deployer=cluster.of(stranger))
    before = cluster.bank.balance(cluster.payer.pubkey())
    work, _ = await deployed(cluster, key=key, data=image("registry", ids))

    assert (work.action, work.rent_lamports) == ("upgrade", 0)
    assert cluster.image_at(key.pubkey()) == image("registry", ids)
    assert before - cluster.bank.balance(cluster.payer.pubkey()) == work.fee_lamports
    with pytest.raises(DeployRefused, match="solana program extend"):
        await deployed(cluster, "oracle", key=key)


async def test_what_is_to_be_done_shows_no_secret(cluster):
    work = await cluster.deployer.survey("registry", local_keypair("registry"), image("registry"))
    shown = repr(work) + repr(await cluster.deployer._last(work, Keypair().pubkey()))
    assert str(local_keypair("registry")) not in shown


async def test_an_image_that_the_loader_rejects_is_not_deployed(cluster):
    key = Keypair()
    with pytest.raises(DeployFailed, match=r"registry: .*InvalidAccountData"):
        await deployed(cluster, key=key, data=image("registry")[:-8] + b"\xff" * 8)
    assert cluster.bank.account(key.pubkey()) is None


async def test_lamports_sent_ahead_do_not_keep_an_address(cluster):
    key = Keypair()
    buffer = cluster.deployer._buffer(key, image("registry")).pubkey()
    for address in (key.pubkey(), buffer):
        cluster.bank.airdrop(address, SOL)

    await deployed(cluster, key=key)

    assert cluster.image_at(key.pubkey()) == image("registry")


@pytest.mark.parametrize(
    ("owner", "data", "message"),
    [
        (Pubkey.default(), b"taken", "is taken by an account of 1111"),
        (loader.LOADER, struct.pack("<IB", 1, 0) + bytes(32), "is taken by an account of BPFLoaderUpgradeab1e"),
        (loader.LOADER, None, "was closed; its id can never be used again"),
    ],
)
async def test_an_id_that_is_something_else_is_refused(cluster, owner, data, message):
    key = Keypair()
    data = loader.program_account(key.pubkey()) if data is None else data
    cluster.bank._svm.set_account(key.pubkey(), Account(SOL, data, owner))

    with pytest.raises(DeployRefused, match=message):
        await cluster.deployer.survey("registry", key, image("registry"))


async def test_a_final_program_and_a_foreign_buffer_are_refused(cluster):
    key, other = Keypair(), image("registry", {"governance": Keypair().pubkey()})
    await deployed(cluster, key=key)
    address = loader.program_data_address(key.pubkey())
    final = struct.pack("<IQB", 3, 0, 0) + bytes(32) + image("registry")
    cluster.bank._svm.set_account(address, Account(SOL, final, loader.LOADER))
    with pytest.raises(DeployRefused, match="it is final"):
        await cluster.deployer.survey("registry", key, other)
    assert (await cluster.deployer.survey("registry", key, image("registry"))).action == "none"
    new = Keypair()
    foreign = struct.pack("<IB", 1, 1) + bytes(Keypair().pubkey()) + other
    cluster.bank._svm.set_account(cluster.deployer._buffer(new, other).pubkey(), Account(SOL, foreign, loader.LOADER))
    with pytest.raises(DeployRefused, match="not as this payer makes it"):
        await cluster.deployer.survey("registry", new, other)


async def test_an_image_that_differs_from_what_was_meant_is_noticed(cluster):
    work, _ = await deployed(cluster)
    held = loader.program_data_account(work.image[:-1] + b"\1", cluster.payer.pubkey())
    cluster.bank._svm.set_account(loader.program_data_address(work.program_id), Account(SOL, held, loader.LOADER))
    settled = await cluster.deployer.survey("governance", local_keypair("governance"), image("governance"))

    with pytest.raises(DeployFailed, match="has sha256"):
        await cluster.deployer._verify(work)
    with pytest.raises(DeployFailed, match="there is no program"):
        await cluster.deployer._verify(settled)


async def test_mainnet_beta_is_known_by_its_genesis(cluster):
    await check_cluster(cluster.rpc, allow_mainnet=False)
    cluster.bank.genesis_hash = Hash.from_string(MAINNET_BETA)
    with pytest.raises(DeployRefused, match="--i-know"):
        await check_cluster(cluster.rpc, allow_mainnet=False)
    await check_cluster(cluster.rpc, allow_mainnet=True)


def test_a_write_fills_a_transaction():
    payer, buffer = Keypair(), Keypair().pubkey()

    def size(part):
        message = MessageV0.try_compile(payer.pubkey(), [loader.write(buffer, payer.pubkey(), 0, part)], [], Hash.default())
        return len(bytes(VersionedTransaction(message, [payer])))

    assert (size(bytes(PART_BYTES)), size(bytes(PART_BYTES + 1))) == (1232, 1233)


def devnet(*arguments, stdin=None):
    return CliRunner().invoke(app, ["devnet", *map(str, arguments)], input=stdin)


def test_the_command_says_the_cost_asks_and_deploys_under_own_ids(node_process, tmp_path):
    node, payer = node_process(), tmp_path / "payer.json"
    keys.load_or_create(payer)
    common = ("deploy", "--url", node.url, "--payer", payer, "--keys", tmp_path / "keys", "--program", "registry")

    asked = devnet(*common, stdin="n\n")
    assert asked.exit_code == 1
    assert "SOL for 9 transactions and rent" in asked.output
    done = devnet(*common, "--yes")
    again = devnet(*common)

    own = {name: keys.load(tmp_path / "keys" / f"{name}.json").pubkey() for name in PROGRAMS}
    digest = hashlib.sha256(image("registry", own)).hexdigest()
    assert (done.exit_code, again.exit_code) == (0, 0), done.output + again.output
    assert f"registry {own['registry']} sha256 {digest}" in done.output
    assert f"registry {own['registry']}: is there" in again.output
    node.stop()
    ledger = Ledger(node.directory, now_ms=0)
    assert {Pubkey.from_string(each.program_id) for each in ledger.programs()} == {program_id(name) for name in PROGRAMS}
    assert not [entry for entry in ledger.entries() if entry.err is not None]
    # A node that starts again finds what was deployed by executing it again.
    restarted = Bank(ledger, clock.now)
    assert restarted.account(own["registry"]).executable
    ledger.close()


def test_the_command_explains_what_it_refuses(node_process, tmp_path):
    node, payer = node_process(), tmp_path / "payer.json"
    keys.load_or_create(payer)

    assert "is there" in devnet("deploy", "--url", node.url, "--payer", payer).output
    assert devnet("deploy").exit_code == 2
    assert devnet("--yes").exit_code == 2
    # Options may stand before the word deploy, and are not lost there.
    lost = devnet("--config", tmp_path / "none.toml", "deploy", "--url", node.url, "--payer", payer)
    assert (lost.exit_code, "none.toml" in str(lost.exception)) == (1, True)
    unknown = devnet("deploy", "--url", node.url, "--payer", payer, "--program", "treasury")
    assert (unknown.exit_code, "treasury" in unknown.output) == (2, True)
    assert devnet("deploy", "--url", node.url, "--payer", tmp_path / "none.json").exit_code == 1
