"""A certificate and its key on disk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ieee2030_5.identity import lfdi_of, sfdi_of


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its key on disk.

    `issued` says whether this call made it, `revoked` that it is not to be used any more; `not_after` is UTC.
    """

    name: str
    certificate: Path
    key: Path
    lfdi: str
    sfdi: int
    serial: int
    not_after: datetime
    issued: bool
    revoked: bool = False


def credential_of(
    name: str, certificate: x509.Certificate, certificate_path: Path, key_path: Path, *, issued: bool, revoked: bool = False
) -> Credential:
    """Describe a certificate that is on disk."""
    lfdi = lfdi_of(der_of(certificate))
    return Credential(
        name=name,
        certificate=certificate_path,
        key=key_path,
        lfdi=lfdi,
        sfdi=sfdi_of(lfdi),
        serial=certificate.serial_number,
        not_after=certificate.not_valid_after_utc,
        issued=issued,
        revoked=revoked,
    )


def belongs(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    """Whether a private key is the certificate's."""
    return certificate.public_key() == key.public_key()


def der_of(certificate: x509.Certificate) -> bytes:
    """The certificate in DER: what its LFDI is the hash of."""
    return certificate.public_bytes(serialization.Encoding.DER)


def pem_of(*certificates: x509.Certificate) -> bytes:
    """Certificates in PEM, one after the other."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in certificates)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key in PEM (PKCS #8, no passphrase)."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
