"""The node as a process: readiness, refusal, and kill -9."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from memo_transactions import land, send, signature_of, signed_memos, statuses
from solana.rpc.commitment import Confirmed
from solders.keypair import Keypair

from gridtokenx_pipeline.solana.client import RpcPool, RpcUnavailable
from gridtokenx_pipeline.solana.funding import ensure_funded
from gridtokenx_pipeline.solana.receipts import read_receipts

SLOT_MS = 200  # a blockhash serves 30 s: longer than it takes to start a node again


async def balance(rpc, payer):
    return (await rpc.call("get_balance", payer.pubkey(), Confirmed)).value


def test_kill_9_loses_nothing_acknowledged_and_doubles_nothing(node_process):
    node, payer = node_process(SLOT_MS), Keypair()

    async def before():
        async with RpcPool([node.url]) as rpc:
            await ensure_funded(rpc, payer.pubkey())
            raws = await signed_memos(rpc, payer, ["one", "two", "three", "four"])
            await land(rpc, raws[:3])
            return raws, await balance(rpc, payer)

    raws, lamports = asyncio.run(before())
    signatures = [str(signature_of(raw)) for raw in raws]
    told = read_receipts([node.url], signatures[:3])
    node.process.kill()
    node.process.wait()
    second = node_process(SLOT_MS)

    async def after():
        async with RpcPool([second.url]) as rpc:
            assert await balance(rpc, payer) == lamports
            assert (await statuses(rpc, raws))[3] is None
            await land(rpc, raws)
            return await balance(rpc, payer)

    facts = lambda receipts: {s: (r.slot, r.memo, r.fee_lamports, r.compute_units, r.error) for s, r in receipts.items()}  # noqa: E731
    assert facts(read_receipts([second.url], signatures[:3])) == facts(told)
    assert asyncio.run(after()) == lamports - 5000


def test_killed_while_transactions_are_on_their_way(node_process):
    node, payer = node_process(SLOT_MS), Keypair()

    async def interrupted():
        landed = []
        async with RpcPool([node.url], patience_s=0.2) as rpc:
            await ensure_funded(rpc, payer.pubkey())
            raws = await signed_memos(rpc, payer, [f"memo {number}" for number in range(40)])

            async def one(raw):
                await send(rpc, raw)
                landed.append(raw)
                if len(landed) == 9:
                    node.process.kill()

            ends = await asyncio.gather(*map(one, raws), return_exceptions=True)
        assert {type(end) for end in ends} == {type(None), RpcUnavailable}
        return raws, landed

    raws, acknowledged = asyncio.run(interrupted())
    node.process.wait()
    again = node_process(SLOT_MS)

    async def resumed():
        async with RpcPool([again.url]) as rpc:
            assert None not in await statuses(rpc, acknowledged)
            await land(rpc, raws)
            return await balance(rpc, payer)

    assert asyncio.run(resumed()) == 10**10 - 40 * 5000


def test_the_websocket_is_one_port_above_as_clients_assume(tmp_path):
    command = [sys.executable, "-m", "gridtokenx_pipeline.solana.node", "--dir", str(tmp_path / "node"), "--port", "0"]
    node = subprocess.Popen([*command, "--die-with-parent"], stdout=subprocess.PIPE, text=True)
    try:
        ready = node.stdout.readline().split()
    finally:
        node.stdout.close()
    http, websocket = ready[1], ready[-1].removeprefix("websocket=")
    port, number = (int(url.rpartition(":")[2]) for url in (http, websocket))
    try:
        assert number in (port + 1, port)  # the second where somebody else had the one above
        for each in (port, number):
            # A page is refused, which says that the websocket's route is there.
            with pytest.raises(urllib.error.HTTPError, match="405"):
                urllib.request.urlopen(f"http://127.0.0.1:{each}/", timeout=5)
    finally:
        node.terminate()
        node.wait(10)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        asked = [*command, "--ws-port", str(taken.getsockname()[1])]
        refused = subprocess.run(asked, capture_output=True, text=True, timeout=30)
    assert (refused.returncode, "the port is taken" in refused.stderr, refused.stdout) == (1, True, "")


def test_sigterm_ends_cleanly_and_a_taken_port_or_ledger_is_refused(node_process, tmp_path):
    node = node_process()
    command = [sys.executable, "-m", "gridtokenx_pipeline.solana.node", "--port", "0", "--dir", str(node.directory)]
    second = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (second.returncode, "another node is using this ledger" in second.stderr) == (1, True)
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(10) == 0
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command[4] = str(taken.getsockname()[1])
        refused = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (refused.returncode, "the port is taken" in refused.stderr, refused.stdout) == (1, True, "")


def test_die_with_parent(tmp_path):
    code = (
        "import subprocess, sys;"
        "p = subprocess.Popen([sys.executable, '-m', 'gridtokenx_pipeline.solana.node', '--port', '0', '--dir', sys.argv[1],"
        " '--die-with-parent'], stdout=subprocess.PIPE, text=True);"
        "print(p.stdout.readline().split()[1], flush=True)"
    )
    parent = subprocess.run([sys.executable, "-c", code, str(tmp_path / "node")], capture_output=True, text=True, timeout=30)
    port = int(parent.stdout.strip().rpartition(":")[2])
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        subprocess.run(["sleep", "0.05"], check=True)
    raise AssertionError("the node outlived its parent")


def test_the_node_stays_light():
    code = (
        "import sys, gridtokenx_pipeline.solana.node.serve;"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & {'dagster', 'polars', 'duckdb', 'sqlalchemy', 'pandas'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30).stdout.strip() == "[]"
