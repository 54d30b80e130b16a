"""The RPC boundary: solana-py's client over one or more endpoints, with retries, and failures sorted by what to do about them.

429, 5xx, "node is behind" and connection errors wait and go on (Retry-After honoured, jittered exponential back-off, next
endpoint); an endpoint that turns its clients away is left alone for a while where there is another; everything else is said
plainly. Malformed answers make solders panic with a `BaseException`; it stops here.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx2
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.core import RPCException, RPCNoResultException
from solders.rpc.responses import RPCError
from solders.solders import SerdeJSONError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from gridtokenx_pipeline import clock

from .errors import error_text

_TRANSIENT_MESSAGES = frozenset(
    {
        "NodeUnhealthyMessage",
        "MinContextSlotNotReachedMessage",
        "BlockNotAvailableMessage",
        "BlockStatusNotAvailableYetMessage",
        "InternalErrorMessage",
    }
)
_BUSY_STATUSES = frozenset({408, 425, 429})
# Statuses by which an endpoint turns a client away, whatever was asked: a key that has run out, a plan, a wrong path.
_TURNED_AWAY_STATUSES = frozenset({301, 302, 307, 308, 401, 402, 403, 404, 405, 410})
_TURNED_AWAY_S = 60.0
_MAX_RETRY_AFTER_S = 60.0
IN_PROCESS = "inprocess:"


class BadRpcUrl(ValueError):
    """What was given as the URL of an endpoint is none. The message shows it."""


class RpcUnavailable(Exception):
    """No endpoint answered usefully within the patience given. Nothing is known about what was asked; asking again is safe."""


class RpcRefused(Exception):
    """The endpoint answered that it will not do this: bad parameters, an unknown method, no permission."""


class PreflightFailure(Exception):
    """The endpoint simulated the transaction, refused it and did not pass it on. `error` is solders' transaction error."""

    def __init__(self, error: Any):
        super().__init__(error_text(error))
        self.error = error


class RpcPool:
    """`AsyncClient`s for `urls`, used one at a time; the next takes over where one fails. An async context manager.

    The URL `inprocess:DIRECTORY` is the local node of that directory, run in this process and without HTTP (`node.inprocess`).
    """

    def __init__(self, urls: Sequence[str], *, timeout_s: float = 10.0, patience_s: float = 60.0):
        """`patience_s` bounds how long one call goes on over transient failures.

        Raises `ValueError` without any URL, and `BadRpcUrl` for one that is neither `http:`, `https:` nor `inprocess:`. The
        directory of the last is opened by the first call.
        """
        if not urls:
            raise ValueError("at least one RPC URL is needed")
        self.urls = tuple(urls)
        self._patience_s = patience_s
        self._clients = [_client(url, timeout_s) for url in urls]
        self._not_before = [0.0] * len(urls)
        self._turned_away: set[int] = set()
        self._current = 0
        # Jitter spreads clients apart; it is no secret.
        self._random = random.Random()  # noqa: S311
        self._wait = wait_exponential_jitter(initial=0.1, max=8.0, jitter=0.2)

    async def __aenter__(self) -> RpcPool:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.gather(*(client.close() for client in self._clients))

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call `AsyncClient.<method>` until an endpoint answers; return the whole response (`.value`, and often `.context`).

        Raises `RpcUnavailable` after `patience_s`, sooner where every endpoint asked for a longer pause, `RpcRefused`,
        `PreflightFailure`.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(RpcUnavailable),
            stop=self._out_of_patience,
            wait=self._wait,
            reraise=True,
        )
        return await retrying(self.call_once, method, *arguments, **options)

    async def call_once(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call one endpoint once, after the pause it asked for. Raises as `call` does."""
        index = min(range(len(self.urls)), key=lambda i: (self._pause(i), (i - self._current) % len(self.urls)))
        if (pause := self._pause(index)) > 0:
            await asyncio.sleep(pause)
        try:
            response = await self._ask(index, method, arguments, options)
        except RpcUnavailable:
            if self._current == index:
                self._current = (index + 1) % len(self.urls)
            raise
        self._turned_away.discard(index)
        return response

    async def _ask(self, index: int, method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        url, ask = self.urls[index], getattr(self._clients[index], method)
        try:
            response = await ask(*arguments, **options)
        except SolanaRpcException as error:
            raise self._http_failure(index, error) from error
        except RPCException as error:
            raise _rpc_failure(url, error) from error
        except (SerdeJSONError, RPCNoResultException, AttributeError) as error:
            # AttributeError: where solders hands an unknown error code back as a bare number, solana-py asks it for `.value`.
            raise RpcUnavailable(f"{url}: {method}: the answer cannot be read ({error})") from error
        except BaseException as error:
            # A Rust panic of solders: pyo3 derives it from BaseException and exports no name for it.
            if type(error).__name__ != "PanicException":
                raise
            raise RpcUnavailable(f"{url}: {method}: the answer cannot be read ({error})") from error
        if isinstance(response, int):
            raise self._busy(index, f"{method}: error {response}", None)
        if isinstance(response, RPCError.__args__):  # type: ignore[attr-defined]
            raise RpcRefused(f"{url}: {method}: {response}")
        return response

    def _pause(self, index: int) -> float:
        return max(0.0, self._not_before[index] - time.monotonic())

    def _out_of_patience(self, state: RetryCallState) -> bool:
        spent = (state.outcome_timestamp or state.start_time) - state.start_time
        return spent + min(map(self._pause, range(len(self.urls)))) >= self._patience_s

    def _busy(self, index: int, reason: str, retry_after: str | None) -> RpcUnavailable:
        if (seconds := _seconds(retry_after)) > 0:
            self._hold_off(index, min(seconds, _MAX_RETRY_AFTER_S))
        return RpcUnavailable(f"{self.urls[index]}: {reason}")

    def _hold_off(self, index: int, seconds: float) -> None:
        self._not_before[index] = time.monotonic() + seconds * (1 + 0.1 * self._random.random())

    def _http_failure(self, index: int, error: SolanaRpcException) -> Exception:
        cause = error.__cause__
        if not isinstance(cause, httpx2.HTTPStatusError):
            return RpcUnavailable(f"{self.urls[index]}: {type(cause).__name__}: {cause}")
        status = cause.response.status_code
        if status in _BUSY_STATUSES or status >= 500:
            return self._busy(index, f"HTTP {status}", cause.response.headers.get("retry-after"))
        reason = f"{self.urls[index]}: HTTP {status}"
        if status not in _TURNED_AWAY_STATUSES:
            return RpcRefused(reason)
        self._turned_away.add(index)
        if len(self._turned_away) == len(self.urls):
            return RpcRefused(reason)
        self._hold_off(index, _TURNED_AWAY_S)
        return RpcUnavailable(reason)


def _seconds(retry_after: str | None) -> float:
    """Return what a Retry-After header asks for, in seconds or as a date (RFC 9110, 10.2.3); 0 where it cannot be read."""
    try:
        return float(retry_after or 0)
    except ValueError:
        pass
    try:
        return (parsedate_to_datetime(retry_after or "") - clock.now()).total_seconds()
    except (ValueError, TypeError):  # no date, or one without a zone
        return 0.0


def _client(url: str, timeout_s: float) -> AsyncClient:
    if not url.startswith(IN_PROCESS):
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise BadRpcUrl(f"{url!r} is no URL of an RPC endpoint, such as http://127.0.0.1:8899")
        return AsyncClient(url, timeout=timeout_s, max_transport_retries=0)
    from .node.inprocess import InProcessTransport  # aiohttp and the node, for those alone who run it

    client = AsyncClient("http://in-process.invalid/", max_transport_retries=0)
    # solana-py has no parameter for the transport. The session made above has opened nothing.
    client._provider.session = httpx2.AsyncClient(transport=InProcessTransport(url))
    return client


def _rpc_failure(url: str, error: RPCException) -> Exception:
    message = error.args[0]
    kind = type(message).__name__
    if kind == "SendTransactionPreflightFailureMessage":
        return PreflightFailure(message.data.err)
    text = f"{url}: {getattr(message, 'message', None) or message}"
    return RpcUnavailable(text) if kind in _TRANSIENT_MESSAGES else RpcRefused(text)
