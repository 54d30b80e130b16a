"""TLS by IEEE 2030.5-2018 6.7: TLS 1.2, ECDHE-ECDSA with AES-128, P-256, certificates on both ends."""

from __future__ import annotations

import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ieee2030_5.keyfiles import check_private

# OpenSSL 3.2 and later rate CCM8 at 64 bits and drop it above security level 0. The level also lowers checks of key
# sizes, so peers' keys are checked by `require_p256`.
SERVER_CIPHERS = "ECDHE-ECDSA-AES128-CCM8:ECDHE-ECDSA-AES128-GCM-SHA256:@SECLEVEL=0"
# CCM8 is what the standard requires of everyone; GCM has the full tag, so it is taken where both ends have it.
CLIENT_CIPHERS = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0"
CURVE = "prime256v1"


class PeerKeyError(ValueError):
    """A peer certificate whose key is not P-256."""


def server_context(
    ca: Path | str, cert: Path | str, key: Path | str, *, tls13: bool = False, crl: Path | str | None = None
) -> ssl.SSLContext:
    """Context of a server that demands a client certificate of `ca` (PEM; intermediates in the file are trusted too).

    With `crl` (PEM, one list or more) a client certificate must not be revoked, and its issuer must have a list there
    that is in date. A resumed session is not checked again, and neither are authorities.

    TLS 1.2 only: the cipher list does not govern TLS 1.3, whose suites the 2018 standard does not know. `tls13` allows it
    as well. Raises `FileNotFoundError`, `ssl.SSLError` for bad files, `PermissionError` for a key that others can read.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, ca, cert, key, SERVER_CIPHERS)
    context.verify_mode = ssl.CERT_REQUIRED
    # The client's order decides: a stock device offers CCM8 alone, everything else gets the stronger GCM.
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls13:
        context.maximum_version = ssl.TLSVersion.TLSv1_3
    if crl is not None:
        context.load_verify_locations(cafile=str(crl))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def client_context(ca: Path | str, cert: Path | str, key: Path | str) -> ssl.SSLContext:
    """Context of a device: TLS 1.2, server checked against `ca` and by host name. Raises as `server_context`."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, ca, cert, key, CLIENT_CIPHERS)


def _context(protocol: int, ca: Path | str, cert: Path | str, key: Path | str, ciphers: str) -> ssl.SSLContext:
    check_private(key)
    context = ssl.SSLContext(protocol)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    context.set_ecdh_curve(CURVE)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.load_verify_locations(cafile=str(ca))
    context.load_cert_chain(str(cert), str(key))
    return context


def require_p256(der: bytes) -> None:
    """Raise `PeerKeyError` unless the certificate's key is on P-256, which the handshake at security level 0 does not ensure."""
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except Exception as error:
        raise PeerKeyError(f"unreadable certificate key: {error}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise PeerKeyError(f"{getattr(getattr(key, 'curve', None), 'name', type(key).__name__)} key, P-256 required")
