"""The node without HTTP: `inprocess:DIRECTORY` is answered by a bank in this process, through the JSON of the node's RPC.

For tests and backfills. `inprocess:DIRECTORY?slot_ms=10&operator=KEY` sets what is fixed at genesis, as the node's options do.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl

import httpx2
from solders.pubkey import Pubkey

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.solana.client import IN_PROCESS, BadRpcUrl, RpcRefused
from gridtokenx_pipeline.solana.keys import KeyFileError
from gridtokenx_pipeline.solana.programs.images import ProgramError

from .bank import Bank
from .genesis import open_ledger, operator_of
from .ledger import Ledger, LedgerError
from .rpc import respond

T = TypeVar("T")


@dataclass(frozen=True)
class Address:
    """What an `inprocess:` URL says: the ledger's directory, and what it must have or gets at genesis."""

    directory: Path
    slot_ms: int | None = None
    operator: Pubkey | None = None


def parse(url: str) -> Address:
    """Return what `url` says. Raises `BadRpcUrl`, which shows the form, for no directory and unknown or malformed options."""
    directory, _, query = url.removeprefix(IN_PROCESS).partition("?")
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
        slot_ms = int(options.pop("slot_ms")) if "slot_ms" in options else None
        operator = Pubkey.from_string(options.pop("operator")) if "operator" in options else None
        if not directory or options or (slot_ms is not None and slot_ms <= 0):
            raise ValueError("a directory, a positive slot length and no other option may be given")
    except ValueError as error:
        raise BadRpcUrl(f"{url}: {error}; the form is {IN_PROCESS}DIRECTORY?slot_ms=400&operator=KEY") from error
    return Address(Path(directory).resolve(), slot_ms, operator)


class _Service:
    """A bank in a thread of its own, to which LiteSVM binds it, for every pool of this process that names its directory."""

    def __init__(self) -> None:
        self.users = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="solana-node")
        self._ledger: Ledger | None = None
        self._bank: Bank | None = None

    def submit(self, work: Callable[..., T], *arguments: object) -> Future[T]:
        return self._thread.submit(work, *arguments)

    def answer(self, address: Address, body: bytes) -> bytes:
        return json.dumps(respond(self._opened(address), body, loopback=True)).encode()

    def _opened(self, address: Address) -> Bank:
        if self._bank is None or self._ledger is None:
            ledger = open_ledger(
                address.directory,
                now_ms=int(clock.system_clock().timestamp() * 1000),
                slot_ms=address.slot_ms,
                operator=address.operator,
            )
            try:
                # A chain's time goes on, whatever time the pipeline is told it is.
                self._bank = Bank(ledger, clock.system_clock)
            except BaseException:
                ledger.close()
                raise
            self._ledger = ledger
        genesis, operator = self._ledger.genesis, address.operator
        if address.slot_ms not in (None, genesis.slot_ms) or operator not in (None, operator_of(self._ledger)):
            raise LedgerError(f"{address.directory}: this process has it open with another slot length or operator")
        return self._bank

    def close(self) -> None:
        self._bank = None  # LiteSVM must end in the thread that made it
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None


_services: dict[Path, _Service] = {}
_services_lock = threading.Lock()


class InProcessTransport(httpx2.AsyncBaseTransport):
    """Carries RPC requests to a bank in this process, which the first one opens and the last transport's end closes."""

    def __init__(self, url: str):
        """Raises `BadRpcUrl` for a malformed `url`; the ledger is not touched yet."""
        self._url, self._address = url, parse(url)
        self._service: _Service | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer `request`. Raises `RpcRefused` where the ledger cannot be opened: another process serves it, for one."""
        body = await request.aread()
        if self._service is None:
            self._service = _join(self._address.directory)
        try:
            answer = await asyncio.wrap_future(self._service.submit(self._service.answer, self._address, body))
        except (LedgerError, KeyFileError, ProgramError, OSError) as error:
            raise RpcRefused(f"{self._url}: {error}") from error
        return httpx2.Response(200, headers={"content-type": "application/json"}, content=answer)

    async def aclose(self) -> None:
        """Leave the bank; the last to leave closes the ledger. A later request opens it again."""
        service, self._service = self._service, None
        if service is not None:
            await asyncio.to_thread(_leave, self._address.directory, service)


def _join(directory: Path) -> _Service:
    with _services_lock:
        service = _services.setdefault(directory, _Service())
        service.users += 1
        return service


def _leave(directory: Path, service: _Service) -> None:
    # Closed under the lock, so that whoever comes next finds the ledger free.
    with _services_lock:
        service.users -= 1
        if service.users == 0:
            del _services[directory]
            service.submit(service.close).result()
            service._thread.shutdown()
