"""Everything that can be wrong with a certificate, checked one by one and told in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from ieee2030_5.hardware import hardware_serial
from ieee2030_5.identity import lfdi_of, sfdi_of
from ieee2030_5.keyfiles import PkiError, check_private, load_certificate, load_certificates, load_key

from .credential import belongs, der_of
from .crl import check_crl_signature, crl_key_id, load_crl
from .hierarchy import signed_by
from .index import issuer_key_id

_CRITICAL = {
    ExtensionOID.KEY_USAGE: "keyUsage",
    ExtensionOID.BASIC_CONSTRAINTS: "basicConstraints",
    ExtensionOID.CERTIFICATE_POLICIES: "certificatePolicies",
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME: "subjectAltName",
}
_NOT_CRITICAL = {
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER: "authorityKeyIdentifier",
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: "subjectKeyIdentifier",
    ExtensionOID.EXTENDED_KEY_USAGE: "extendedKeyUsage",
}
_FORBIDDEN = {ExtensionOID.POLICY_MAPPINGS: "policyMappings", ExtensionOID.NAME_CONSTRAINTS: "nameConstraints"}
_MAX_CHAIN = 8
T = TypeVar("T", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `detail` says what was found, whether or not it is good."""

    name: str
    ok: bool
    detail: str


def verify(
    path: Path | str, *, ca: Path | str, now: datetime, crl: Path | str | None = None, key: Path | str | None = None
) -> list[Check]:
    """Check the first certificate of a PEM file against the authorities of `ca` at `now` (aware).

    With `crl` its revocation is checked too (the list must be there, fresh and signed), with `key` that the key is the
    certificate's and private. Never raises for what is wrong with the files: that is what the checks say.
    """
    try:
        certificate = load_certificate(path)
        chain_file = load_certificates(path)[1:]
    except (PkiError, OSError) as error:
        return [Check("readable", False, str(error))]
    lfdi = lfdi_of(der_of(certificate))
    checks = [Check("readable", True, f"LFDI {lfdi}, SFDI {sfdi_of(lfdi)}, serial {certificate.serial_number:x}")]
    try:
        trusted = load_certificates(ca)
    except (PkiError, OSError) as error:
        return [*checks, Check("chain", False, str(error))]
    chain = _chain(certificate, [*trusted, *chain_file])
    anchored = any(der_of(chain[-1]) == der_of(anchor) for anchor in trusted)
    checks += [_chain_check(chain, anchored), _dates(chain, now), _key(certificate), _profile(certificate)]
    if key is not None:
        checks.append(_tried("private key", lambda: _private_key(certificate, Path(key))))
    if crl is not None:
        checks.append(_tried("revocation", lambda: _revocation(chain, Path(crl), now)))
    return checks


def profile_of(certificate: x509.Certificate) -> str:
    """Which profile a certificate follows: authority, ocsp, server or device."""
    if (constraints := _value(certificate, x509.BasicConstraints)) is not None and constraints.ca:
        return "authority"
    usages = _value(certificate, x509.ExtendedKeyUsage) or ()
    if ExtendedKeyUsageOID.OCSP_SIGNING in usages:
        return "ocsp"
    return "server" if ExtendedKeyUsageOID.SERVER_AUTH in usages else "device"


def profile_faults(certificate: x509.Certificate) -> Iterator[str]:
    """What contradicts IEEE 2030.5-2018, 6.11, and is refused by devices in the field."""
    present = {extension.oid: extension.critical for extension in certificate.extensions}
    kind = profile_of(certificate)
    yield from (f"{name} is not critical" for oid, name in _CRITICAL.items() if present.get(oid) is False)
    yield from (f"{name} is critical" for oid, name in _NOT_CRITICAL.items() if present.get(oid))
    yield from (f"{name} is not allowed" for oid, name in _FORBIDDEN.items() if oid in present)
    usage = _value(certificate, x509.KeyUsage)
    if usage is None:
        yield "no keyUsage"
    elif kind == "authority" and not (usage.key_cert_sign and usage.crl_sign):
        yield "keyUsage without keyCertSign and cRLSign"
    elif kind != "authority" and not usage.digital_signature:
        yield "keyUsage without digitalSignature"
    if kind == "authority" and ExtensionOID.SUBJECT_KEY_IDENTIFIER not in present:
        yield "no subjectKeyIdentifier"
    if certificate.issuer != certificate.subject and ExtensionOID.AUTHORITY_KEY_IDENTIFIER not in present:
        yield "no authorityKeyIdentifier"
    if kind in ("authority", "device") and ExtensionOID.CERTIFICATE_POLICIES not in present:
        yield "no certificatePolicies"
    if kind == "device" and hardware_serial(certificate) is None:
        yield "no hardwareModuleName"
    if kind == "server" and ExtensionOID.SUBJECT_ALTERNATIVE_NAME not in present:
        yield "no subjectAltName"
    algorithm = certificate.signature_hash_algorithm
    if not isinstance(algorithm, hashes.SHA256):
        yield f"signed with {algorithm.name if algorithm else 'an unknown hash'}, not SHA-256"


def _chain(certificate: x509.Certificate, authorities: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    chain = [certificate]
    while not _is_self_signed(chain[-1]) and len(chain) < _MAX_CHAIN:
        above = next((authority for authority in authorities if signed_by(chain[-1], authority)), None)
        if above is None:
            break
        chain.append(above)
    return chain


def _is_self_signed(certificate: x509.Certificate) -> bool:
    # By signature: an authority may carry the name of the one above it.
    return signed_by(certificate, certificate)


def _chain_check(chain: Sequence[x509.Certificate], anchored: bool) -> Check:
    top = chain[-1]
    names = " <- ".join(c.subject.rfc4514_string() or f"device {hardware_serial(c)}" for c in reversed(chain))
    if not _is_self_signed(top) or not anchored:
        return Check("chain", False, f"{names}: no trusted authority signed {'it' if len(chain) == 1 else 'the last one'}")
    for below, authority in enumerate(chain[1:]):
        constraints = _value(authority, x509.BasicConstraints)
        if constraints is None or not constraints.ca:
            return Check("chain", False, f"{authority.subject.rfc4514_string()} is not an authority")
        if constraints.path_length is not None and below > constraints.path_length:
            return Check("chain", False, f"{authority.subject.rfc4514_string()} allows no authority below itself")
    return Check("chain", True, names)


def _dates(chain: Sequence[x509.Certificate], now: datetime) -> Check:
    for certificate in chain:
        name = certificate.subject.rfc4514_string() or "certificate"
        if now < certificate.not_valid_before_utc:
            return Check("dates", False, f"{name} is valid only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC")
        if now > certificate.not_valid_after_utc:
            return Check("dates", False, f"{name} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC")
    return Check("dates", True, f"until {chain[0].not_valid_after_utc:%Y-%m-%d}")


def _key(certificate: x509.Certificate) -> Check:
    try:
        public_key = certificate.public_key()
    except (ValueError, TypeError) as error:
        return Check("key", False, f"unreadable: {error}")
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return Check("key", isinstance(public_key.curve, ec.SECP256R1), public_key.curve.name)
    return Check("key", False, f"{type(public_key).__name__}, P-256 required")


def _profile(certificate: x509.Certificate) -> Check:
    try:
        faults = list(profile_faults(certificate))
    except ValueError as error:
        return Check("profile", False, f"unreadable extensions: {error}")
    return Check("profile", not faults, f"{profile_of(certificate)}: {'; '.join(faults) or 'as IEEE 2030.5 asks'}")


def _private_key(certificate: x509.Certificate, path: Path) -> Check:
    check_private(path)
    own = belongs(certificate, load_key(path))
    return Check("private key", own, f"{path} is {'its' if own else 'another'} key")


def _revocation(chain: Sequence[x509.Certificate], path: Path, now: datetime) -> Check:
    lists = {crl_key_id(crl): crl for crl in load_crl(path)}
    for certificate in chain[:-1]:
        name = certificate.subject.rfc4514_string() or "certificate"
        crl = lists.get(issuer_key_id(certificate))
        if crl is None:
            return Check("revocation", False, f"{path} has no list of {certificate.issuer.rfc4514_string()}")
        check_crl_signature(crl, chain[1:], path)
        if crl.next_update_utc is not None and crl.next_update_utc < now:
            return Check("revocation", False, f"the list of {certificate.issuer.rfc4514_string()} ended on {crl.next_update_utc}")
        entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        if entry is not None:
            return Check("revocation", False, f"{name} was revoked on {entry.revocation_date_utc:%Y-%m-%d %H:%M:%S} UTC")
    return Check("revocation", True, "not revoked")


def _tried(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except (PkiError, OSError, ValueError) as error:
        return Check(name, False, str(error))


def _value(certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
