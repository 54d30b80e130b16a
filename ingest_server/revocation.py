"""Revoked client certificates: CRLs from a file (RFC 5280) and the status from a responder (OCSP, RFC 6960)."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp

from ieee2030_5.pki import CertificateStatus, PkiError, load_crl, ocsp_request, parse_ocsp

from .certificates import CHECK_UNAVAILABLE, REVOKED, ClientCertificate, SerialNumber
from .metrics import Metrics

if TYPE_CHECKING:
    import aiohttp

log = logging.getLogger(__name__)

_TIMEOUT_S = 2.0
_RETRY_S = 30.0
_KEEP = dt.timedelta(minutes=5)
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
    """Read a PEM file of one or more CRLs; of two by one authority the later counts.

    A list of an authority that is not among `authorities` is left out: nothing that it signed is accepted. Raises `OSError`,
    and `ValueError` for a file without a list of theirs, a forged one, a delta or an indirect CRL.
    """
    latest: dict[bytes, x509.CertificateRevocationList] = {}
    # What OpenSSL loads besides.
    if b"-----BEGIN X509 CRL-----" not in path.read_bytes():
        raise ValueError(f"{path} holds no revocation list in PEM")
    try:
        lists = load_crl(path)
    except PkiError as error:
        raise ValueError(str(error)) from None
    for crl in lists:
        signer = _signer(crl, authorities, path)
        if signer is None:
            log.warning(
                "revocation list of an unknown authority left out", extra={"fields": {"issuer": _name(crl), "file": path}}
            )
            continue
        key = _spki(signer)
        if key not in latest or _age(crl) > _age(latest[key]):
            latest[key] = crl
    if not latest:
        raise ValueError(f"{path} holds no revocation list of an authority that is trusted here")
    serials = frozenset(SerialNumber.of(crl.issuer, entry.serial_number) for crl in latest.values() for entry in crl)
    dead = {a.subject for a in authorities if SerialNumber.of(a.issuer, a.serial_number) in serials}
    alive = {a.subject for a in authorities if SerialNumber.of(a.issuer, a.serial_number) not in serials}
    return Revocations(
        serials,
        # An authority may have been given a new certificate in its old name.
        frozenset(SerialNumber.of(name, 0).issuer for name in dead - alive),
        min(u.timestamp() if (u := crl.next_update_utc) else math.inf for crl in latest.values()),
        all(_spki(authority) in latest for authority in authorities),
    )


def _signer(crl: x509.CertificateRevocationList, authorities: Sequence[x509.Certificate], path: Path) -> x509.Certificate | None:
    named = [a for a in authorities if a.subject == crl.issuer]
    for authority in named:
        key = authority.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey) and crl.is_signature_valid(key):
            break
    else:
        # A former authority may have had the same name, but not the same key.
        if any(_key_id(crl, x509.AuthorityKeyIdentifier) in (None, _key_id(a, x509.SubjectKeyIdentifier)) for a in named):
            raise ValueError(f"{path}: the signature of the list of {_name(crl)} is wrong")
        return None
    for extension in crl.extensions:
        # RFC 5280 5.2: who does not understand a critical extension must not use the list to tell what is valid.
        if extension.critical:
            raise ValueError(f"{path}: the list of {_name(crl)} has a critical extension {extension.oid.dotted_string}")
    return authority


def _age(crl: x509.CertificateRevocationList) -> tuple[int, dt.datetime]:
    # RFC 5280 5.2.3: numbers of one authority increase, where times have seconds only, and clocks are set.
    try:
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        number = 0
    return number, crl.last_update_utc


def _key_id(
    document: x509.Certificate | x509.CertificateRevocationList,
    kind: type[x509.AuthorityKeyIdentifier] | type[x509.SubjectKeyIdentifier],
) -> bytes | None:
    try:
        return document.extensions.get_extension_for_class(kind).value.key_identifier
    except x509.ExtensionNotFound:
        return None


def _name(crl: x509.CertificateRevocationList) -> str:
    return crl.issuer.rfc4514_string()


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class OcspChecker:
    """Asks a responder for the status of client certificates, off the path of those it knows.

    An answer is kept until its nextUpdate, no answer for 30 seconds. Without one a device is served, unless `required`.
    """

    def __init__(self, url: str, authorities: Sequence[x509.Certificate], metrics: Metrics, *, required: bool) -> None:
        self._url = url
        self.authorities = authorities
        self._metrics = metrics
        self._required = required
        self._cache: dict[SerialNumber, tuple[float, CertificateStatus | None]] = {}
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
        self._metrics.ocsp[status or "unavailable"] += 1
        self._judge(certificate, status)
        certificate.checking = None

    def _judge(self, certificate: ClientCertificate, status: CertificateStatus | None) -> None:
        if certificate.fault is not None:
            return
        if status == "revoked":
            certificate.fault = REVOKED
        elif status != "good" and self._required:
            certificate.fault = CHECK_UNAVAILABLE

    async def _ask(self, der: bytes) -> tuple[CertificateStatus, float]:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S))
        certificate = x509.load_der_x509_certificate(der)
        issuer = _issuer(certificate, self.authorities)
        headers = {"Content-Type": "application/ocsp-request", "Accept": "application/ocsp-response"}
        async with self._session.post(self._url, data=ocsp_request(certificate, issuer), headers=headers) as response:
            response.raise_for_status()
            answer = await response.content.read(_RESPONSE_BYTES)
        now = dt.datetime.now(dt.UTC)
        status = parse_ocsp(answer, certificate, issuer, now)
        end = ocsp.load_der_ocsp_response(answer).next_update_utc
        # The answer may be used some minutes past its end, to allow for clocks; then it is asked for again at once.
        return status, (end or now + _KEEP).timestamp()


def _issuer(certificate: x509.Certificate, authorities: Sequence[x509.Certificate]) -> x509.Certificate:
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return authority
    raise ValueError("issuer of the certificate is not in the bundle")
