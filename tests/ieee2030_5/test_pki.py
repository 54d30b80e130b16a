from __future__ import annotations

import multiprocessing
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from ieee2030_5.identity import lfdi_of, sfdi_of
from ieee2030_5.pki import NEVER, Authority, Credential, PkiError, check_private, hardware_serial, load_certificate, load_key

NAMES = ["localhost", "127.0.0.1"]


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "a" / "certs"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _extension(path: Path, kind: type) -> x509.Extension:
    return load_certificate(path).extensions.get_extension_for_class(kind)


def test_second_ensure_keeps_everything(directory: Path) -> None:
    first = Authority.ensure(directory)
    server, device = first.ensure_server(NAMES), first.ensure_device("METER-1")
    assert server.issued
    assert device.issued
    files = {path: path.read_bytes() for path in directory.rglob("*.*") if path.is_file()}
    second = Authority.ensure(directory)
    assert not second.ensure_server(NAMES).issued
    again = second.ensure_device("METER-1")
    assert (again.lfdi, again.serial, again.issued) == (device.lfdi, device.serial, False)
    assert {path: path.read_bytes() for path in directory.rglob("*.*") if path.is_file()} == files


def test_layout_and_modes(directory: Path) -> None:
    authority = Authority.ensure(directory)
    authority.ensure_server(NAMES)
    authority.ensure_device("METER-1")
    files = {
        str(path.relative_to(directory)): _mode(path) for path in directory.rglob("*") if path.is_file() and path.name != ".lock"
    }
    assert files == {
        "ca.pem": 0o644, "ca.key": 0o600, "issuing.pem": 0o644, "issuing.key": 0o600, "issued.sqlite": 0o600, "server.pem": 0o644, "server.key": 0o600, "meters/METER-1.pem": 0o644, "meters/METER-1.key": 0o600,
    }  # fmt: skip
    assert _mode(directory) == _mode(directory / "meters") == 0o700


def test_device_profile(directory: Path) -> None:
    authority = Authority.ensure(directory)
    device = authority.ensure_device("STANFORD-001")
    certificate = load_certificate(device.certificate)
    der = certificate.public_bytes(serialization.Encoding.DER)
    assert (device.lfdi, device.sfdi) == (lfdi_of(der), sfdi_of(lfdi_of(der)))
    assert certificate.subject == x509.Name([])
    assert device.not_after == certificate.not_valid_after_utc == NEVER
    assert device.serial == certificate.serial_number
    assert hardware_serial(certificate) == "STANFORD-001"
    assert hardware_serial(authority.certificate) is None
    critical = {extension.oid._name: extension.critical for extension in certificate.extensions}
    assert critical == {"authorityKeyIdentifier": False, "subjectAltName": True, "keyUsage": True, "certificatePolicies": True}
    usage = _extension(device.certificate, x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_agreement
    assert not usage.key_encipherment
    policies = [
        policy.policy_identifier.dotted_string for policy in _extension(device.certificate, x509.CertificatePolicies).value
    ]
    assert all(policy.startswith("1.3.6.1.4.1.40732.1.") for policy in policies)


def test_server_profile(directory: Path) -> None:
    server = Authority.ensure(directory).ensure_server([*NAMES, "::1", "localhost"])
    names = _extension(server.certificate, x509.SubjectAlternativeName)
    assert names.critical
    assert names.value.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.value.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert load_certificate(server.certificate).subject.rfc4514_string() == "CN=localhost"
    assert _extension(server.certificate, x509.KeyUsage).critical
    assert not _extension(server.certificate, x509.ExtendedKeyUsage).critical


def test_authority_profile(directory: Path) -> None:
    authority = Authority.ensure(directory)
    assert authority.certificate.subject.rfc4514_string() == "CN=GridTokenX-CA"
    assert _extension(authority.certificate_path, x509.BasicConstraints).critical
    assert _extension(authority.certificate_path, x509.KeyUsage).critical
    assert not _extension(authority.certificate_path, x509.SubjectKeyIdentifier).critical


def test_server_is_issued_again_near_its_end_and_for_other_names(directory: Path) -> None:
    clock = Clock()
    authority = Authority.ensure(directory, now=clock)
    first = authority.ensure_server(NAMES)
    clock.now += timedelta(days=794)
    assert not authority.ensure_server(NAMES).issued
    clock.now += timedelta(days=2)
    second = authority.ensure_server(NAMES)
    assert second.issued
    assert second.serial != first.serial
    assert second.not_after > clock.now + timedelta(days=800)
    assert authority.ensure_server([*NAMES, "ingest"]).issued


def test_devices_outlive_any_clock(directory: Path) -> None:
    clock = Clock()
    device = Authority.ensure(directory, now=clock).ensure_device("METER-1")
    clock.now += timedelta(days=100 * 365)
    assert Authority.ensure(directory, now=clock).ensure_device("METER-1").lfdi == device.lfdi


def _damage_key(device: Credential) -> None:
    device.key.write_bytes(device.key.with_name("METER-2.key").read_bytes())


def _garbage_certificate(device: Credential) -> None:
    device.certificate.write_text("not a certificate")


def _remove_key(device: Credential) -> None:
    device.key.unlink()


def _swap_pair(device: Credential) -> None:
    for suffix in ("pem", "key"):
        device.key.with_suffix(f".{suffix}").write_bytes(device.key.with_name(f"METER-2.{suffix}").read_bytes())


@pytest.mark.parametrize("damage", [_damage_key, _garbage_certificate, _remove_key, _swap_pair])
def test_a_broken_pair_is_issued_again(directory: Path, damage) -> None:
    authority = Authority.ensure(directory)
    device = authority.ensure_device("METER-1")
    authority.ensure_device("METER-2")
    damage(device)
    again = authority.ensure_device("METER-1")
    assert again.issued
    assert load_certificate(again.certificate).public_key() == load_key(again.key).public_key()
    assert hardware_serial(load_certificate(again.certificate)) == "METER-1"


def test_devices_of_a_former_authority_are_issued_again(directory: Path) -> None:
    former = Authority.ensure(directory).ensure_device("METER-1")
    (directory / "ca.pem").unlink()
    (directory / "ca.key").unlink()
    again = Authority.ensure(directory).ensure_device("METER-1")
    assert again.issued
    assert again.lfdi != former.lfdi


def test_an_authority_without_certificate_is_certified_again_and_keeps_its_devices(directory: Path) -> None:
    device = Authority.ensure(directory).ensure_device("METER-1")
    (directory / "ca.pem").unlink()
    assert Authority.ensure(directory).ensure_device("METER-1").lfdi == device.lfdi


def test_an_authority_is_never_replaced_silently(directory: Path, tmp_path: Path) -> None:
    Authority.ensure(directory)
    other = Authority.ensure(tmp_path / "other")
    original = (directory / "ca.key").read_bytes()
    (directory / "ca.key").unlink()
    with pytest.raises(PkiError, match="has no key"):
        Authority.ensure(directory)
    (directory / "ca.key").write_bytes((other.directory / "ca.key").read_bytes())
    (directory / "ca.key").chmod(0o600)
    with pytest.raises(PkiError, match="not the key"):
        Authority.ensure(directory)
    (directory / "ca.key").write_bytes(original)
    Authority.ensure(directory)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_keys_open_to_others_are_refused(directory: Path, mode: int) -> None:
    authority = Authority.ensure(directory)
    device = authority.ensure_device("METER-1")
    device.key.chmod(mode)
    with pytest.raises(PermissionError, match="chmod 600"):
        check_private(device.key)
    with pytest.raises(PermissionError):
        authority.ensure_device("METER-1")
    (directory / "ca.key").chmod(mode)
    with pytest.raises(PermissionError):
        Authority.ensure(directory)


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", "ü", "x" * 65])
def test_names_that_are_no_file_names_are_refused(directory: Path, name: str) -> None:
    with pytest.raises(ValueError, match="device name"):
        Authority.ensure(directory).ensure_device(name)


def test_a_server_needs_a_name(directory: Path) -> None:
    with pytest.raises(ValueError, match="at least one name"):
        Authority.ensure(directory).ensure_server([])


def _ensure_all(directory: Path) -> list[str]:
    authority = Authority.ensure(directory)
    return [authority.ensure_server(NAMES).lfdi, *(authority.ensure_device(f"METER-{n}").lfdi for n in range(4))]


def test_processes_at_once_agree(directory: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as pool:
        answers = pool.map(_ensure_all, [directory] * 4)
    assert all(answer == answers[0] for answer in answers)
    assert answers[0] == _ensure_all(directory)
