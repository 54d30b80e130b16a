"""Revoked client certificates: CRLs from a file (RFC 5280) and the status from a responder (OCSP, RFC 6960)."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp

from .certificates import CHECK_UNAVAILABLE, REVOKED, ClientCertificate, SerialNumber
from .metrics import Metrics

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

_CRL = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)
_SKEW = dt.timedelta(minutes=5)
_TIMEOUT_S = 2.0
_RETRY_S = 30.0
_KEEP_S = 300.0
_RESPONSE_BYTES = 64 * 1024
_CACHE_MAX = 100_000


@dataclass(slots=True, frozen=True)
class Revocations:
    """What the CRLs of a file say: `serials` are revoked, and so is whatever an authority in `issuers` signed.

    `next_update` is the earliest of the lists', in epoch seconds (infinite where a list promises none); `complete` tells
    whether every authority of the bundle has a list.
    """

    serials: frozenset[SerialNumber]
    issuers: frozenset[bytes]
    next_update: float
    complete: bool

    def __contains__(self, certificate: ClientCertificate) -> bool:
        serial = certificate.serial
        return serial is not None and (serial in self.serials or serial.issuer in self.issuers)


def read_revocations(path: Path, authorities: Sequence[x509.Certificate]) -> Revocations:
    """Read a PEM file of one or more CRLs, each signed by one of `authorities`; of two by one authority the later counts.

    Raises `OSError`, and `ValueError` for a file without a CRL, a CRL of someone else, a delta or an indirect CRL.
    """
    blocks = _CRL.findall(path.read_bytes())
    if not blocks:
        raise ValueError(f"{path} holds no CRL")
    latest: dict[bytes, x509.CertificateRevocationList] = {}
    for block in blocks:
        crl = x509.load_pem_x509_crl(block)
        key = _spki(_signer(crl, authorities, path))
        if key not in latest or crl.last_update_utc > latest[key].last_update_utc:
            latest[key] = crl
    serials = frozenset(SerialNumber.of(crl.issuer, entry.serial_number) for crl in latest.values() for entry in crl)
    dead = {a.subject for a in authorities if SerialNumber.of(a.issuer, a.serial_number) in serials}
    alive = {a.subject for a in authorities if SerialNumber.of(a.issuer, a.serial_number) not in serials}
    return Revocations(
        serials,
        # An authority may have been given a new certificate in its old name.
        frozenset(SerialNumber.of(name, 0).issuer for name in dead - alive),
        min((u.timestamp() if (u := crl.next_update_utc) else math.inf for crl in latest.values()), default=math.inf),
        all(_spki(a) in latest for a in authorities),
    )


def _signer(crl: x509.CertificateRevocationList, authorities: Sequence[x509.Certificate], path: Path) -> x509.Certificate:
    name = crl.issuer.rfc4514_string()
    for extension in crl.extensions:
        # RFC 5280 5.2: who does not understand a critical extension must not use the list to tell what is valid.
        if extension.critical:
            raise ValueError(f"{path}: CRL of {name} has a critical extension {extension.oid.dotted_string}")
    for authority in authorities:
        key = authority.public_key()
        if authority.subject == crl.issuer and isinstance(key, ec.EllipticCurvePublicKey) and crl.is_signature_valid(key):
            return authority
    raise ValueError(f"{path}: CRL of {name} is not signed by an authority that is trusted here")


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class OcspChecker:
    """Asks a responder for the status of client certificates, off the path of those it knows.

    An answer is kept until its nextUpdate, no answer for 30 seconds. Without one a device is served, unless `required`.
    """

    def __init__(self, url: str, authorities: Sequence[x509.Certificate], metrics: Metrics, *, required: bool) -> None:
        self._url = url
        self.authorities = authorities
        self._metrics = metrics
        self._required = required
        self._cache: dict[SerialNumber, tuple[float, ocsp.OCSPCertStatus | None]] = {}
        self._session: aiohttp.ClientSession | None = None

    def begin(self, certificate: ClientCertificate) -> None:
        """Judge a certificate by a known status, or start asking for it (`ClientCertificate.checking`)."""
        if certificate.serial is None:
            return
        known = self._cache.get(certificate.serial)
        if known is not None and time.time() < known[0]:
            self._judge(certificate, known[1])
        else:
            certificate.checking = asyncio.create_task(self._check(certificate, certificate.serial))

    async def close(self) -> None:
        """Close the connections to the responder."""
        if self._session is not None:
            await self._session.close()

    async def _check(self, certificate: ClientCertificate, serial: SerialNumber) -> None:
        try:
            status, until = await self._ask(certificate.der)
        except Exception as error:
            # Whatever the responder does, it must not end a device's connection by itself.
            log.warning(
                "no OCSP status", extra={"fields": {"lfdi": certificate.lfdi, "reason": f"{type(error).__name__}: {error}"}}
            )
            status, until = None, time.time() + _RETRY_S
        if len(self._cache) >= _CACHE_MAX:
            self._cache.clear()
        self._cache[serial] = until, status
        self._metrics.ocsp[status.name.lower() if status else "unavailable"] += 1
        self._judge(certificate, status)
        certificate.checking = None

    def _judge(self, certificate: ClientCertificate, status: ocsp.OCSPCertStatus | None) -> None:
        if certificate.fault is not None:
            return
        if status is ocsp.OCSPCertStatus.REVOKED:
            certificate.fault = REVOKED
        elif status is not ocsp.OCSPCertStatus.GOOD and self._required:
            certificate.fault = CHECK_UNAVAILABLE

    async def _ask(self, der: bytes) -> tuple[ocsp.OCSPCertStatus, float]:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))
        certificate = x509.load_der_x509_certificate(der)
        issuer = _issuer(certificate, self.authorities)
        request = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1()).build()  # noqa: S303
        headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
        body = request.public_bytes(serialization.Encoding.DER)
        async with self._session.post(self._url, data=body, headers=headers) as response:
            response.raise_for_status()
            answer = await response.content.read(_RESPONSE_BYTES)
        return read_ocsp_response(answer, certificate, issuer, dt.datetime.now(dt.UTC))


def read_ocsp_response(
    der: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: dt.datetime
) -> tuple[ocsp.OCSPCertStatus, float]:
    """Return the status of `certificate` and until when it holds (epoch seconds).

    Raises `ValueError` for an answer about another certificate, one that is not valid at `now`, or one that is signed
    neither by the issuer nor by a responder to which it delegated (RFC 6960 3.2, 4.2.2.2).
    """
    response = ocsp.load_der_ocsp_response(der)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise ValueError(f"responder says {response.response_status.name.lower()}")
    asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, response.hash_algorithm).build()
    same = (asked.serial_number, asked.issuer_name_hash, asked.issuer_key_hash)
    if (response.serial_number, response.issuer_name_hash, response.issuer_key_hash) != same:
        raise ValueError("answer about another certificate")
    if response.this_update_utc > now + _SKEW:
        raise ValueError("answer from the future")
    if response.next_update_utc is not None and response.next_update_utc < now:
        raise ValueError("answer is out of date")
    key = _responder(response, issuer, now).public_key()
    algorithm = response.signature_hash_algorithm
    if not isinstance(key, ec.EllipticCurvePublicKey) or algorithm is None:
        raise ValueError("answer is not signed by ECDSA")
    try:
        key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(algorithm))
    except InvalidSignature:
        raise ValueError("signature of the answer is wrong") from None
    until = response.next_update_utc.timestamp() if response.next_update_utc else now.timestamp() + _KEEP_S
    return response.certificate_status, until


def _responder(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: dt.datetime) -> x509.Certificate:
    if response.responder_name == issuer.subject or response.responder_key_hash == _key_hash(issuer):
        return issuer
    for candidate in response.certificates:
        if response.responder_name != candidate.subject and response.responder_key_hash != _key_hash(candidate):
            continue
        try:
            candidate.verify_directly_issued_by(issuer)
            purposes = candidate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            continue
        valid = candidate.not_valid_before_utc <= now <= candidate.not_valid_after_utc
        if valid and x509.ExtendedKeyUsageOID.OCSP_SIGNING in purposes:
            return candidate
    raise ValueError("answer of a responder that the issuer did not appoint")


def _key_hash(certificate: x509.Certificate) -> bytes:
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def _issuer(certificate: x509.Certificate, authorities: Sequence[x509.Certificate]) -> x509.Certificate:
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return authority
    raise ValueError("issuer of the certificate is not in the bundle")
