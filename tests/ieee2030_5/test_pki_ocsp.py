"""The OCSP responder as other software sees it, and answers that must not be believed."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given, settings
from hypothesis import strategies as st
from pki_lab import NAMES, openssl

from ieee2030_5.pki import (
    Authority,
    Credential,
    OcspError,
    PkiError,
    load_certificate,
    load_key,
    ocsp_request,
    parse_ocsp,
    revoke,
)
from ieee2030_5.pki.ocsp import answer_ocsp
from ieee2030_5.pki.responder import Responder, create_app, ensure_responders

REQUEST = {"Content-Type": "application/ocsp-request"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority.ensure(tmp_path_factory.mktemp("ocsp") / "certs")
    made.ensure_device("GOOD")
    revoke(made, [made.ensure_device("BAD").lfdi], "keyCompromise")
    ensure_responders(made)
    return made


@pytest.fixture(scope="module")
def responder(authority: Authority) -> Responder:
    return Responder(authority.directory)


@pytest.fixture
async def url(responder: Responder) -> AsyncIterator[str]:
    async with TestServer(create_app(responder)) as server:
        yield str(server.make_url("/"))


def asked(authority: Authority, name: str, **options: bytes) -> tuple:
    certificate = load_certificate(authority.credential(name).certificate)
    issuer = authority.issuing.certificate
    return ocsp_request(certificate, issuer, **options), certificate, issuer


@pytest.mark.parametrize(("name", "status"), [("GOOD", "good"), ("BAD", "revoked")])
async def test_status_over_post_and_get(authority: Authority, url: str, name: str, status: str) -> None:
    nonce = b"0123456789abcdef"
    request, certificate, issuer = asked(authority, name, nonce=nonce)
    plain, _, _ = asked(authority, name)
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=request, headers=REQUEST) as response:
            assert response.content_type == "application/ocsp-response"
            posted = await response.read()
        async with session.get(f"{url}{quote(base64.b64encode(plain).decode(), safe='')}") as response:
            assert "max-age" in response.headers["Cache-Control"]
            got = await response.read()
    assert parse_ocsp(posted, certificate, issuer, authority.now(), nonce=nonce) == status
    assert parse_ocsp(got, certificate, issuer, authority.now()) == status
    with pytest.raises(OcspError, match="not to this request"):
        parse_ocsp(got, certificate, issuer, authority.now(), nonce=nonce)


async def test_openssl_understands_the_answers(authority: Authority, url: str, tmp_path: Path) -> None:
    import asyncio

    for issuer, name, words in (
        ("issuing.pem", "meters/GOOD.pem", ": good"),
        ("issuing.pem", "meters/BAD.pem", "Reason: keyCompromise"),
        ("ca.pem", "issuing.pem", ": good"),
    ):
        arguments = (
            "ocsp",
            "-issuer",
            authority.directory / issuer,
            "-cert",
            authority.directory / name,
            "-url",
            url,
            "-CAfile",
            authority.certificate_path,
        )
        answer = await asyncio.to_thread(openssl, *arguments)
        assert "Response verify OK" in answer.stderr, answer.stderr
        assert words in answer.stdout


async def test_bad_requests_are_told_so(authority: Authority, url: str) -> None:
    request, *_ = asked(authority, "GOOD")
    async with aiohttp.ClientSession() as session:
        for method, path, data, headers, status in (
            ("POST", "", request, {"Content-Type": "text/plain"}, 415),
            ("POST", "", b"x" * 5000, REQUEST, 413),
            ("GET", "", None, {}, 404),
            ("GET", "%21%21", None, {}, 400),
            ("DELETE", "", None, {}, 405),
        ):
            async with session.request(method, url + path, data=data, headers=headers) as response:
                assert response.status == status
        async with session.post(url, data=b"garbage", headers=REQUEST) as response:
            assert ocsp.load_der_ocsp_response(await response.read()).response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_strangers_are_unknown_or_nobodys_business(authority: Authority, responder: Responder, tmp_path: Path) -> None:
    theirs = Authority.ensure(tmp_path)
    stranger, issuer = load_certificate(theirs.ensure_device("S").certificate), authority.issuing.certificate
    unknown = responder.answer(ocsp_request(stranger, issuer))
    assert parse_ocsp(unknown, stranger, issuer, authority.now()) == "unknown"
    foreign = responder.answer(ocsp_request(stranger, theirs.issuing.certificate))
    with pytest.raises(OcspError, match="UNAUTHORIZED"):
        parse_ocsp(foreign, stranger, theirs.issuing.certificate, authority.now())


def test_an_answer_counts_only_for_its_certificate_and_time(authority: Authority, responder: Responder) -> None:
    request, good, issuer = asked(authority, "GOOD")
    bad = load_certificate(authority.credential("BAD").certificate)
    answer, now = responder.answer(request), authority.now()
    with pytest.raises(OcspError, match="another certificate"):
        parse_ocsp(answer, bad, issuer, now)
    for at, words in ((now + timedelta(minutes=21), "stale"), (now - timedelta(minutes=6), "future")):
        with pytest.raises(OcspError, match=words):
            parse_ocsp(answer, good, issuer, at)


def _signed_by(authority: Authority, credential: Credential, name: str = "BAD") -> bytes:
    """An answer that a thief of a device's or server's key makes for a revoked certificate."""
    request, *_ = asked(authority, name)
    row = authority.index.find(authority.credential("GOOD").lfdi)
    certificate, key = load_certificate(credential.certificate), load_key(credential.key)
    return answer_ocsp(request, lambda _: (row, certificate, key), authority.now(), timedelta(hours=1))


def test_only_the_issuer_and_its_responder_may_answer(authority: Authority, tmp_path: Path) -> None:
    _, bad, issuer = asked(authority, "BAD")
    theirs = Authority.ensure(tmp_path)
    for thief in (
        authority.credential("GOOD"),
        authority.ensure_server(NAMES),
        theirs.ensure_responder(theirs.issuing),
        authority.ensure_responder(authority.root),
    ):
        with pytest.raises(OcspError, match="signed by a certificate"):
            parse_ocsp(_signed_by(authority, thief), bad, issuer, authority.now())
    request, *_ = asked(authority, "GOOD")
    own = answer_ocsp(
        request,
        lambda _: (authority.index.find(authority.credential("GOOD").lfdi), issuer, authority.issuing.key()),
        authority.now(),
        timedelta(hours=1),
    )
    assert parse_ocsp(own, load_certificate(authority.credential("GOOD").certificate), issuer, authority.now()) == "good"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_answer_is_never_believed(data: st.DataObject, authority: Authority, responder: Responder) -> None:
    request, bad, issuer = asked(authority, "BAD")
    answer = bytearray(responder.answer(request))
    # The answer's length varies with its signature.
    position, value = data.draw(st.integers(0, 10_000)), data.draw(st.integers(1, 255))
    answer[position % len(answer)] ^= value
    try:
        assert parse_ocsp(bytes(answer), bad, issuer, authority.now()) == "revoked"
    except OcspError:
        pass


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_request_upsets_the_responder(data: st.DataObject, authority: Authority, responder: Responder) -> None:
    request = bytearray(asked(authority, "GOOD", nonce=b"12345678")[0])
    for _ in range(data.draw(st.integers(1, 4))):
        request[data.draw(st.integers(0, len(request) - 1))] = data.draw(st.integers(0, 255))
    ocsp.load_der_ocsp_response(responder.answer(bytes(request)))


def test_a_serial_number_that_nobody_can_issue_is_malformed(authority: Authority, responder: Responder) -> None:
    request, certificate, _ = asked(authority, "GOOD")
    serial = certificate.serial_number.to_bytes(20, "big").lstrip(b"\0")
    negative = request.replace(serial, bytes([serial[0] | 0x80]) + serial[1:])
    assert negative != request
    assert ocsp.load_der_ocsp_response(responder.answer(negative)).response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_requests_by_other_hashes_are_answered(authority: Authority, responder: Responder) -> None:
    _, certificate, issuer = asked(authority, "GOOD")
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA256()).build().public_bytes(Encoding.DER)
    assert parse_ocsp(responder.answer(request), certificate, issuer, authority.now()) == "good"


def test_a_renewed_responder_certificate_is_taken_up(tmp_path: Path) -> None:
    authority = Authority.ensure(tmp_path)
    with pytest.raises(PkiError, match="no certificate"):
        Responder(tmp_path)
    ensure_responders(authority)
    responder = Responder(tmp_path)
    authority.ensure_device("GOOD")
    request, certificate, issuer = asked(authority, "GOOD")
    (tmp_path / "ocsp-issuing.pem").unlink()
    ensure_responders(authority)
    fresh = load_certificate(tmp_path / "ocsp-issuing.pem")
    answer = responder.answer(request)
    assert ocsp.load_der_ocsp_response(answer).certificates == [fresh]
    assert parse_ocsp(answer, certificate, issuer, authority.now()) == "good"
