"""The node in this process, by the client that everything else uses."""

from __future__ import annotations

import asyncio
import datetime as dt
import subprocess
import sys
import threading

import pytest
from memo_transactions import land, send, signed_memos, statuses
from solana.rpc.commitment import Processed
from solders.keypair import Keypair

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.solana.client import BadRpcUrl, PreflightFailure, RpcPool, RpcRefused
from gridtokenx_pipeline.solana.funding import ensure_funded, is_loopback
from gridtokenx_pipeline.solana.node.genesis import OPERATOR_FILE
from gridtokenx_pipeline.solana.programs.images import PROGRAMS, program_id


@pytest.fixture
def url(tmp_path):
    return f"inprocess:{tmp_path / 'node'}?slot_ms=50"


async def balance(url, key):
    async with RpcPool([url]) as rpc:
        return (await rpc.call("get_balance", key, Processed)).value


async def test_it_airdrops_lands_and_tells_like_the_node_behind_http(url, tmp_path):
    payer = Keypair()
    async with RpcPool([url]) as rpc:
        assert is_loopback(url)
        assert await ensure_funded(rpc, payer.pubkey()) >= 10**10
        found = await land(rpc, await signed_memos(rpc, payer, ["one", "two"]))
        assert [status.err for status in found] == [None, None]
        assert (await rpc.call("get_account_info", program_id(PROGRAMS[0]), Processed)).value.executable
    assert (tmp_path / "node" / OPERATOR_FILE).exists()
    assert await balance(url, payer.pubkey()) == 10**10 - 2 * 5000


async def test_errors_are_sorted_as_over_http(url):
    payer = Keypair()
    async with RpcPool([url]) as rpc:
        (poor,) = await signed_memos(rpc, payer, ["x"])
        with pytest.raises(PreflightFailure, match="AccountNotFound"):
            await send(rpc, poor, skip_preflight=False)
        with pytest.raises(RpcRefused, match="too large"):
            await send(rpc, bytes(1233))
        assert await statuses(rpc, [poor]) == [None]


async def test_where_another_process_serves_it_is_refused_and_the_other_way_round(node_process):
    node = node_process()
    url = f"inprocess:{node.directory}"
    async with RpcPool([url], patience_s=0.1) as rpc:
        with pytest.raises(RpcRefused, match=f"{url}: .*another node is using this ledger"):
            await rpc.call("get_slot")
        node.stop()
        await rpc.call("get_slot")
        command = [sys.executable, "-m", "gridtokenx_pipeline.solana.node", "--port", "0", "--dir", str(node.directory)]
        second = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30)
        assert (second.returncode, "another node is using this ledger" in second.stderr) == (1, True)
    # Nobody in this process has it open any more.
    node_process().stop()


async def test_pools_of_one_process_share_the_bank(url):
    payer, done = Keypair(), []

    def elsewhere():
        done.append(asyncio.run(balance(url, payer.pubkey())))

    async with RpcPool([url]) as first:
        async with RpcPool([url]) as second:
            await ensure_funded(first, payer.pubkey())
            await land(second, await signed_memos(first, payer, ["shared"]))
        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        assert done == [await balance(url, payer.pubkey())] == [10**10 - 5000]
        other = url.replace("=50", "=20")
        with pytest.raises(RpcRefused, match="another slot length"):
            await balance(other, payer.pubkey())
    with pytest.raises(RpcRefused, match="slots of 50 ms"):
        await balance(other, payer.pubkey())


async def test_a_closed_pool_opens_the_ledger_again(url):
    rpc = RpcPool([url])
    first = (await rpc.call("get_genesis_hash")).value
    await rpc.__aexit__(None, None, None)
    async with RpcPool([url]) as again:
        assert (await again.call("get_genesis_hash")).value == first


async def test_the_slot_goes_on_where_the_clock_in_force_stands_still(tmp_path):
    start = clock.now() - dt.timedelta(days=300)
    try:
        clock.set_clock(lambda: start)
        async with RpcPool([f"inprocess:{tmp_path}?slot_ms=5"]) as rpc:
            first = (await rpc.call("get_slot", Processed)).value
            await asyncio.sleep(0.05)
            assert (await rpc.call("get_slot", Processed)).value > first
    finally:
        clock.set_clock(clock.system_clock)


async def test_the_operator_is_fixed_at_genesis(tmp_path):
    url = f"inprocess:{tmp_path}?operator="
    mine = Keypair().pubkey()
    async with RpcPool([f"{url}{mine}"]) as rpc:
        await rpc.call("get_slot")
    assert not (tmp_path / OPERATOR_FILE).exists()
    with pytest.raises(RpcRefused, match="fixed at genesis"):
        await balance(f"{url}{Keypair().pubkey()}", mine)


@pytest.mark.parametrize("rest", ["", "?slot_ms=10", "x?slot_ms=0", "x?slot_ms=ten", "x?speed=1", "x?operator=me", "x?slot_ms"])
def test_malformed_addresses_are_said_at_once(rest):
    with pytest.raises(BadRpcUrl, match="the form is inprocess:DIRECTORY"):
        RpcPool([f"inprocess:{rest}"])
