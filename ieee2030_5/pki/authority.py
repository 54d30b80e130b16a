"""A campus's authority in a directory: what it issues.

Every `ensure` is idempotent: what is there and good is kept, so LFDIs stay; what is missing, broken, near its end or names
something else is issued again; a device that was revoked stays revoked until it is replaced (`lifecycle`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ieee2030_5.identity import lfdi_of
from ieee2030_5.keyfiles import (
    PkiError,
    check_private,
    load_certificate,
    load_key,
    locked,
    private_directory,
    write_atomically,
)

from . import profiles
from .credential import Credential, belongs, credential_of, der_of, key_pem, pem_of
from .hierarchy import FORMER_ROOT, SigningAuthority, ensure_bundle, open_issuing, open_root, signed_by
from .index import Issued, IssuedIndex
from .keystore import key_store
from .profiles import OPERATIONAL_PERIOD, RENEWAL_MARGIN, SERVER_PERIOD
from .token import TokenOptions

_DEVICE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LEAVES = ("device", "operational")

LeafProfile = Literal["device", "operational"]
Build = Callable[[ec.EllipticCurvePublicKey], x509.Certificate]


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority of a directory; `certs/README.md` lists its files.

    `root` signs `issuing` alone, and what it signed before there was an issuing authority; `now` gives aware UTC.
    """

    directory: Path
    root: SigningAuthority
    issuing: SigningAuthority
    now: Callable[[], datetime]

    @classmethod
    def ensure(
        cls,
        directory: Path | str,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        token: TokenOptions | None = None,
    ) -> Authority:
        """Open the authority of `directory`, or found one (P-256, no expiry), with its keys in files or in `token`.

        Raises `PkiError` for a certificate without its key (replacing the pair would disown every device) unless
        `<name>.key.offline` says that the key is kept elsewhere, and `PermissionError` for a key that others can read.
        """
        directory = Path(directory)
        private_directory(directory)
        with locked(directory):
            index = index_of(directory)
            keys = key_store(directory, token)
            root = open_root(directory, keys, index, now())
            issuing = open_issuing(directory, keys, root, index, now())
            ensure_bundle(directory, issuing.certificate, index)
        return cls(directory, root, issuing, now)

    @property
    def certificate(self) -> x509.Certificate:
        """The root's certificate."""
        return self.root.certificate

    @property
    def certificate_path(self) -> Path:
        """What servers and devices trust: the root and the issuing authority, for devices that send their leaf alone."""
        return self.directory / "ca.pem"

    @property
    def crl_path(self) -> Path:
        """The revocation lists of both authorities in one PEM file; `ensure_crl` writes it."""
        return self.directory / "crl.pem"

    @property
    def index(self) -> IssuedIndex:
        """Everything that was issued."""
        return index_of(self.directory)

    def ensure_server(
        self, names: Iterable[str], *, period: timedelta = SERVER_PERIOD, margin: timedelta = RENEWAL_MARGIN
    ) -> Credential:
        """The server's certificate for DNS names and IP addresses `names`, and its issuer's; the first name is also its CN.

        Issued again when less than `margin` of its `period` is left, when `names` changed, it was revoked or it cannot act
        as a client. Raises `ValueError` without names, and `PermissionError` for an existing key that others can read.
        """
        wanted = list(dict.fromkeys(names))
        if not wanted:
            raise ValueError("a server certificate needs at least one name")
        # Devices in the field may hold the former root, which allows no authority between itself and the server.
        by = self.root if (self.directory / FORMER_ROOT).exists() else self.issuing

        def build(key: ec.EllipticCurvePublicKey) -> x509.Certificate:
            return profiles.server(key, by.certificate, by.key(), self.now(), names=wanted, period=period)

        stem, alternative = self.directory / "server", profiles.server_names(wanted)
        chain = (self.issuing.certificate,) if by is self.issuing else ()
        with locked(self.directory):
            found = self._found(stem, ("server",), alternative, margin, (self.issuing, self.root))
            if found is not None and not profiles.may_notify(found):
                found = None
            return self._credential(stem, wanted[0], found) if found else self._issue(stem, wanted[0], "server", build, chain)

    def ensure_device(
        self, name: str, *, profile: LeafProfile | None = None, period: timedelta = OPERATIONAL_PERIOD
    ) -> Credential:
        """A device's certificate; `name` becomes the hardware serial number and the file name.

        A new certificate of the profile `device` does not expire, an `operational` one does after `period`; without a
        profile it is of the same kind as the last one, or `device`. Raises `ValueError` for a name that is not 1 to 64 of
        `A-Z a-z 0-9 _ . -` or a client's, `PermissionError` for an existing key that others can read, and `PkiError` for a
        revoked device whose files are gone.
        """
        return self._ensure_leaf("meters", name, profile, period)

    def ensure_client(
        self, name: str, *, profile: LeafProfile = "operational", period: timedelta = OPERATIONAL_PERIOD
    ) -> Credential:
        """The certificate of a client that is no meter (an operator, an auditor, an aggregator), with `name` as its CN.

        Raises as `ensure_device`, and `ValueError` for the name of a meter.
        """
        return self._ensure_leaf("clients", name, profile, period)

    def ensure_responder(self, by: SigningAuthority) -> Credential:
        """The certificate with which an OCSP responder answers for an authority; issued again before it ends."""

        def build(key: ec.EllipticCurvePublicKey) -> x509.Certificate:
            return profiles.ocsp_responder(key, by.certificate, by.key(), self.now())

        stem = self.directory / f"ocsp-{by.name}"
        with locked(self.directory):
            found = self._found(stem, ("ocsp",), None, RENEWAL_MARGIN, (by,))
            return self._credential(stem, stem.name, found) if found else self._issue(stem, stem.name, "ocsp", build)

    def credential(self, name: str) -> Credential:
        """The certificate that a meter or client has. Raises `KeyError` for a name without one."""
        stem = self._stem(name)
        certificate = load_certificate(_pem_path(stem))
        if any(signed_by(certificate, signer.certificate) for signer in (self.issuing, self.root)):
            self._adopt(stem, certificate, _LEAVES)
        return self._credential(stem, name, certificate)

    def certify(
        self, name: str, key: ec.EllipticCurvePrivateKey | None, profile: LeafProfile | None, period: timedelta
    ) -> Credential:
        """Give a meter or client a new certificate for `key` (None: a new key), in place of the one it has.

        Without `profile`, of the same kind as its last one. The caller holds the directory's lock. Raises `KeyError` for a
        name without certificate.
        """
        stem = self._stem(name)
        return self._issue_leaf(stem, profile or self._last_profile(self._leaf_rows(name)), period, key)

    def _ensure_leaf(self, folder: str, name: str, profile: LeafProfile | None, period: timedelta) -> Credential:
        if not _DEVICE_NAME.fullmatch(name) or name.startswith("."):
            raise ValueError(f"not a device name: {name[:80]!r}")
        for other in {"meters", "clients"} - {folder}:
            if _pem_path(self.directory / other / name).exists():
                raise ValueError(f"{name} is the name of one of the {other}")
        private_directory(self.directory / folder)
        stem = self.directory / folder / name
        with locked(self.directory):
            rows = self._leaf_rows(name)
            withdrawn = bool(rows) and _is_withdrawn(rows[0])
            found = self._found(stem, _LEAVES, profiles.device_names(name), timedelta(0), (self.issuing, self.root))
            if found is None and withdrawn:
                try:
                    found = load_certificate(_pem_path(stem))
                except (PkiError, FileNotFoundError):
                    raise PkiError(f"{name} was revoked and its files are gone: replace it to let it in again") from None
            if found is not None:
                return self._credential(stem, name, found)
            return self._issue_leaf(stem, profile or self._last_profile(rows), period, None)

    def _issue_leaf(
        self, stem: Path, profile: LeafProfile, period: timedelta, key: ec.EllipticCurvePrivateKey | None
    ) -> Credential:
        by, subject = self.issuing, stem.name if stem.parent.name == "clients" else None
        ends = period if profile == "operational" else None

        def build(public: ec.EllipticCurvePublicKey) -> x509.Certificate:
            signer = by.key()
            return profiles.device(public, by.certificate, signer, self.now(), serial=stem.name, period=ends, subject=subject)

        return self._issue(stem, stem.name, profile, build, key=key)

    def _issue(
        self,
        stem: Path,
        name: str,
        profile: profiles.Profile,
        build: Build,
        chain: Collection[x509.Certificate] = (),
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> Credential:
        key = key or ec.generate_private_key(ec.SECP256R1())
        certificate = build(key.public_key())
        self.index.add(certificate, stem.name, profile)
        # Key first: a crash in between leaves a pair that does not match, and that is issued again.
        write_atomically(_key_path(stem), key_pem(key), 0o600)
        write_atomically(_pem_path(stem), pem_of(certificate, *chain), 0o644)
        return credential_of(name, certificate, _pem_path(stem), _key_path(stem), issued=True)

    def _found(
        self,
        stem: Path,
        kinds: Sequence[str],
        alternative: x509.SubjectAlternativeName | None,
        margin: timedelta,
        signers: Collection[SigningAuthority],
    ) -> x509.Certificate | None:
        """The certificate on disk, if it can stay: whole, ours, in time and for the same names."""
        if not (_pem_path(stem).exists() and _key_path(stem).exists()):
            return None
        check_private(_key_path(stem))
        try:
            certificate, key = load_certificate(_pem_path(stem)), load_key(_key_path(stem))
            named = _names(certificate)
        except (PkiError, ValueError):
            return None
        now = self.now()
        in_time = certificate.not_valid_before_utc <= now and now + margin < certificate.not_valid_after_utc
        ours = any(signed_by(certificate, signer.certificate) for signer in signers)
        if not (in_time and ours and named == alternative and belongs(certificate, key)):
            return None
        row = self.index.find(lfdi_of(der_of(certificate)))
        if row is None:
            # Issued by an earlier version, which kept no index.
            expires = certificate.not_valid_after_utc != profiles.NEVER
            self.index.add(certificate, stem.name, kinds[-1] if expires else kinds[0])  # type: ignore[index]
        elif row.status == "revoked" and not (row.profile in _LEAVES and _is_withdrawn(row)):
            return None
        return certificate

    def _adopt(self, stem: Path, certificate: x509.Certificate, kinds: Sequence[str]) -> None:
        # Earlier versions kept no index of what they issued.
        expires = certificate.not_valid_after_utc != profiles.NEVER
        self.index.add(certificate, stem.name, kinds[-1] if expires else kinds[0])

    def _credential(self, stem: Path, name: str, certificate: x509.Certificate) -> Credential:
        row = self.index.find(lfdi_of(der_of(certificate)))
        revoked = row is not None and row.status == "revoked"
        return credential_of(name, certificate, _pem_path(stem), _key_path(stem), issued=False, revoked=revoked)

    @staticmethod
    def _last_profile(rows: list[Issued]) -> LeafProfile:
        return "operational" if rows and rows[0].profile == "operational" else "device"

    def _leaf_rows(self, name: str) -> list[Issued]:
        return [row for row in self.index.by_name(name) if row.profile in _LEAVES]

    def _stem(self, name: str) -> Path:
        if _DEVICE_NAME.fullmatch(name):
            for folder in ("meters", "clients"):
                if _pem_path(self.directory / folder / name).exists():
                    return self.directory / folder / name
        raise KeyError(name)


def index_of(directory: Path) -> IssuedIndex:
    """The index of the authority of a directory."""
    return IssuedIndex(directory / "issued.sqlite")


def _is_withdrawn(row: Issued) -> bool:
    # Where the authority was the one that failed, its devices did nothing wrong and get new certificates by themselves.
    return row.status == "revoked" and row.reason != "cACompromise"


def _names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _pem_path(stem: Path) -> Path:
    # Names may hold dots, so `with_suffix` would cut them.
    return stem.with_name(f"{stem.name}.pem")


def _key_path(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.key")
