"""Root and issuing authority: what they sign, what a handshake makes of it, and what happens to earlier directories."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from pki_lab import NAMES, Clock, flat_authority, openssl

from ieee2030_5.pki import (
    Authority,
    Credential,
    PkiError,
    ensure_crl,
    hardware_serial,
    load_certificate,
    load_certificates,
    load_crl,
    replace_issuing,
    revoke,
)
from ieee2030_5.tls import client_context, server_context


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "certs"


def handshake(ca: Path, server: Credential, client_ca: Path, client: Credential, crl: Path | None = None) -> None:
    """A TLS handshake in memory; raises what either end refuses."""
    ends = []
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends.append(
        client_context(client_ca, client.certificate, client.key).wrap_bio(to_client, to_server, server_hostname="localhost")
    )
    ends.append(server_context(ca, server.certificate, server.key, crl=crl).wrap_bio(to_server, to_client, server_side=True))
    waiting = [True, True]
    for _ in range(20):
        for n, end in enumerate(ends):
            if waiting[n]:
                try:
                    end.do_handshake()
                    waiting[n] = False
                except ssl.SSLWantReadError:
                    pass
        if not any(waiting):
            return
    raise AssertionError("the handshake does not end")


def constraints(certificate: x509.Certificate) -> x509.BasicConstraints:
    return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value


def test_devices_and_server_are_signed_by_the_issuing_authority(directory: Path) -> None:
    authority = Authority.ensure(directory)
    root, issuing = load_certificates(authority.certificate_path)
    assert (constraints(root).path_length, constraints(issuing).path_length) == (1, 0)
    assert issuing.issuer == root.subject != issuing.subject
    server, device = authority.ensure_server(NAMES), authority.ensure_device("METER-1")
    assert load_certificates(server.certificate) == [load_certificate(server.certificate), issuing]
    for leaf in (server, device):
        load_certificate(leaf.certificate).verify_directly_issued_by(issuing)
    # The leaf alone, against a trust file of both authorities, by other software's strictest reading.
    strict = openssl("verify", "-x509_strict", "-CAfile", authority.certificate_path, device.certificate, server.certificate)
    assert strict.returncode == 0, strict.stderr
    handshake(authority.certificate_path, server, authority.certificate_path, device)
    # A client that knows the root alone is given the rest by the server.
    (directory / "root-only.pem").write_bytes(
        (directory / "ca.pem").read_bytes().split(b"-----END")[0] + b"-----END CERTIFICATE-----\n"
    )
    handshake(authority.certificate_path, server, directory / "root-only.pem", device)


def test_certificates_of_another_campus_are_refused(directory: Path, tmp_path: Path) -> None:
    ours, theirs = Authority.ensure(directory), Authority.ensure(tmp_path / "theirs")
    with pytest.raises(ssl.SSLError):
        handshake(ours.certificate_path, ours.ensure_server(NAMES), ours.certificate_path, theirs.ensure_device("METER-1"))


def test_a_flat_authority_keeps_its_devices_and_their_trust(directory: Path, tmp_path: Path) -> None:
    flat_authority(directory)
    shutil.copytree(directory, tmp_path / "field")
    before = {path: path.read_bytes() for path in directory.rglob("*.pem") if path.name != "ca.pem"}
    authority = Authority.ensure(directory)
    old, server = authority.ensure_device("METER-1"), authority.ensure_server(NAMES)
    assert not old.issued
    assert not server.issued
    assert {path: path.read_bytes() for path in before} == before
    assert {row.profile for row in authority.index.by_name("METER-1")} == {"device"}
    fresh = authority.ensure_device("METER-2")
    for device in (old, fresh):
        handshake(authority.certificate_path, server, authority.certificate_path, device)
    # A device in the field still holds the first ca.pem, whose root allows no authority below it.
    again = authority.ensure_server([*NAMES, "ami"])
    assert again.issued
    handshake(authority.certificate_path, again, tmp_path / "field" / "ca.pem", old)
    ensure_crl(authority)
    revoke(authority, [old.lfdi])
    with pytest.raises(ssl.SSLError, match="revoked"):
        handshake(authority.certificate_path, again, authority.certificate_path, old, authority.crl_path)
    handshake(authority.certificate_path, again, authority.certificate_path, fresh, authority.crl_path)


def test_authorities_that_an_operator_appended_stay(directory: Path, tmp_path: Path) -> None:
    Authority.ensure(directory)
    vendor = Authority.ensure(tmp_path / "vendor")
    with (directory / "ca.pem").open("ab") as file:
        file.write((vendor.directory / "ca.pem").read_bytes())
    authority = Authority.ensure(directory)
    assert len(load_certificates(directory / "ca.pem")) == 4
    handshake(authority.certificate_path, authority.ensure_server(NAMES), authority.certificate_path, vendor.ensure_device("V"))


def test_a_root_key_may_be_kept_elsewhere_if_that_is_said(directory: Path, tmp_path: Path) -> None:
    clock = Clock()
    Authority.ensure(directory, now=clock)
    ensure_crl(Authority.ensure(directory, now=clock))
    (directory / "ca.key").rename(tmp_path / "safe.key")
    with pytest.raises(PkiError, match="has no key"):
        Authority.ensure(directory)
    (directory / "ca.key.offline").touch()
    authority = Authority.ensure(directory, now=clock)
    assert authority.ensure_device("METER-1").issued
    clock.wait(days=300)
    ensure_crl(authority)
    assert len(load_crl(authority.crl_path)) == 2
    clock.wait(days=100)
    with pytest.raises(PkiError, match="needed to sign"):
        ensure_crl(authority)
    # What could be signed was.
    assert max(crl.next_update_utc for crl in load_crl(authority.crl_path)) > clock.now
    (tmp_path / "safe.key").rename(directory / "ca.key")
    ensure_crl(authority)
    assert min(crl.next_update_utc for crl in load_crl(authority.crl_path)) > clock.now


def test_a_lost_issuing_key_is_not_replaced_silently(directory: Path) -> None:
    Authority.ensure(directory)
    (directory / "issuing.key").unlink()
    with pytest.raises(PkiError, match=r"issuing\.key"):
        Authority.ensure(directory)


def test_a_broken_issuing_authority_is_replaced_with_all_that_it_signed(directory: Path) -> None:
    authority = Authority.ensure(directory)
    server, device = authority.ensure_server(NAMES), authority.ensure_device("METER-1")
    shutil.copytree(directory, directory.parent / "stolen")
    renewed = replace_issuing(authority)
    again = renewed.ensure_device("METER-1")
    assert again.issued
    assert again.lfdi != device.lfdi
    assert renewed.ensure_server(NAMES).issued
    assert Authority.ensure(directory).ensure_device("METER-1").lfdi == again.lfdi
    served = renewed.ensure_server(NAMES)
    handshake(renewed.certificate_path, served, renewed.certificate_path, again, renewed.crl_path)
    stolen = Authority.ensure(directory.parent / "stolen")
    with pytest.raises(ssl.SSLError):
        handshake(renewed.certificate_path, served, renewed.certificate_path, stolen.ensure_device("EVIL"))
    (root_list,) = [crl for crl in load_crl(renewed.crl_path) if crl.issuer == renewed.certificate.subject]
    assert [entry.serial_number for entry in root_list] == [authority.issuing.certificate.serial_number]
    assert server.lfdi != served.lfdi


def test_clients_have_a_name_and_an_end(directory: Path) -> None:
    authority = Authority.ensure(directory)
    client = authority.ensure_client("alice")
    certificate = load_certificate(client.certificate)
    assert certificate.subject.rfc4514_string() == "CN=alice"
    assert hardware_serial(certificate) == "alice"
    assert (client.not_after - authority.now()).days in (824, 825)
    authority.ensure_device("METER-1")
    for name, ensure in (("METER-1", authority.ensure_client), ("alice", authority.ensure_device)):
        with pytest.raises(ValueError, match="name of one of the"):
            ensure(name)
