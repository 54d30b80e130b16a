"""The server's certificates and revocation lists as loaded from their files, and when to load them again."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ieee2030_5.identity import lfdi_of
from ieee2030_5.tls import server_context

from .options import ServerOptions
from .revocation import Revocations, read_revocations

log = logging.getLogger(__name__)

_MARGIN_S = 1.0


@dataclass(slots=True, frozen=True)
class Credentials:
    """One consistent set. Times are epoch seconds; `crl_stale` tells that the CRL was out of date when it was loaded."""

    context: ssl.SSLContext
    authorities: Sequence[x509.Certificate]
    lfdi: str
    not_after: float
    revocations: Revocations | None
    crl_stale: bool


def load_credentials(options: ServerOptions) -> Credentials:
    """Load the files that `options` name.

    OpenSSL checks each client certificate against the CRLs in the handshake, where these are in date and of every
    authority: it takes a certificate for revoked whose issuer has no valid list, and an operator who is late with a list
    must not lock out a campus. Otherwise revoked devices are refused at their first request. With `crl_stale` set to
    "refuse" OpenSSL decides always. Raises `OSError` (`ssl.SSLError` is one) and `ValueError` for files that are missing,
    incomplete or wrong.
    """
    for path in filter(None, (options.ca, options.cert, options.key, options.crl)):
        _require_whole(Path(path))
    authorities = x509.load_pem_x509_certificates(Path(options.ca).read_bytes())
    own = x509.load_pem_x509_certificates(Path(options.cert).read_bytes())[0]
    der = own.public_bytes(Encoding.DER)
    revocations, stale, in_handshake = None, False, False
    if options.crl is not None:
        revocations = read_revocations(options.crl, authorities)
        stale = is_stale(revocations.next_update, options)
        in_handshake = options.crl_stale == "refuse" or (revocations.complete and not stale)
    context = server_context(
        options.ca, options.cert, options.key, tls13=options.tls13, crl=options.crl if in_handshake else None
    )
    return Credentials(context, authorities, lfdi_of(der), own.not_valid_after_utc.timestamp(), revocations, stale)


def _require_whole(path: Path) -> None:
    # Parsers take what they find: of a file that is just being written, too little.
    text = path.read_bytes()
    if text.count(b"-----BEGIN ") != text.count(b"-----END ") or b"-----END " not in text:
        raise ValueError(f"{path} is not complete")


def is_stale(next_update: float, options: ServerOptions) -> bool:
    """Whether a CRL is out of date now, or will be before anyone looks again."""
    return next_update < time.time() + 2 * options.reload_poll_s + _MARGIN_S


def files_state(options: ServerOptions) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what changes when one of the files does; None for one that is not there."""
    state: list[tuple[int, int, int] | None] = []
    for path in (options.ca, options.cert, options.key, options.crl):
        try:
            found = Path(path).stat() if path is not None else None
        except OSError:
            found = None
        state.append((found.st_mtime_ns, found.st_size, found.st_ino) if found is not None else None)
    return tuple(state)
