"""The node as a process: readiness, refusal, and kill -9."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys

from solana.rpc.commitment import Confirmed
from solders.keypair import Keypair

from gridtokenx_pipeline.solana.client import RpcPool
from gridtokenx_pipeline.solana.profiles import PROFILES
from gridtokenx_pipeline.solana.receipts import read_receipts
from gridtokenx_pipeline.solana.sender import submit_batches


def balance(url, key):
    async def ask():
        async with RpcPool([url]) as rpc:
            return (await rpc.call("get_balance", key, Confirmed)).value

    return asyncio.run(ask())


def test_kill_9_loses_nothing_acknowledged_and_doubles_nothing(node_process, outbox, batches, fast):
    node, payer, many = node_process(), Keypair(), batches(6)
    submit = lambda url, some: submit_batches(  # noqa: E731
        some, rpc_urls=[url], outbox=outbox, payer=payer, profile=PROFILES["memo"], pace=fast
    )
    receipts = submit(node.url, many[:4])
    signatures = [r.signature for r in receipts]
    told, lamports = read_receipts([node.url], signatures), balance(node.url, payer.pubkey())
    node.process.kill()
    node.process.wait()
    second = node_process()
    after = read_receipts([second.url], signatures)
    unsettled = {s: (r.slot, r.memo, r.fee_lamports, r.compute_units, r.error) for s, r in told.items()}
    assert {s: (r.slot, r.memo, r.fee_lamports, r.compute_units, r.error) for s, r in after.items()} == unsettled
    assert balance(second.url, payer.pubkey()) == lamports
    assert submit(second.url, many)[:4] == receipts
    assert balance(second.url, payer.pubkey()) == lamports - 2 * 5000


def test_killed_while_batches_are_on_their_way(node_process, outbox, batches, fast, until):
    node, payer, many = node_process(), Keypair(), batches(40)
    arguments = {"outbox": outbox, "payer": payer, "profile": PROFILES["memo"], "pace": fast}
    submit_batches(many[:1], rpc_urls=[node.url], **arguments)

    async def interrupted():
        from gridtokenx_pipeline.solana.sender import Sender

        async with RpcPool([node.url], patience_s=0.2) as rpc:
            sender = Sender(rpc, outbox, payer, PROFILES["memo"], pace=fast, in_flight=8)
            task = asyncio.create_task(sender.submit(many))
            await until(lambda: len(outbox.attempts(state="confirmed")) >= 9)
            node.process.kill()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(interrupted())
    node.process.wait()
    again = node_process()
    receipts = submit_batches(many, rpc_urls=[again.url], **arguments)
    assert {r.state for r in receipts} == {"confirmed"}
    again.stop()
    assert again.memos() == {b.memo: 1 for b in many}


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
