"""Run the node as a process: `python -m gridtokenx_pipeline.solana.node --dir DIR --port PORT`."""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import errno
import os
import signal
import sys
from pathlib import Path

from aiohttp import web
from solders.pubkey import Pubkey

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.solana.keys import KeyFileError
from gridtokenx_pipeline.solana.programs.images import ProgramError

from .bank import Bank
from .genesis import OPERATOR_FILE, open_ledger, operator_of
from .ledger import LedgerError
from .rpc import application

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code: 0 stopped, 1 cannot start (the reason is on stderr)."""
    parser = argparse.ArgumentParser(
        prog="python -m gridtokenx_pipeline.solana.node",
        description="A local Solana node: LiteSVM behind JSON-RPC, with a ledger that survives restarts.",
        epilog="example: python -m gridtokenx_pipeline.solana.node --dir data/solana/node --port 8899",
    )
    parser.add_argument("--dir", type=Path, required=True, help="directory of the ledger; made where missing")
    parser.add_argument("--port", type=int, default=8899, help="TCP port; 0 takes a free one (default: 8899)")
    parser.add_argument(
        "--ws-port",
        type=int,
        help="TCP port of the websocket, which --port has too (default: one above --port, where clients look for it; "
        "left out where that is taken)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--slot-ms", type=int, help="slot length in milliseconds, fixed at genesis (default: 400)")
    parser.add_argument(
        "--operator",
        help="public key that may initialize and upgrade the programs, fixed at genesis "
        f"(default: that of DIR/{OPERATOR_FILE}, made where missing)",
    )
    parser.add_argument("--die-with-parent", action="store_true", help="stop when the process that started this one ends (Linux)")
    options = parser.parse_args(arguments)
    if options.slot_ms is not None and options.slot_ms <= 0:
        parser.error("--slot-ms must be positive")
    try:
        operator = Pubkey.from_string(options.operator) if options.operator else None
    except ValueError:
        parser.error(f"--operator: {options.operator} is no public key")
    if options.die_with_parent and not _die_with_parent():
        return 0
    try:
        return asyncio.run(_serve(options, operator))
    except (LedgerError, KeyFileError, ProgramError) as error:
        print(f"solana node: {error}", file=sys.stderr)
        return 1


async def _serve(options: argparse.Namespace, operator: Pubkey | None) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ledger = open_ledger(options.dir, now_ms=int(clock.now().timestamp() * 1000), slot_ms=options.slot_ms, operator=operator)
    try:
        bank = Bank(ledger, clock.now)
        runner = web.AppRunner(application(bank), access_log=None)
        await runner.setup()
        try:
            if (port := await _listen(runner, options.host, options.port)) is None:
                return 1
            socket = await _listen(runner, options.host, options.ws_port or port + 1)
            if socket is None and options.ws_port is not None:
                return 1
            state = f"slot={bank.slot} transactions={bank.transaction_count} operator={operator_of(ledger)}"
            websocket = f"websocket={_url('ws', options.host, socket or port)}"
            print(f"ready {_url('http', options.host, port)} {state} {websocket}", flush=True)
            await stop.wait()
        finally:
            await runner.cleanup()
    finally:
        ledger.close()
    return 0


async def _listen(runner: web.AppRunner, host: str, port: int) -> int | None:
    """Return the port that `runner` now listens on, or `None` where it cannot (the reason is on stderr)."""
    try:
        await web.TCPSite(runner, host, port, shutdown_timeout=2).start()
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        reason = "the port is taken" if taken else getattr(error, "strerror", None) or error
        print(f"solana node: cannot listen on {host}:{port}: {reason}", file=sys.stderr)
        return None
    return int(runner.addresses[-1][1])


def _url(scheme: str, host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{scheme}://{name}:{port}"


def _die_with_parent() -> bool:
    """Ask the kernel for SIGTERM at the parent's end; return False where the parent already has ended."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == parent
