"""Certificate profiles: what goes into the certificate of an authority, a server, a device, a client, a responder.

Rules: IEEE 2030.5-2018, 6.11 (device and authority certificates), RFC 4108, 5 (hardwareModuleName), RFC 5280, and what
clients in the field enforce: keyUsage, basicConstraints, certificatePolicies and subjectAltName critical, key identifiers and
extendedKeyUsage not.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from ieee2030_5.hardware import hardware_name

Profile = Literal["root", "issuing", "server", "device", "operational", "ocsp"]

CA_NAME = "GridTokenX-CA"
ISSUING_CA_NAME = "GridTokenX-Issuing-CA"
# Generic device, whose certificate was issued after manufacture: that is what an operator's own authority does.
DEVICE_POLICIES = (ObjectIdentifier("1.3.6.1.4.1.40732.1.1"), ObjectIdentifier("1.3.6.1.4.1.40732.1.3"))
ANY_POLICY = ObjectIdentifier("2.5.29.32.0")
NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""notAfter of certificates that do not expire (RFC 5280, 4.1.2.5): devices have no way to renew by themselves."""
SERVER_PERIOD = timedelta(days=825)
OPERATIONAL_PERIOD = timedelta(days=825)
OCSP_PERIOD = timedelta(days=365)
RENEWAL_MARGIN = timedelta(days=30)
# Clocks of devices lag; a certificate must not be from their future.
BACKDATE = timedelta(hours=1)
ROOT_PATH_LENGTH = 1
ISSUING_PATH_LENGTH = 0


def common_name(name: str) -> x509.Name:
    """Subject of one common name, cut to the 64 characters that X.520 allows."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def server_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    """SAN of DNS names and IP addresses."""
    return x509.SubjectAlternativeName([_general_name(name) for name in names])


def device_names(serial: str) -> x509.SubjectAlternativeName:
    """SAN of a device: hardwareModuleName alone."""
    return x509.SubjectAlternativeName([hardware_name(serial)])


def root(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    """Self-signed certificate of a root, without expiry; one authority may follow below it."""
    name, public_key = common_name(CA_NAME), key.public_key()
    return _authority(_builder(public_key, name, name, now, NEVER), public_key, ROOT_PATH_LENGTH).sign(key, hashes.SHA256())


def issuing(
    public_key: ec.EllipticCurvePublicKey, issuer: x509.Certificate, issuer_key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.Certificate:
    """Certificate of the authority that signs devices and servers, without expiry; no authority may follow below it."""
    builder = _builder(public_key, common_name(ISSUING_CA_NAME), issuer.subject, now, NEVER)
    builder = _authority(builder, public_key, ISSUING_PATH_LENGTH).add_extension(authority_key_id(issuer), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


SERVER_USAGES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


def may_notify(certificate: x509.Certificate) -> bool:
    """Whether a server's certificate lets it be a client too, as it is when it notifies subscribers."""
    try:
        return ExtendedKeyUsageOID.CLIENT_AUTH in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        # Without the extension a key may be used for anything (RFC 5280, 4.2.1.12).
        return True


def server(
    public_key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    *,
    names: Sequence[str],
    period: timedelta,
) -> x509.Certificate:
    """Certificate of a TLS server for DNS names and IP addresses. Its SAN is critical: devices refuse one that is not.

    The server is a client too when it notifies its subscribers.
    """
    return (
        _builder(public_key, common_name(names[0]), issuer.subject, now, _end(now, period))
        .add_extension(authority_key_id(issuer), critical=False)
        .add_extension(server_names(names), critical=True)
        .add_extension(_key_usage(sign=True, agree=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(SERVER_USAGES), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def device(
    public_key: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    *,
    serial: str,
    period: timedelta | None = None,
    subject: str | None = None,
) -> x509.Certificate:
    """Certificate of a device with hardware serial number `serial`.

    Without `period` it does not expire (the standard's device profile); with one it is operational. `subject` is the common
    name of a client that is no device; a device's subject is empty.
    """
    name = common_name(subject) if subject else x509.Name([])
    policies = x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in DEVICE_POLICIES])
    return (
        _builder(public_key, name, issuer.subject, now, NEVER if period is None else _end(now, period))
        .add_extension(authority_key_id(issuer), critical=False)
        .add_extension(device_names(serial), critical=True)
        .add_extension(_key_usage(sign=True, agree=True), critical=True)
        .add_extension(policies, critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def ocsp_responder(
    public_key: ec.EllipticCurvePublicKey, issuer: x509.Certificate, issuer_key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.Certificate:
    """Certificate of the responder that answers for `issuer` (RFC 6960, 4.2.2.2), not itself to be looked up."""
    return (
        _builder(public_key, common_name("GridTokenX-OCSP"), issuer.subject, now, _end(now, OCSP_PERIOD))
        .add_extension(authority_key_id(issuer), critical=False)
        .add_extension(_key_usage(sign=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING]), critical=False)
        .add_extension(x509.OCSPNoCheck(), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def authority_key_id(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Key identifier of an issuer as what it signs carries it."""
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _authority(
    builder: x509.CertificateBuilder, public_key: ec.EllipticCurvePublicKey, path_length: int
) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.CertificatePolicies([x509.PolicyInformation(ANY_POLICY, None)]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _builder(
    public_key: ec.EllipticCurvePublicKey, subject: x509.Name, issuer: x509.Name, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before((now - BACKDATE).replace(microsecond=0))
        .not_valid_after(end)
    )


def _key_usage(*, sign: bool = False, agree: bool = False, authority: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        key_agreement=agree,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _end(now: datetime, period: timedelta) -> datetime:
    return (now + period).replace(microsecond=0)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
