"""What a client's certificate says, read once a connection and kept with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509

from ieee2030_5.identity import lfdi_of, sfdi_of
from ieee2030_5.tls import PeerKeyError, require_p256

if TYPE_CHECKING:
    import asyncio


class SerialNumber(NamedTuple):
    """What a CRL or an OCSP responder knows a certificate by: SHA-256 of the issuer's DER name, and the serial number."""

    issuer: bytes
    number: int

    @classmethod
    def of(cls, issuer: x509.Name, number: int) -> SerialNumber:
        """Return the key of certificate `number` of `issuer`."""
        return cls(hashlib.sha256(issuer.public_bytes()).digest(), number)


class Fault(NamedTuple):
    """Why a certificate is refused: the kind of security event, and the reason."""

    kind: str
    reason: str


REVOKED = Fault("certificate_revoked", "certificate is revoked")
CHECK_UNAVAILABLE = Fault("ocsp_unavailable", "the status of the certificate cannot be had now")


@dataclass(slots=True)
class ClientCertificate:
    """The certificate of one connection: whom it stands for, until when (epoch seconds), and what is wrong with it.

    `checking` is the status check that is still on its way; `fault` may be set by it, or by a newer CRL, at any time.
    """

    der: bytes
    lfdi: str
    sfdi: int
    serial: SerialNumber | None
    not_after: float
    fault: Fault | None
    checking: asyncio.Task[None] | None = field(default=None, repr=False)


def client_certificate(der: bytes) -> ClientCertificate:
    """Read a DER certificate that the TLS handshake has verified; its `fault` tells a key that is not on P-256."""
    lfdi = lfdi_of(der)
    serial, not_after, fault = _facts(der)
    return ClientCertificate(der, lfdi, sfdi_of(lfdi), serial, not_after, fault)


# A fleet comes back at once after an outage, and reading a key is the dear part.
@lru_cache(maxsize=32_768)
def _facts(der: bytes) -> tuple[SerialNumber | None, float, Fault | None]:
    try:
        require_p256(der)
        certificate = x509.load_der_x509_certificate(der)
        serial = SerialNumber.of(certificate.issuer, certificate.serial_number)
        return serial, certificate.not_valid_after_utc.timestamp(), None
    except (PeerKeyError, ValueError) as error:
        return None, 0.0, Fault("certificate_key", str(error))
