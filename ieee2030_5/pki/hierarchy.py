"""The authorities of a directory: a root, and below it the one that issues."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from ieee2030_5.identity import lfdi_of
from ieee2030_5.keyfiles import PkiError, load_certificate, load_certificates, write_atomically

from . import profiles
from .credential import belongs, der_of, pem_of
from .index import IssuedIndex, subject_key_id
from .keystore import KeyStore

log = logging.getLogger(__name__)

ROOT, ISSUING = "ca", "issuing"
FORMER_ROOT = "former-root.pem"


@dataclass(frozen=True, slots=True)
class SigningAuthority:
    """An authority: `name` is that of its files, `certificate` its own; the key is fetched when something is signed."""

    name: str
    certificate: x509.Certificate
    keys: KeyStore

    @property
    def key_id(self) -> bytes:
        """Key identifier, as what it signs carries it."""
        return subject_key_id(self.certificate)

    def key(self) -> ec.EllipticCurvePrivateKey:
        """Return the key. Raises `PkiError` where it is not here or is not this authority's."""
        key = self.keys.load(self.name)
        if key is None:
            raise PkiError(f"{self.keys.where(self.name)} is needed to sign: bring it back for this")
        if not belongs(self.certificate, key):
            raise PkiError(f"{self.keys.where(self.name)} is not the key of {self.certificate.subject.rfc4514_string()}")
        return key


def open_root(directory: Path, keys: KeyStore, index: IssuedIndex, now: datetime) -> SigningAuthority:
    """Open the root whose certificate is the first of `ca.pem`, or found one.

    A key without certificate is certified again under the same name, so what it signed stays valid. So is a root that
    allows no authority below it, as earlier versions made them; its former certificate is kept beside.
    """
    path = directory / "ca.pem"
    if path.exists():
        root = _opened(ROOT, path, keys)
        if not _allows_authorities(root.certificate):
            renewed = profiles.root(root.key(), now)
            write_atomically(directory / FORMER_ROOT, pem_of(root.certificate), 0o644)
            write_atomically(path, pem_of(renewed, *load_certificates(path)[1:]), 0o644)
            log.warning("the root was certified again, to allow an issuing authority below it: hand the new %s out", path)
            root = SigningAuthority(ROOT, renewed, keys)
    else:
        certificate = profiles.root(keys.load(ROOT) or keys.create(ROOT), now)
        write_atomically(path, pem_of(certificate), 0o644)
        root = SigningAuthority(ROOT, certificate, keys)
    index.add(root.certificate, ROOT, "root")
    return root


def open_issuing(
    directory: Path, keys: KeyStore, root: SigningAuthority, index: IssuedIndex, now: datetime, *, anew: bool = False
) -> SigningAuthority:
    """Open the issuing authority of `issuing.pem`, or certify one: a new one for another root's, and where `anew` is set."""
    path = directory / "issuing.pem"
    if path.exists() and not anew and signed_by(load_certificate(path), root.certificate):
        issuing = _opened(ISSUING, path, keys)
    else:
        key = None if path.exists() else keys.load(ISSUING)
        root_key = root.key()
        key = key or keys.create(ISSUING)
        certificate = profiles.issuing(key.public_key(), root.certificate, root_key, now)
        index.add(certificate, ISSUING, "issuing")
        write_atomically(path, pem_of(certificate), 0o644)
        issuing = SigningAuthority(ISSUING, certificate, keys)
    index.add(issuing.certificate, ISSUING, "issuing")
    return issuing


def ensure_bundle(directory: Path, issuing: x509.Certificate, index: IssuedIndex) -> None:
    """See to it that `ca.pem` holds the issuing authority; what others appended stays, what was revoked does not."""

    def revoked(certificate: x509.Certificate) -> bool:
        row = index.find(lfdi_of(der_of(certificate)))
        return row is not None and row.status == "revoked"

    path = directory / "ca.pem"
    present = load_certificates(path)
    wanted = [present[0], *(c for c in present[1:] if not revoked(c))]
    if der_of(issuing) not in {der_of(c) for c in wanted}:
        wanted.insert(1, issuing)
    if wanted != present:
        write_atomically(path, pem_of(*wanted), 0o644)


def signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether the authority's key signed the certificate, in its name."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _opened(name: str, path: Path, keys: KeyStore) -> SigningAuthority:
    certificate = load_certificate(path)
    if keys.at_hand(name):
        key = keys.load(name)
        if key is None:
            raise PkiError(f"{path} has no key: restore {keys.where(name)}, or move the directory away to start anew")
        if not belongs(certificate, key):
            raise PkiError(f"{keys.where(name)} is not the key of {path}: restore the right one")
    return SigningAuthority(name, certificate, keys)


def _allows_authorities(root: x509.Certificate) -> bool:
    try:
        path_length = root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    except x509.ExtensionNotFound:
        return False
    return path_length is None or path_length >= profiles.ROOT_PATH_LENGTH
