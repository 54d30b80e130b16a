"""An OCSP responder over HTTP (RFC 6960, appendix A): `GET /<base64 request>` and `POST /`.

It answers from the index with certificates that the authorities made for it, so it needs none of their keys.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from ieee2030_5.keyfiles import PkiError, load_certificate, load_key

from .authority import Authority, index_of
from .hierarchy import ISSUING, ROOT, signed_by
from .index import Issued, subject_key_id
from .ocsp import answer_ocsp, issuer_hashes

log = logging.getLogger(__name__)

VALIDITY = timedelta(minutes=15)
"""How long an answer may be relied on, and how late a revocation may reach who keeps answers."""
MAX_REQUEST_BYTES = 4096
REQUEST_TYPE, RESPONSE_TYPE = "application/ocsp-request", "application/ocsp-response"


@dataclass(frozen=True, slots=True)
class _Signer:
    """Who answers for an authority."""

    authority: x509.Certificate
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class Responder:
    """Answers for the authorities of a directory. Certificates that are renewed on disk are taken up by themselves."""

    def __init__(self, directory: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Raises `PkiError` where the directory has no responder certificate: `ensure_responders` makes them."""
        self._directory, self._now = directory, now
        self._index = index_of(directory)
        self._stamp: tuple[int, ...] = ()
        self._signers: list[_Signer] = []
        self._reload()
        if not self._signers:
            raise PkiError(f"{directory} has no certificate for an OCSP responder")

    def answer(self, request: bytes) -> bytes:
        """Return the DER response to a DER request."""
        self._reload()
        return answer_ocsp(request, self._find, self._now(), VALIDITY)

    def _find(self, asked: ocsp.OCSPRequest) -> tuple[Issued | None, x509.Certificate, ec.EllipticCurvePrivateKey] | None:
        named = (asked.issuer_name_hash, asked.issuer_key_hash)
        for signer in self._signers:
            if issuer_hashes(signer.authority, asked.hash_algorithm) == named:
                row = self._index.by_serial(subject_key_id(signer.authority), asked.serial_number)
                return row, signer.certificate, signer.key
        return None

    def _reload(self) -> None:
        files = [self._directory / f"{stem}.pem" for stem in (ROOT, ISSUING, f"ocsp-{ROOT}", f"ocsp-{ISSUING}")]
        stamp = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in files)
        if stamp == self._stamp:
            return
        signers = []
        for name in (ROOT, ISSUING):
            path = self._directory / f"ocsp-{name}.pem"
            if path.exists():
                authority, certificate = load_certificate(self._directory / f"{name}.pem"), load_certificate(path)
                key = load_key(path.with_suffix(".key"))
                if not signed_by(certificate, authority) or certificate.public_key() != key.public_key():
                    # Between the two files of a renewal; the next request finds both.
                    log.warning("%s does not fit its key or authority", path)
                    return
                signers.append(_Signer(authority, certificate, key))
        self._signers, self._stamp = signers, stamp


def ensure_responders(authority: Authority) -> None:
    """Make or renew the responder's certificates; an authority whose key is not at hand is left out, with a warning.

    Raises `PkiError` where the issuing authority's is due and its key is not at hand.
    """
    authority.ensure_responder(authority.issuing)
    try:
        authority.ensure_responder(authority.root)
    except PkiError as error:
        log.warning("%s; nothing answers for the root", error)


def create_app(responder: Responder) -> web.Application:
    """Return the responder as a web application."""

    async def post(request: web.Request) -> web.Response:
        if request.content_type != REQUEST_TYPE:
            raise web.HTTPUnsupportedMediaType(text=f"Content-Type must be {REQUEST_TYPE}")
        return _response(responder.answer(await request.read()), stored=False)

    async def get(request: web.Request) -> web.Response:
        encoded = unquote(request.raw_path.partition("?")[0].removeprefix("/"))
        if not encoded:
            raise web.HTTPNotFound(text="an OCSP request in base64 belongs behind the slash")
        try:
            der = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise web.HTTPBadRequest(text="not base64") from None
        return _response(responder.answer(der), stored=True)

    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.router.add_post("/", post)
    app.router.add_get("/{request:.*}", get)
    return app


async def serve(responder: Responder, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `on_ready` gets the address. Raises `OSError` for one that cannot be listened on."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(create_app(responder), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        (address, *_) = runner.addresses
        on_ready(f"http://{f'[{address[0]}]' if ':' in address[0] else address[0]}:{address[1]}")
        await stop.wait()
    finally:
        await runner.cleanup()


def _response(der: bytes, *, stored: bool) -> web.Response:
    headers = {}
    successful = ocsp.load_der_ocsp_response(der).response_status is ocsp.OCSPResponseStatus.SUCCESSFUL
    if stored and successful:
        headers["Cache-Control"] = f"max-age={int(VALIDITY.total_seconds())}, public, no-transform, must-revalidate"
    else:
        headers["Cache-Control"] = "no-store"
    return web.Response(body=der, content_type=RESPONSE_TYPE, headers=headers)
