"""The Online Certificate Status Protocol (RFC 6960): requests, answers, and reading them with suspicion."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from ieee2030_5.keyfiles import PkiError

from .credential import der_of
from .index import Issued

CertificateStatus = Literal["good", "revoked", "unknown"]
CLOCK_SKEW = timedelta(minutes=5)
# An answer without nextUpdate says that newer information is always available (RFC 6960, 4.2.2.1).
_FRESH_WITHOUT_END = timedelta(hours=1)
_NONCE_OCTETS = 32


class OcspError(PkiError):
    """An answer that must not be believed, or a responder that gave none."""


def ocsp_request(certificate: x509.Certificate, issuer: x509.Certificate, *, nonce: bytes | None = None) -> bytes:
    """Return the DER request for the status of a certificate of `issuer`.

    Certificates are named by SHA-1 hashes of their issuer, for that is what every responder has to know (RFC 5019, 2.1.1).
    """
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303 - names, not signs
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def parse_ocsp(
    response: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime, *, nonce: bytes | None = None
) -> CertificateStatus:
    """Return what a DER response says of a certificate of `issuer` at `now` (aware).

    Raises `OcspError` for an error of the responder, an answer for another certificate, a signature that is neither the
    issuer's nor that of a responder it certified for this (RFC 6960, 4.2.2.2), an answer that is stale or from the future, and
    one that lacks the `nonce` asked with.
    """
    try:
        answer = ocsp.load_der_ocsp_response(response)
    except ValueError as error:
        raise OcspError(f"not an OCSP response: {error}") from None
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise OcspError(f"the OCSP responder answered {answer.response_status.name}")
    try:
        _check_subject(answer, certificate, issuer)
        _check_signature(answer, issuer, now)
    except (ValueError, TypeError, NotImplementedError, UnsupportedAlgorithm) as error:
        raise OcspError(f"OCSP response not understood: {error}") from None
    _check_time(answer, now)
    if nonce is not None and _nonce(answer.extensions) != nonce:
        raise OcspError("the OCSP response is not to this request")
    return {
        ocsp.OCSPCertStatus.GOOD: "good",
        ocsp.OCSPCertStatus.REVOKED: "revoked",
        ocsp.OCSPCertStatus.UNKNOWN: "unknown",
    }[answer.certificate_status]  # type: ignore[return-value]


def answer_ocsp(
    request: bytes,
    find: Callable[[ocsp.OCSPRequest], tuple[Issued | None, x509.Certificate, ec.EllipticCurvePrivateKey] | None],
    now: datetime,
    validity: timedelta,
) -> bytes:
    """Return the DER response to a request; bad requests get an unsigned error response (RFC 6960, 4.2.1).

    `find` returns what is known of the certificate (None: never issued) and the responder's certificate and key, or None
    where nobody here answers for the issuer that the request names.
    """
    try:
        asked = ocsp.load_der_ocsp_request(request)
        nonce = _nonce(asked.extensions)
        # Positive by RFC 5280, 4.1.2.2; what nobody can issue can have no answer either.
        if asked.serial_number <= 0:
            raise ValueError("serial number is not positive")
        found = find(asked)
    except (ValueError, NotImplementedError, UnsupportedAlgorithm):
        return _refusal(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
    if nonce is not None and not 1 <= len(nonce) <= _NONCE_OCTETS:
        return _refusal(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
    if found is None:
        return _refusal(ocsp.OCSPResponseStatus.UNAUTHORIZED)
    row, responder, key = found
    revoked = row is not None and row.status == "revoked"
    reason = x509.ReasonFlags(row.reason) if row is not None and revoked and row.reason not in (None, "unspecified") else None
    status = ocsp.OCSPCertStatus.UNKNOWN
    if row is not None:
        status = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            issuer_name_hash=asked.issuer_name_hash,
            issuer_key_hash=asked.issuer_key_hash,
            serial_number=asked.serial_number,
            algorithm=asked.hash_algorithm,
            cert_status=status,
            this_update=now.replace(microsecond=0),
            next_update=(now + validity).replace(microsecond=0),
            revocation_time=row.revoked_at.replace(microsecond=0) if row is not None and revoked and row.revoked_at else None,
            revocation_reason=reason,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
        .certificates([responder])
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def issuer_hashes(issuer: x509.Certificate, algorithm: hashes.HashAlgorithm) -> tuple[bytes, bytes]:
    """Hashes of an issuer's name and key by which requests name it (RFC 6960, 4.1.1).

    Raises `ValueError` for a key that is on no elliptic curve.
    """
    public_key = issuer.public_key()
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        raise ValueError("the issuer's key is not on an elliptic curve")
    # The key's hash is of the bit string alone, without its algorithm.
    point = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return _digest(issuer.subject.public_bytes(), algorithm), _digest(point, algorithm)


def _digest(content: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(content)
    return digest.finalize()


def _check_subject(answer: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    named = (answer.issuer_name_hash, answer.issuer_key_hash)
    if answer.serial_number != certificate.serial_number or named != issuer_hashes(issuer, answer.hash_algorithm):
        raise OcspError("the OCSP response is about another certificate")


def _check_signature(answer: ocsp.OCSPResponse, issuer: x509.Certificate, now: datetime) -> None:
    for signer in (issuer, *(c for c in answer.certificates if der_of(c) != der_of(issuer))):
        public_key, algorithm = signer.public_key(), answer.signature_hash_algorithm
        if not isinstance(public_key, ec.EllipticCurvePublicKey) or algorithm is None:
            continue
        try:
            public_key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(algorithm))
        except InvalidSignature:
            continue
        if signer is not issuer:
            _check_delegate(signer, issuer, now)
        return
    raise OcspError("the OCSP response is not signed by the issuer or a responder of it")


def _check_delegate(responder: x509.Certificate, issuer: x509.Certificate, now: datetime) -> None:
    try:
        responder.verify_directly_issued_by(issuer)
        usage = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        raise OcspError("the OCSP response is signed by a certificate that the issuer did not make for it") from None
    if ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
        raise OcspError("the OCSP response is signed by a certificate that is not for OCSP")
    if not responder.not_valid_before_utc <= now <= responder.not_valid_after_utc:
        raise OcspError("the OCSP responder's certificate is not valid now")


def _check_time(answer: ocsp.OCSPResponse, now: datetime) -> None:
    this_update = answer.this_update_utc
    if this_update > now + CLOCK_SKEW:
        raise OcspError("the OCSP response is from the future")
    if now - CLOCK_SKEW > (answer.next_update_utc or this_update + _FRESH_WITHOUT_END):
        raise OcspError("the OCSP response is stale")


def _nonce(extensions: x509.Extensions) -> bytes | None:
    try:
        return extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return None


def _refusal(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
