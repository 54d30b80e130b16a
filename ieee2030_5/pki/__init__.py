"""A campus's certification authorities: certificates, revocation lists and OCSP by IEEE 2030.5-2018, 6.11, and RFC 5280.

`certs/README.md` explains hierarchy, profiles, files and lifecycle to an operator.
"""

from __future__ import annotations

from ieee2030_5.hardware import hardware_serial
from ieee2030_5.keyfiles import PkiError, check_private, lfdi_of_file, load_certificate, load_certificates, load_key

from .authority import Authority, LeafProfile
from .credential import Credential
from .crl import load_crl, revoked_serials
from .index import REASONS, Issued, IssuedIndex, Reason
from .lifecycle import ensure_crl, renew, replace, replace_issuing, retire_due, revoke, write_crl
from .ocsp import CertificateStatus, OcspError, ocsp_request, parse_ocsp
from .profiles import CA_NAME, ISSUING_CA_NAME, NEVER, OPERATIONAL_PERIOD, SERVER_PERIOD, Profile
from .token import TokenOptions

__all__ = [
    "CA_NAME",
    "ISSUING_CA_NAME",
    "NEVER",
    "OPERATIONAL_PERIOD",
    "REASONS",
    "SERVER_PERIOD",
    "Authority",
    "CertificateStatus",
    "Credential",
    "Issued",
    "IssuedIndex",
    "LeafProfile",
    "OcspError",
    "PkiError",
    "Profile",
    "Reason",
    "TokenOptions",
    "check_private",
    "ensure_crl",
    "hardware_serial",
    "lfdi_of_file",
    "load_certificate",
    "load_certificates",
    "load_crl",
    "load_key",
    "ocsp_request",
    "parse_ocsp",
    "renew",
    "replace",
    "replace_issuing",
    "retire_due",
    "revoke",
    "revoked_serials",
    "write_crl",
]
