"""What happens to certificates after they were issued: renewal, replacement, revocation, and the lists that publish it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from ieee2030_5.identity import lfdi_of
from ieee2030_5.keyfiles import PkiError, load_key, locked, private_directory, write_atomically

from .authority import Authority, LeafProfile
from .credential import Credential, der_of
from .crl import build_crl, crl_key_id, load_crl
from .hierarchy import SigningAuthority, ensure_bundle, open_issuing
from .index import Issued, Reason
from .profiles import OPERATIONAL_PERIOD

log = logging.getLogger(__name__)

GRACE = timedelta(days=30)
CRL_PERIOD = {"ca": timedelta(days=365), "issuing": timedelta(days=30)}
"""Life of a list. The root's key is rarely at hand to sign, and what it revokes is rare."""


def renew(
    authority: Authority,
    name: str,
    *,
    grace: timedelta = GRACE,
    keep_key: bool = False,
    profile: LeafProfile | None = None,
    period: timedelta = OPERATIONAL_PERIOD,
) -> tuple[Credential, Credential]:
    """Give a meter or client a new certificate, hence LFDI; returns the old credential and the new one.

    The old one stays usable until it is revoked or `grace` ends; its files are kept in `former/` beside the new ones.
    `keep_key` certifies the same key again. Without `profile` the new certificate is of the same kind. Raises `KeyError` for
    a name without certificate, `PkiError` for one that was revoked.
    """
    with locked(authority.directory):
        old = authority.credential(name)
        if old.revoked:
            raise PkiError(f"the certificate of {name} was revoked: replace it")
        kept = _keep_former(old)
        new = authority.certify(name, load_key(old.key) if keep_key else None, profile, period)
        authority.index.retire(old.lfdi, authority.now() + grace)
        return kept, new


def replace(
    authority: Authority, name: str, reason: Reason = "keyCompromise", *, period: timedelta = OPERATIONAL_PERIOD
) -> tuple[list[str], Credential]:
    """Emergency: revoke every certificate of a meter or client at once and issue one with a new key.

    Returns the LFDIs that were revoked by now, the latest first, and the new credential. Raises `KeyError` for a name
    without certificate.
    """
    with locked(authority.directory):
        authority.credential(name)
        former = [row.lfdi for row in authority.index.by_name(name) if row.profile in ("device", "operational")]
        _revoke(authority, former, reason)
        return former, authority.certify(name, None, None, period)


def revoke(authority: Authority, lfdis: Iterable[str], reason: Reason = "unspecified") -> list[str]:
    """Revoke certificates and publish the lists that say so; returns the LFDIs that this call revoked. Idempotent.

    Raises `KeyError`, changing nothing, for an LFDI that this authority never issued.
    """
    with locked(authority.directory):
        return _revoke(authority, list(lfdis), reason)


def retire_due(authority: Authority) -> list[Issued]:
    """Revoke (as superseded) the certificates whose grace after a renewal is over; returns them."""
    due = authority.index.due(authority.now())
    if due:
        with locked(authority.directory):
            _revoke(authority, [row.lfdi for row in due], "superseded")
    return due


def replace_issuing(authority: Authority) -> Authority:
    """Emergency: revoke the issuing authority and all that it signed, and found another. Needs the root's key.

    Returns the authority as it is then; every `ensure` of it issues anew.
    """
    with locked(authority.directory):
        index, old, now = authority.index, authority.issuing, authority.now()
        # A root key that is not here is noticed before anything changes.
        authority.root.key()
        index.revoke(lfdi_of(der_of(old.certificate)), "cACompromise", now)
        for row in index.all():
            if row.issuer_key_id == old.key_id:
                index.revoke(row.lfdi, "cACompromise", now)
        issuing = open_issuing(authority.directory, old.keys, authority.root, index, now, anew=True)
        ensure_bundle(authority.directory, issuing.certificate, index)
        renewed = Authority(authority.directory, authority.root, issuing, authority.now)
        _publish(renewed, only_due=False)
    return renewed


def write_crl(authority: Authority) -> Path:
    """Sign the revocation lists of both authorities now; returns `crl.pem`. Raises `PkiError` where a key is not at hand."""
    with locked(authority.directory):
        _publish(authority, only_due=False)
    return authority.crl_path


def ensure_crl(authority: Authority) -> Path:
    """Sign the revocation lists that are missing or in the last quarter of their life; returns `crl.pem`.

    A list that is still good where its key is not at hand stays, with a warning. Raises `PkiError` for one that is not.
    """
    with locked(authority.directory):
        _publish(authority, only_due=True)
    return authority.crl_path


def crl_end(authority: Authority, by: SigningAuthority) -> datetime | None:
    """When the list of one of the authorities ends (nextUpdate); None where there is no list of it that can be read."""
    try:
        (crl,) = load_crl(_crl_file(authority, by, "pem"))
        return crl.next_update_utc if crl_key_id(crl) == by.key_id else None
    except (PkiError, FileNotFoundError, ValueError):
        return None


def _revoke(authority: Authority, lfdis: list[str], reason: Reason) -> list[str]:
    index, now = authority.index, authority.now()
    rows = {lfdi: index.find(lfdi) for lfdi in lfdis}
    for lfdi, row in rows.items():
        if row is None:
            raise KeyError(lfdi)
    revoked = [lfdi for lfdi in lfdis if index.revoke(lfdi, reason, now)]
    issuers = {row.issuer_key_id for row in rows.values() if row is not None}
    signers = [by for by in (authority.root, authority.issuing) if by.key_id in issuers]
    # Also where nothing changed: the call before may have ended between the index and the lists.
    for by in signers:
        _sign(authority, by)
    _bundle(authority)
    # A key whose certificate is void serves nobody but a thief.
    for path in (authority.directory / "meters" / "former", authority.directory / "clients" / "former"):
        for lfdi in lfdis:
            for key in path.glob(f"*-{lfdi}.key"):
                key.unlink(missing_ok=True)
    return revoked


def _publish(authority: Authority, *, only_due: bool) -> None:
    failed: PkiError | None = None
    for by in (authority.root, authority.issuing):
        end, now = crl_end(authority, by), authority.now()
        if only_due and end is not None and now + CRL_PERIOD[by.name] / 4 < end:
            continue
        try:
            _sign(authority, by)
        except PkiError as error:
            if only_due and end is not None and now < end:
                log.warning("%s; the revocation list of %s is not renewed and good until %s", error, by.name, end)
            else:
                failed = failed or error
    _bundle(authority)
    if failed is not None:
        raise failed


def _sign(authority: Authority, by: SigningAuthority) -> None:
    index = authority.index
    key = by.key()
    crl = build_crl(
        by.certificate,
        key,
        index.revoked(by.key_id),
        number=index.next_crl_number(by.key_id),
        now=authority.now(),
        period=CRL_PERIOD[by.name],
    )
    _crl_file(authority, by, "pem").parent.mkdir(mode=0o755, exist_ok=True)
    write_atomically(_crl_file(authority, by, "der"), crl.public_bytes(Encoding.DER), 0o644)
    write_atomically(_crl_file(authority, by, "pem"), crl.public_bytes(Encoding.PEM), 0o644)


def _bundle(authority: Authority) -> None:
    files = [_crl_file(authority, by, "pem") for by in (authority.root, authority.issuing)]
    content = b"".join(path.read_bytes() for path in files if path.exists())
    # Servers reload the file when it changes, so it changes only when it says something else.
    if not authority.crl_path.exists() or authority.crl_path.read_bytes() != content:
        write_atomically(authority.crl_path, content, 0o644)


def _crl_file(authority: Authority, by: SigningAuthority, suffix: str) -> Path:
    return authority.directory / "crl" / f"{by.name}.{suffix}"


def _keep_former(old: Credential) -> Credential:
    folder = old.certificate.parent / "former"
    private_directory(folder)
    paths = {}
    for path, mode in ((old.key, 0o600), (old.certificate, 0o644)):
        paths[path.suffix] = folder / f"{old.name}-{old.lfdi}{path.suffix}"
        write_atomically(paths[path.suffix], path.read_bytes(), mode)
    return dataclasses.replace(old, certificate=paths[".pem"], key=paths[".key"])
