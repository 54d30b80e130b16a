from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ieee2030_5.identity import lfdi_of
from ieee2030_5.pki import Authority, ensure_crl, revoke
from ieee2030_5.tls import PeerKeyError, client_context, require_p256, server_context


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "localhost") -> dict[str, Any]:
    """One handshake and one byte over a real socket; raises the client's error."""
    seen: dict[str, Any] = {}

    def serve() -> None:
        connection, _ = listener.accept()
        connection.settimeout(5)
        try:
            with server.wrap_socket(connection, server_side=True) as stream:
                seen.update(peer=stream.getpeercert(binary_form=True), cipher=stream.cipher()[0], version=stream.version())
                stream.sendall(b"!")
        except OSError as error:
            seen["error"] = error

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), timeout=5) as raw,
                client.wrap_socket(raw, server_hostname=host) as stream,
            ):
                if not stream.recv(1):
                    raise ConnectionError("the server closed the connection")
        finally:
            thread.join()
    return seen


@pytest.fixture
def server(certificates) -> ssl.SSLContext:
    return server_context(certificates.ca, certificates.server.certificate, certificates.server.key)


@pytest.fixture
def client(certificates) -> ssl.SSLContext:
    return client_context(certificates.ca, certificates.meter.certificate, certificates.meter.key)


def test_both_ends_of_ours_take_gcm(server, client, certificates) -> None:
    seen = handshake(server, client)
    assert (seen["cipher"], seen["version"]) == ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLSv1.2")
    assert lfdi_of(seen["peer"]) == certificates.meter.lfdi
    require_p256(seen["peer"])


@pytest.mark.parametrize(
    "ciphers", ["ECDHE-ECDSA-AES128-CCM8", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0", "ECDHE-ECDSA-AES128-CCM8:ALL:!aNULL"]
)
def test_a_device_with_ccm8_is_served(server, client, ciphers: str) -> None:
    client.set_ciphers(ciphers)
    assert handshake(server, client)["cipher"] == "ECDHE-ECDSA-AES128-CCM8"


def test_names_and_addresses_of_the_server_are_checked(server, client) -> None:
    assert handshake(server, client, "127.0.0.1")["version"] == "TLSv1.2"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, client, "elsewhere")


def test_other_ciphers_are_refused(server, client) -> None:
    client.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(server, client)


def test_a_device_of_another_authority_is_refused(server, certificates) -> None:
    foreign = client_context(certificates.ca, certificates.foreign_meter.certificate, certificates.foreign_meter.key)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(server, foreign)


def test_a_revoked_device_is_refused_and_others_are_not(tmp_path: Path) -> None:
    authority = Authority.ensure(tmp_path / "certs")
    own = authority.ensure_server(["localhost"])
    devices = [authority.ensure_device(name) for name in ("OUT", "IN")]
    revoke(authority, [devices[0].lfdi])
    server = server_context(authority.certificate_path, own.certificate, own.key, crl=ensure_crl(authority))
    out, kept = (client_context(authority.certificate_path, d.certificate, d.key) for d in devices)
    assert lfdi_of(handshake(server, kept)["peer"]) == devices[1].lfdi
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(server, out)


def test_a_client_without_certificate_is_refused(server, certificates) -> None:
    anonymous = ssl.create_default_context(cafile=str(certificates.ca))
    anonymous.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    anonymous.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(server, anonymous)


def test_a_server_of_another_authority_is_not_trusted(server, certificates) -> None:
    mistaken = client_context(certificates.foreign_ca, certificates.meter.certificate, certificates.meter.key)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(server, mistaken)


def test_tls13_is_an_option(server, client, certificates) -> None:
    client.maximum_version = ssl.TLSVersion.TLSv1_3
    assert handshake(server, client)["version"] == "TLSv1.2"
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(server, client)
    newer = server_context(certificates.ca, certificates.server.certificate, certificates.server.key, tls13=True)
    assert handshake(newer, client)["version"] == "TLSv1.3"


def test_contexts_refuse_open_keys(certificates, tmp_path: Path) -> None:
    key = tmp_path / "open.key"
    key.write_bytes(certificates.meter.key.read_bytes())
    key.chmod(0o644)
    with pytest.raises(PermissionError):
        client_context(certificates.ca, certificates.meter.certificate, key)


def _self_signed(key) -> bytes:
    name = x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return certificate.public_bytes(serialization.Encoding.DER)


def test_keys_off_p256_are_refused() -> None:
    require_p256(_self_signed(ec.generate_private_key(ec.SECP256R1())))
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        with pytest.raises(PeerKeyError, match="P-256 required"):
            require_p256(_self_signed(key))
    with pytest.raises(PeerKeyError, match="unreadable"):
        require_p256(b"nonsense")
