"""A campus certification authority, and certificates by the IEEE 2030.5-2018 profile (6.11; hardwareModuleName of RFC 4108).

`certs/README.md` explains hierarchy, profile and files to an operator. Every `ensure` is idempotent: what is there and
good is kept, so LFDIs stay; what is missing, broken, near its end or names something else is issued again.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from ieee2030_5.hardware import hardware_name, hardware_serial
from ieee2030_5.identity import lfdi_of, sfdi_of
from ieee2030_5.keyfiles import (
    PkiError,
    check_private,
    lfdi_of_file,
    load_certificate,
    load_key,
    locked,
    private_directory,
    write_atomically,
)

__all__ = [
    "Authority",
    "Credential",
    "PkiError",
    "check_private",
    "hardware_serial",
    "lfdi_of_file",
    "load_certificate",
    "load_key",
]

CA_NAME = "GridTokenX-CA"
# Generic device, whose certificate was issued after manufacture: that is what an operator's own authority does.
DEVICE_POLICIES = (ObjectIdentifier("1.3.6.1.4.1.40732.1.1"), ObjectIdentifier("1.3.6.1.4.1.40732.1.3"))
ANY_POLICY = ObjectIdentifier("2.5.29.32.0")
NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""notAfter of certificates that do not expire (RFC 5280, 4.1.2.5): devices have no way to renew; the registry revokes."""
SERVER_PERIOD = timedelta(days=825)
RENEWAL_MARGIN = timedelta(days=30)
# Clocks of devices lag; a certificate must not be from their future.
_BACKDATE = timedelta(hours=1)
_DEVICE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its key on disk. `issued` says whether this call made it; `not_after` is UTC."""

    name: str
    certificate: Path
    key: Path
    lfdi: str
    sfdi: int
    serial: int
    not_after: datetime
    issued: bool


@dataclass(frozen=True, slots=True)
class Authority:
    """A certification authority in a directory: `ca.pem`, `ca.key`, `server.pem`, `server.key`, `meters/<name>.pem|.key`."""

    directory: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    now: Callable[[], datetime]

    @classmethod
    def ensure(cls, directory: Path | str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Authority:
        """Open the authority of `directory`, or found one (P-256, self-signed, no expiry).

        A key without certificate is certified again under the same name, so devices it signed stay valid. Raises
        `PkiError` for a certificate without its key (replacing the pair would disown every device) and
        `PermissionError` for a key that others can read.
        """
        directory = Path(directory)
        private_directory(directory)
        with locked(directory):
            certificate_path, key_path = directory / "ca.pem", directory / "ca.key"
            if key_path.exists():
                key = load_key(key_path)
            elif certificate_path.exists():
                raise PkiError(f"{certificate_path} has no key: restore {key_path}, or move the directory away to start anew")
            else:
                key = ec.generate_private_key(ec.SECP256R1())
                write_atomically(key_path, _key_pem(key), 0o600)
            if certificate_path.exists():
                certificate = load_certificate(certificate_path)
                if not _belongs(certificate, key):
                    raise PkiError(f"{key_path} is not the key of {certificate_path}: restore the right one")
            else:
                certificate = _self_signed(key, now())
                write_atomically(certificate_path, _pem(certificate), 0o644)
        return cls(directory, certificate, key, now)

    @property
    def certificate_path(self) -> Path:
        """The trust anchor that servers and devices load."""
        return self.directory / "ca.pem"

    def ensure_server(
        self, names: Iterable[str], *, period: timedelta = SERVER_PERIOD, margin: timedelta = RENEWAL_MARGIN
    ) -> Credential:
        """The server's certificate for DNS names and IP addresses `names`; the first one is also its CN.

        Issued again when less than `margin` of its `period` is left, or when `names` changed. Raises `ValueError`
        without names, and `PermissionError` for an existing key that others can read.
        """
        wanted = list(dict.fromkeys(names))
        if not wanted:
            raise ValueError("a server certificate needs at least one name")
        alternative = x509.SubjectAlternativeName([_general_name(name) for name in wanted])

        def build(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
            # The SAN is critical because clients of the device profile refuse a server whose SAN is not.
            return (
                builder.subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted[0][:64])]))
                .not_valid_after((self.now() + period).replace(microsecond=0))
                .add_extension(alternative, critical=True)
                .add_extension(_KEY_USAGE, critical=True)
                .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            )

        return self._ensure(self.directory / "server", wanted[0], alternative, margin, build)

    def ensure_device(self, name: str) -> Credential:
        """A device's certificate; `name` becomes the hardware serial number and the file name.

        Raises `ValueError` for a name that is not 1 to 64 of `A-Z a-z 0-9 _ . -`, and `PermissionError` for an existing
        key that others can read.
        """
        if not _DEVICE_NAME.fullmatch(name) or name.startswith("."):
            raise ValueError(f"not a device name: {name[:80]!r}")
        alternative = x509.SubjectAlternativeName([hardware_name(name)])
        policies = x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in DEVICE_POLICIES])

        def build(builder: x509.CertificateBuilder) -> x509.CertificateBuilder:
            return (
                builder.subject_name(x509.Name([]))
                .not_valid_after(NEVER)
                .add_extension(alternative, critical=True)
                .add_extension(_KEY_USAGE, critical=True)
                .add_extension(policies, critical=True)
            )

        private_directory(self.directory / "meters")
        return self._ensure(self.directory / "meters" / name, name, alternative, timedelta(0), build)

    def _ensure(
        self,
        stem: Path,
        name: str,
        alternative: x509.SubjectAlternativeName,
        margin: timedelta,
        build: Callable[[x509.CertificateBuilder], x509.CertificateBuilder],
    ) -> Credential:
        certificate_path, key_path = stem.with_name(f"{stem.name}.pem"), stem.with_name(f"{stem.name}.key")
        with locked(self.directory):
            certificate = self._usable(certificate_path, key_path, alternative, margin)
            issued = certificate is None
            if certificate is None:
                key = ec.generate_private_key(ec.SECP256R1())
                authority_key = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                    self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
                )
                builder = _builder(key, self.certificate.subject, self.now()).add_extension(authority_key, critical=False)
                certificate = build(builder).sign(self.key, hashes.SHA256())
                # Key first: a crash in between leaves a pair that does not match, and that is issued again.
                write_atomically(key_path, _key_pem(key), 0o600)
                write_atomically(certificate_path, _pem(certificate), 0o644)
        return _credential(name, certificate, certificate_path, key_path, issued)

    def _usable(
        self, certificate_path: Path, key_path: Path, alternative: x509.SubjectAlternativeName, margin: timedelta
    ) -> x509.Certificate | None:
        if not (certificate_path.exists() and key_path.exists()):
            return None
        check_private(key_path)
        try:
            certificate, key = load_certificate(certificate_path), load_key(key_path)
            certificate.verify_directly_issued_by(self.certificate)
            named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (PkiError, InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
            return None
        now = self.now()
        in_time = certificate.not_valid_before_utc <= now and now + margin < certificate.not_valid_after_utc
        return certificate if in_time and named == alternative and _belongs(certificate, key) else None


_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    key_agreement=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
_CA_KEY_USAGE = x509.KeyUsage(
    digital_signature=False,
    key_agreement=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _builder(key: ec.EllipticCurvePrivateKey, issuer: x509.Name, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before((now - _BACKDATE).replace(microsecond=0))
    )


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, CA_NAME)])
    return (
        _builder(key, name, now)
        .subject_name(name)
        .not_valid_after(NEVER)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_CA_KEY_USAGE, critical=True)
        .add_extension(x509.CertificatePolicies([x509.PolicyInformation(ANY_POLICY, None)]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _belongs(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    return certificate.public_key() == key.public_key()


def _credential(name: str, certificate: x509.Certificate, certificate_path: Path, key_path: Path, issued: bool) -> Credential:
    lfdi = lfdi_of(certificate.public_bytes(serialization.Encoding.DER))
    return Credential(
        name=name,
        certificate=certificate_path,
        key=key_path,
        lfdi=lfdi,
        sfdi=sfdi_of(lfdi),
        serial=certificate.serial_number,
        not_after=certificate.not_valid_after_utc,
        issued=issued,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
