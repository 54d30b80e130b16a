"""One notification over the wire: to the subscriber's own certificate, or to a host that the operator named."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Collection
from pathlib import Path

from yarl import URL

from ieee2030_5.identity import lfdi_of
from ieee2030_5.tls import client_context
from ieee2030_5.xml import MEDIA_TYPE

_HEAD_LIMIT = 16 * 1024
_TIMEOUT_S = 10.0


class NotDelivered(Exception):
    """A notification that did not arrive; the message says why."""


class WrongReceiver(NotDelivered):
    """The certificate at the address is not the subscriber's."""


class Sender:
    """Posts notifications with the server's certificate.

    A subscriber is known by its certificate, whose LFDI must be the subscription's owner; device certificates name no host, so
    the host name is not checked. `hosts` are receivers that the operator trusts by their name and a public authority instead.
    """

    def __init__(self, ca: Path, cert: Path, key: Path, hosts: Collection[str] = (), timeout_s: float = _TIMEOUT_S) -> None:
        self._files = (ca, cert, key)
        self._hosts = frozenset(host.lower() for host in hosts)
        self._timeout_s = timeout_s

    async def post(self, uri: str, body: bytes, owner: str) -> int:
        """Return the status of the answer. Raises `NotDelivered` without one, `WrongReceiver` before anything is sent."""
        url = URL(uri)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(url, body, owner)
        except (OSError, ssl.SSLError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise NotDelivered(f"{url.host}:{url.port}: {type(error).__name__} {error}".rstrip()) from None

    async def _post(self, url: URL, body: bytes, owner: str) -> int:
        host = url.host or ""
        named = host.lower() in self._hosts
        reader, writer = await asyncio.open_connection(
            host, url.port, ssl=self._context(named), server_hostname=host if named else "", limit=_HEAD_LIMIT
        )
        try:
            if not named:
                der = writer.get_extra_info("ssl_object").getpeercert(True)
                if der is None or lfdi_of(der) != owner:
                    raise WrongReceiver(f"{host}:{url.port} has another certificate than the subscriber")
            target = url.raw_path_qs or "/"
            head = (
                f"POST {target} HTTP/1.1\r\nHost: {url.raw_authority}\r\nContent-Type: {MEDIA_TYPE}\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode("ascii") + body)
            await writer.drain()
            return _status(await reader.readuntil(b"\r\n"))
        finally:
            writer.close()

    def _context(self, named: bool) -> ssl.SSLContext:
        if named:
            context = ssl.create_default_context()
            context.load_cert_chain(str(self._files[1]), str(self._files[2]))
            return context
        context = client_context(*self._files)
        context.check_hostname = False
        return context


def _status(line: bytes) -> int:
    version, _, rest = line.partition(b" ")
    code = rest[:3]
    if not version.startswith(b"HTTP/1.") or not code.isdigit():
        raise ValueError("the answer is not HTTP")
    return int(code)
