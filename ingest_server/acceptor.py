"""Accepting connections: every handshake is bounded, timed and, where it fails, named.

`loop.create_server` would start any number of handshakes at once and keep silent about those that fail.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from ieee2030_5.enums import ReasonCode
from ieee2030_5.resources import Error
from ieee2030_5.xml import MEDIA_TYPE, encode

from .access import Access
from .acknowledgement import SERVER_NAME
from .certificates import ClientCertificate
from .metrics import Metrics

log = logging.getLogger(__name__)

BACKLOG = 4096
RETRY_AFTER_S = 60
# Under pressure a handshake may be given up for a newer one after this long: devices answer sooner, those who hold places do not.
_GRACE_S = 2.0
_PAUSE_S = 0.5
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

# By OpenSSL's reason, lower case: its names differ between releases, so what is not here is reported as it is.
_REASONS = {
    "peer_did_not_return_a_certificate": "no_certificate",
    "no_shared_cipher": "no_shared_cipher",
    "unsupported_protocol": "protocol_version",
    "wrong_version_number": "not_tls",
    "http_request": "not_tls",
    "https_proxy_request": "not_tls",
    "bad_record_type": "not_tls",
    "record_layer_failure": "not_tls",
    "packet_length_too_long": "not_tls",
    "unknown_protocol": "not_tls",
    "tlsv1_alert_unknown_ca": "refused_by_client",
    "tlsv1_alert_protocol_version": "protocol_version",
    "no_suitable_signature_algorithm": "no_shared_cipher",
}
# X509_V_ERR_*, as in OpenSSL's x509_vfy.h.
_VERIFICATION = {
    2: "unknown_ca",
    3: "crl_missing",
    9: "not_yet_valid",
    10: "expired",
    12: "crl_stale",
    18: "unknown_ca",
    19: "unknown_ca",
    20: "unknown_ca",
    21: "unknown_ca",
    23: "revoked",
}


def failure_reason(error: BaseException) -> str:
    """Return a short name, fit for a metric's label, of why a handshake failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFICATION.get(error.verify_code, "certificate_invalid")
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "").lower()
        if reason in _REASONS:
            return _REASONS[reason]
        return "refused_by_client" if "alert" in reason else "unexpected_eof" if "eof" in reason else "protocol_error"
    if isinstance(error, TimeoutError) or "taking longer" in str(error):
        return "timeout"
    return "connection_lost"


class Connection(web.RequestHandler):
    """One TLS connection. Where aiohttp would answer with text, an Error document is sent."""

    __slots__ = ("_acceptor", "_head_timer", "certificate", "counted")

    def __init__(self, acceptor: Acceptor, server: web.Server, **options: Any) -> None:
        # No content coding is accepted, so none need be undone.
        super().__init__(server, loop=asyncio.get_running_loop(), auto_decompress=False, **options)
        self._acceptor = acceptor
        self._head_timer: asyncio.TimerHandle | None = None
        self.certificate: ClientCertificate | None = None
        self.counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Serve a connection whose handshake is done, or tell it that there is no room."""
        # No class that says so: uvloop's is not one of asyncio's.
        transport = cast(asyncio.Transport, transport)
        refusal = self._acceptor.opened(self, transport)
        if refusal is None:
            super().connection_made(transport)
            return
        # Before the first request: whatever it asks gets this answer, and what it sends is not read.
        self.close()
        if refusal:
            transport.write(refusal)
        transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give its place free."""
        self._acceptor.lost(self)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in. A head that is begun has `Bounds.header_timeout_s` to be complete.

        aiohttp bounds only how long a connection may be idle, and that must be longer than the longest post rate.
        """
        super().data_received(data)
        waiter = self._waiter
        # Still waiting for a request after bytes came: they are part of a head.
        if waiter is not None and self._head_timer is None and not waiter.done():
            self._head_timer = asyncio.get_running_loop().call_later(
                self._acceptor.header_timeout_s, self._head_late, self._request_count
            )

    def _head_late(self, request_count: int) -> None:
        self._head_timer = None
        if self._request_count == request_count and self.transport is not None:
            self._acceptor.metrics.malformed_requests += 1
            self.transport.write(_refusal(HTTPStatus.REQUEST_TIMEOUT, ReasonCode.INVALID_REQUEST_FORMAT))
            self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer bytes that are not HTTP, and whatever the application did not."""
        if isinstance(exc, ConnectionError):
            # The client left while its body was read: nobody is there to be answered.
            raise exc
        if request.writer.output_size > 0:
            raise ConnectionError("part of a response is sent already")
        malformed = status < 500
        if malformed:
            self._acceptor.metrics.malformed_requests += 1
            reason = (exc.message if isinstance(exc, HttpProcessingError) else message or "")[:200]
            lfdi = self.certificate.lfdi if self.certificate else None
            log.warning("not HTTP: %s", reason, extra={"fields": {"lfdi": lfdi, "remote": request.remote}})
        else:
            log.error("request failed", exc_info=exc)
        code = ReasonCode.INVALID_REQUEST_FORMAT if malformed else None
        headers = {"Content-Type": MEDIA_TYPE, "Connection": "close", "Server": SERVER_NAME}
        response = web.Response(status=status, body=encode(Error(reason_code=code)), headers=headers)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log what goes wrong outside of the application; a broken rest of a body, after its request was refused, is no error."""
        if isinstance(kw.get("exc_info"), (web.RequestPayloadError, HttpProcessingError)):
            self._acceptor.metrics.malformed_requests += 1
        else:
            super().log_exception(*args, **kw)

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Send a response; one that aiohttp makes before the application is asked (417) as an Error document like the rest.

        It is of HTTP/1.1 whatever the request was of (RFC 9110, 6.2), as stock clients read nothing else.
        """
        if request._version is not HttpVersion11:
            # Under both names: what was asked for once is kept.
            request._version = request._cache["version"] = HttpVersion11
        if isinstance(resp, web.HTTPException):
            resp = self.handle_error(request, resp.status, None, resp.reason)
        return super().finish_response(request, resp, start_time)


@dataclass(slots=True, frozen=True)
class Bounds:
    """What one worker takes on: handshakes at once and how long each may last, connections, connections of one device.

    `header_timeout_s` is how long the head of a request may take from its first byte.
    """

    handshakes: int = 256
    handshake_timeout_s: float = 10.0
    connections: int = 20_000
    connections_per_device: int = 1000
    header_timeout_s: float = 30.0


class Acceptor:
    """Accepts TLS connections on a bound socket for an aiohttp server.

    `context` is asked for each handshake, so it may change under way; `opening` is told of each new connection that is to
    be served. While `Bounds.handshakes` are under way the rest wait in the listen backlog; one that has lasted two seconds
    then makes room for the next, so that peers that connect and keep silent cannot lock the others out.
    """

    def __init__(
        self,
        server: web.Server,
        sock: socket.socket,
        context: Callable[[], ssl.SSLContext],
        access: Access,
        *,
        bounds: Bounds | None = None,
        opening: Callable[[ClientCertificate], None] | None = None,
        **handler_options: Any,
    ) -> None:
        self._server = server
        self._sock = sock
        self._context = context
        self._access = access
        self._bounds = bounds or Bounds()
        self.header_timeout_s = self._bounds.header_timeout_s
        self._opening = opening
        self._handler_options = handler_options
        self._accepting: asyncio.Task[None] | None = None
        # In the order of their start.
        self._handshakes: dict[asyncio.Task[None], float] = {}
        self._place_free = asyncio.Event()
        self._by_device: Counter[str] = Counter()
        self.metrics: Metrics = access.metrics

    def start(self) -> None:
        """Listen and accept."""
        self._sock.setblocking(False)
        self._sock.listen(BACKLOG)
        self._accepting = asyncio.create_task(self._accept())

    async def stop(self) -> None:
        """Stop accepting, and give up handshakes that are under way; open connections stay."""
        tasks = [task for task in (self._accepting, *self._handshakes) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._sock.close()

    def opened(self, connection: Connection, transport: asyncio.Transport) -> bytes | None:
        """Count a connection in; return what to answer where there is no room for it."""
        try:
            connection.certificate = certificate = self._access.certificate(transport)
        except ConnectionError:
            return b""
        if self.metrics.connections_open >= self._bounds.connections:
            self.metrics.connections_refused["server_full"] += 1
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE)
        lfdi = certificate.lfdi
        if self._by_device[lfdi] >= self._bounds.connections_per_device:
            self.metrics.connections_refused["device"] += 1
            peer = transport.get_extra_info("peername")
            detail = f"more than {self._bounds.connections_per_device} connections"
            _background(self._access.report("connection_limit", lfdi=lfdi, remote=peer[0] if peer else "", detail=detail))
            return _refusal(HTTPStatus.TOO_MANY_REQUESTS)
        self._by_device[lfdi] += 1
        connection.counted = True
        self.metrics.connections_open += 1
        if self._opening is not None:
            self._opening(certificate)
        return None

    def lost(self, connection: Connection) -> None:
        """Count a connection out."""
        if not connection.counted or connection.certificate is None:
            return
        connection.counted = False
        self.metrics.connections_open -= 1
        lfdi = connection.certificate.lfdi
        self._by_device[lfdi] -= 1
        if not self._by_device[lfdi]:
            del self._by_device[lfdi]

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._place()
            try:
                sock, address = await loop.sock_accept(self._sock)
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    log.error("cannot accept", extra={"fields": {"reason": error.strerror}})
                    await asyncio.sleep(_PAUSE_S)
                continue
            task = loop.create_task(self._shake(sock, address[0]))
            self._handshakes[task] = time.monotonic()
            self.metrics.handshakes_open = len(self._handshakes)
            task.add_done_callback(self._done)

    async def _place(self) -> None:
        while len(self._handshakes) >= self._bounds.handshakes:
            oldest, started = next(iter(self._handshakes.items()))
            left = started + _GRACE_S - time.monotonic()
            if left <= 0:
                oldest.cancel("made room for another")
            self._place_free.clear()
            try:
                await asyncio.wait_for(self._place_free.wait(), max(left, 0.0) or _PAUSE_S)
            except TimeoutError:
                continue

    def _done(self, task: asyncio.Task[None]) -> None:
        self._handshakes.pop(task, None)
        self.metrics.handshakes_open = len(self._handshakes)
        self._place_free.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("handshake ended in an error", exc_info=task.exception())

    async def _shake(self, sock: socket.socket, remote: str) -> None:
        started = time.perf_counter()
        try:
            # The transport owns the socket from here on, and closes it whatever comes.
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Connection(self, self._server, **self._handler_options),
                sock,
                ssl=self._context(),
                ssl_handshake_timeout=self._bounds.handshake_timeout_s,
            )
        except (OSError, TimeoutError) as error:
            self._failed(failure_reason(error), remote, str(error))
        except asyncio.CancelledError as error:
            # On a stop nobody is to blame.
            if error.args:
                self._failed("timeout", remote, error.args[0])
            raise
        else:
            self.metrics.handshakes.observe(time.perf_counter() - started)

    def _failed(self, reason: str, remote: str, detail: str) -> None:
        self.metrics.handshake_failures[reason] += 1
        _background(self._access.report(f"tls_{reason}", lfdi=None, remote=remote, detail=detail[:200]))


# The event loop holds tasks weakly.
_RUNNING: set[asyncio.Task[None]] = set()


def _background(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    _RUNNING.add(task)
    task.add_done_callback(_RUNNING.discard)


def _refusal(status: HTTPStatus, reason_code: ReasonCode = ReasonCode.RESOURCE_LIMIT_REACHED) -> bytes:
    body = encode(Error(reason_code=reason_code))
    retry = "" if status == HTTPStatus.REQUEST_TIMEOUT else f"Retry-After: {RETRY_AFTER_S}\r\n"
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"{retry}Server: {SERVER_NAME}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
