"""The TLS face of a worker: credentials that can be exchanged under way, accepted connections, revocation."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from typing import Any

from aiohttp import web

from .acceptor import Acceptor, Bounds
from .access import Access
from .certificates import ClientCertificate
from .credentials import Credentials, load_credentials
from .options import ServerOptions
from .revocation import OcspChecker

log = logging.getLogger(__name__)


class Front:
    """Serves an aiohttp server over TLS on a bound socket.

    Raises `OSError`, `ValueError` or `ssl.SSLError` for the files of `options`; see `load_credentials`.
    """

    def __init__(self, options: ServerOptions, access: Access) -> None:
        self._options = options
        self._access = access
        self._credentials = load_credentials(options)
        self._acceptor: Acceptor | None = None
        self._ocsp: OcspChecker | None = None
        if options.ocsp_url is not None:
            self._ocsp = OcspChecker(
                options.ocsp_url, self._credentials.authorities, access.metrics, required=options.ocsp_required
            )
        self._apply(self._credentials)

    @property
    def lfdi(self) -> str:
        """The LFDI of the certificate that new connections are shown."""
        return self._credentials.lfdi

    def start(self, server: web.Server, sock: socket.socket, **handler_options: Any) -> None:
        """Accept connections; `handler_options` are aiohttp's for each of them."""
        options = self._options
        self._acceptor = Acceptor(
            server,
            sock,
            lambda: self._credentials.context,
            self._access,
            bounds=Bounds(
                options.max_handshakes,
                options.handshake_timeout_s,
                options.max_connections,
                options.max_connections_per_device,
                options.header_timeout_s,
            ),
            opening=self._ocsp.begin if self._ocsp is not None else None,
            **handler_options,
        )
        self._acceptor.start()

    async def reload(self) -> bool:
        """Take up the files as they are now, and return whether they are good; if not, what was loaded before stays.

        New handshakes use them; open connections live on, but for those of revoked certificates, which are refused at
        their next request.
        """
        try:
            self._apply(await asyncio.to_thread(load_credentials, self._options))
        except (OSError, ValueError, ssl.SSLError) as error:
            log.error("new certificates are not usable, the old ones stay", extra={"fields": {"reason": str(error)}})
            return False
        return True

    async def stop(self) -> None:
        """Stop accepting; open connections stay."""
        if self._acceptor is not None:
            await self._acceptor.stop()
        if self._ocsp is not None:
            await self._ocsp.close()

    def _apply(self, credentials: Credentials) -> None:
        self._credentials = credentials
        if self._ocsp is not None:
            self._ocsp.authorities = credentials.authorities
        revocations = credentials.revocations
        revoked = self._access.revoke(revocations.__contains__ if revocations is not None else _none)
        if revoked:
            log.warning("open connections of revoked certificates", extra={"fields": {"connections": revoked}})


def _none(certificate: ClientCertificate) -> bool:
    return False
