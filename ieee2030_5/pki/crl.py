"""Certificate revocation lists (RFC 5280, 5): made of the index, read from files of any authority."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ieee2030_5.keyfiles import PkiError

from .index import Issued, subject_key_id
from .profiles import BACKDATE, authority_key_id

_BEGIN, _END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"


def build_crl(
    authority: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    revoked: Iterable[Issued],
    *,
    number: int,
    now: datetime,
    period: timedelta,
) -> x509.CertificateRevocationList:
    """Sign the list of what an authority revoked, to be followed by the next within `period`.

    Certificates that expired more than a period ago are left out (RFC 5280, 3.3: one list after expiry has had them).
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update((now - BACKDATE).replace(microsecond=0))
        .next_update((now + period).replace(microsecond=0))
        .add_extension(authority_key_id(authority), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for row in revoked:
        # Compared by difference: certificates without expiry end in the last second that a datetime can express.
        if now - row.not_after > period:
            continue
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(row.serial)
            .revocation_date((row.revoked_at or now).replace(microsecond=0))
        )
        if row.reason and row.reason != "unspecified":
            entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags(row.reason)), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(key, hashes.SHA256())


def load_crl(path: Path | str) -> list[x509.CertificateRevocationList]:
    """Read the revocation lists of a file: PEM, one or several, or one in DER.

    Raises `PkiError` for a file without any, `FileNotFoundError` for none.
    """
    content = Path(path).read_bytes()
    try:
        if _BEGIN not in content:
            return [x509.load_der_x509_crl(content)]
        pieces = content.split(_BEGIN)[1:]
        return [x509.load_pem_x509_crl(_BEGIN + piece.split(_END)[0] + _END) for piece in pieces]
    except ValueError as error:
        raise PkiError(f"{path} is not a certificate revocation list: {error}") from None


def crl_key_id(crl: x509.CertificateRevocationList) -> bytes:
    """Key identifier of the authority that signed a list. Raises `PkiError` for a list without one."""
    try:
        identifier = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        identifier = None
    if not identifier:
        raise PkiError("a revocation list without authorityKeyIdentifier does not say whose it is")
    return identifier


def revoked_serials(
    path: Path | str, *, authorities: Iterable[x509.Certificate] = (), now: datetime | None = None
) -> set[tuple[bytes, int]]:
    """Return (issuer key identifier, serial number) of every certificate that the lists of a file revoke.

    A certificate is looked up by its authorityKeyIdentifier and serial number. With `authorities`, every list must be signed
    by one of them; with `now`, none may be past its nextUpdate. Raises `PkiError` for a list that is not, or is not readable.
    """
    known = list(authorities)
    revoked: set[tuple[bytes, int]] = set()
    for crl in load_crl(path):
        identifier = crl_key_id(crl)
        if known:
            check_crl_signature(crl, known, path)
        if now is not None and crl.next_update_utc is not None and crl.next_update_utc < now:
            raise PkiError(
                f"{path}: the list of {crl.issuer.rfc4514_string()} is out of date since {crl.next_update_utc:%Y-%m-%d %H:%M} UTC"
            )
        revoked |= {(identifier, entry.serial_number) for entry in crl}
    return revoked


def check_crl_signature(crl: x509.CertificateRevocationList, authorities: Iterable[x509.Certificate], path: Path | str) -> None:
    """Raise `PkiError` unless one of the authorities signed the list."""
    for authority in authorities:
        public_key = authority.public_key()
        try:
            own = subject_key_id(authority) == crl_key_id(crl)
        except ValueError:
            continue
        if own and isinstance(public_key, ec.EllipticCurvePublicKey) and crl.is_signature_valid(public_key):
            return
    raise PkiError(f"{path}: the list of {crl.issuer.rfc4514_string()} is not signed by an authority that is trusted here")
