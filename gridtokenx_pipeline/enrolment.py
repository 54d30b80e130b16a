"""Certificates and registry rows for the configured meters: what a campus needs before its first message."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography import x509

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.registration import follow, opened
from ieee2030_5.keyfiles import load_certificate
from ieee2030_5.pki import (
    OPERATIONAL_PERIOD,
    Authority,
    Credential,
    LeafProfile,
    PkiError,
    TokenOptions,
    ensure_crl,
    retire_due,
)

log = logging.getLogger(__name__)

SERVER_NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Enrolment:
    """The campus's credentials: the server's, and one for each meter in the order of the configuration."""

    authority: Authority
    server: Credential
    meters: tuple[Credential, ...]

    @property
    def issued(self) -> int:
        """Certificates that were made now; the others were there and valid."""
        return sum(credential.issued for credential in (self.server, *self.meters))

    @property
    def probe(self) -> Credential:
        """A meter's credential to look at the server with: one that is not revoked, where there is one."""
        return next((credential for credential in self.meters if not credential.revoked), self.meters[0])

    @property
    def crl(self) -> Path | None:
        """The revocation lists, if there are any."""
        return self.authority.crl_path if self.authority.crl_path.exists() else None


def enrol(
    settings: Settings,
    names: Sequence[str] | None = None,
    on_progress: Callable[[str], None] | None = None,
    *,
    token: TokenOptions | None = None,
    profile: LeafProfile | None = None,
    period: timedelta = OPERATIONAL_PERIOD,
) -> Enrolment:
    """Make (or reuse) the authorities, the server's certificate and one for each meter, and register the meters.

    The server's is for `names`; without them for those it has, or `SERVER_NAMES`.
    A meter whose certificate changed keeps its earlier devices in the registry, so that its history keeps its owner. Devices
    whose grace after a renewal is over are revoked, and revocation lists that near their end are signed again; where the key
    for that is not at hand, that is said in the log and does not stop a server. `token` holds the authorities' keys from the
    first time on; `profile` and `period` are for meters that have no certificate yet. Raises `ieee2030_5.PkiError` and
    `PermissionError` for key material that must not be used.
    """
    told = on_progress or (lambda _: None)
    authority = Authority.ensure(settings.certs_dir, token=token)
    told("CA")
    server = authority.ensure_server(server_names(settings) if names is None else names)
    told("server")
    credentials = []
    for meter in settings.meters:
        credentials.append(authority.ensure_device(meter.id, profile=profile, period=period))
        told(meter.id)
    try:
        retire_due(authority)
        ensure_crl(authority)
    except PkiError as error:
        log.warning("revocation lists were not renewed: %s", error)
    with opened(settings) as registry:
        follow(settings, registry, authority, credentials)
    return Enrolment(authority, server, tuple(credentials))


def server_names(settings: Settings) -> list[str]:
    """The names of the server's certificate, in order; those of a new one where there is none that can be read."""
    try:
        certificate = load_certificate(settings.certs_dir / "server.pem")
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (FileNotFoundError, PkiError, x509.ExtensionNotFound):
        return list(SERVER_NAMES)
    return [str(name.value) for name in names]
