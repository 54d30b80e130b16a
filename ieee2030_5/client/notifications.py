"""Subscriptions, and the small HTTPS server that receives their notifications (IEEE 2030.5-2018, 8.6)."""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Self

from aiohttp import web
from cryptography import x509
from yarl import URL

from ieee2030_5.enums import ReasonCode
from ieee2030_5.resources import EndDevice, Error, Notification, Subscription
from ieee2030_5.tls import PeerKeyError, require_p256, server_context
from ieee2030_5.xml import MEDIA_TYPE, XmlError, decode, encode, parse

from .errors import ProtocolError
from .session import Client, href_of

log = logging.getLogger(__name__)

MAX_NOTIFICATION_BYTES = 256 * 1024
_MEDIA_TYPES = (MEDIA_TYPE, "application/xml")
_LEVEL = "+S1"
"""Schema level of IEEE 2030.5 without extensions (5.5)."""
_LIMIT = 255


class NotificationListener:
    """Receives notifications from the server at `server_url`; use it as `async with NotificationListener(...) as listener`.

    It speaks TLS with the device's own certificate and takes notifications only from a certificate of `ca` that names the
    server's host: other devices have certificates of the same authority, but none with a host name. `host` and `port` are where
    it listens (port 0 takes a free one); `advertised` is the host in `uri`, this machine's address on the way to the server
    unless told otherwise. `on_notification` is called for each notification.
    """

    def __init__(
        self,
        server_url: str,
        *,
        ca: Path | str,
        cert: Path | str,
        key: Path | str,
        host: str | None = None,
        port: int = 0,
        advertised: str | None = None,
    ) -> None:
        self._server = URL(server_url)
        self._context = server_context(ca, cert, key)
        self._host, self._port, self._advertised = host, port, advertised
        # A path that nobody guesses, and another one each time: what was subscribed to by a device before it restarted gets 404.
        self._path = f"/ntfy/{secrets.token_urlsafe(12)}"
        self._runner: web.AppRunner | None = None
        self.on_notification: Callable[[Notification], None] = lambda notification: None
        self.received = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Listen. Raises `OSError` for a port that cannot be used."""
        app = web.Application(client_max_size=MAX_NOTIFICATION_BYTES)
        app.router.add_post(self._path, self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        address = self._advertised or address_towards(self._server)
        await web.TCPSite(self._runner, self._host or address, self._port, ssl_context=self._context).start()
        self._advertised, self._port = address, self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def uri(self) -> str:
        """Where notifications are to be sent; raises `RuntimeError` before `start`."""
        if self._runner is None or self._advertised is None:
            raise RuntimeError("the listener does not listen")
        return str(URL.build(scheme="https", host=self._advertised, port=self._port, path=self._path))

    async def _receive(self, request: web.Request) -> web.Response:
        tls = request.transport.get_extra_info("ssl_object") if request.transport is not None else None
        der = tls.getpeercert(True) if tls is not None else None
        if der is None or not names_host(der, self._server.host or ""):
            return _refusal(403, None)
        if request.content_type not in _MEDIA_TYPES:
            return _refusal(415, None)
        try:
            notification = decode(parse(await request.read(), max_bytes=MAX_NOTIFICATION_BYTES), Notification)
        except XmlError as error:
            log.warning("notification not understood: %s", error)
            return _refusal(400, ReasonCode.INVALID_REQUEST_FORMAT)
        self.received += 1
        self.on_notification(notification)
        return web.Response(status=204)


def _refusal(status: int, code: int | None) -> web.Response:
    return web.Response(status=status, body=encode(Error(reason_code=code)), headers={"Content-Type": MEDIA_TYPE})


def names_host(der: bytes, host: str) -> bool:
    """Whether a certificate (DER, P-256) names a host in its subject alternative names."""
    try:
        require_p256(der)
        names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (PeerKeyError, ValueError, x509.ExtensionNotFound):
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.lower() in (name.lower() for name in names.get_values_for_type(x509.DNSName))
    return address in names.get_values_for_type(x509.IPAddress)


def address_towards(server: URL) -> str:
    """This machine's own address on the way to a server; nothing is sent. Raises `OSError` where there is no way."""
    family, kind, protocol, _, address = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(address)
        return str(probe.getsockname()[0])


async def subscribe(client: Client, device: EndDevice, resource: str, uri: str) -> str:
    """Subscribe to a resource for a device and return the subscription's address.

    Raises `Refused` where the server will not have it, `ProtocolError` where the device has no subscriptions.
    """
    href = href_of(device.subscription_list_link, "SubscriptionListLink")
    wanted = Subscription(subscribed_resource=resource, encoding=0, level=_LEVEL, limit=_LIMIT, notification_uri=uri)
    answer = await client.post(href, wanted)
    if not answer.location:
        raise ProtocolError(f"{href}: {answer.status} without Location")
    return answer.location
