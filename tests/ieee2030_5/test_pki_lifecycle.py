"""Renewal, replacement, revocation: which certificates count when, and what the lists say."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from pki_lab import NAMES, Clock, flat_authority, openssl

from ieee2030_5.pki import (
    NEVER,
    Authority,
    Credential,
    PkiError,
    ensure_crl,
    load_certificate,
    load_crl,
    load_key,
    profiles,
    renew,
    replace,
    retire_due,
    revoke,
    revoked_serials,
    write_crl,
)
from ieee2030_5.pki.credential import pem_of
from ieee2030_5.pki.index import IssuedIndex, issuer_key_id
from ieee2030_5.pki.verification import verify


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(tmp_path: Path, clock: Clock) -> Authority:
    return Authority.ensure(tmp_path / "certs", now=clock)


def is_revoked(authority: Authority, credential: Credential) -> bool:
    certificate = load_certificate(credential.certificate)
    listed = revoked_serials(
        authority.crl_path, authorities=[authority.root.certificate, authority.issuing.certificate], now=authority.now()
    )
    return (issuer_key_id(certificate), certificate.serial_number) in listed


@pytest.mark.parametrize("keep_key", [False, True])
def test_both_certificates_count_until_the_grace_ends(authority: Authority, clock: Clock, keep_key: bool) -> None:
    first = authority.ensure_device("METER-1")
    ensure_crl(authority)
    old, new = renew(authority, "METER-1", grace=timedelta(days=7), keep_key=keep_key)
    assert old.lfdi == first.lfdi != new.lfdi
    assert (load_key(old.key).public_key() == load_key(new.key).public_key()) is keep_key
    assert authority.ensure_device("METER-1").lfdi == new.lfdi
    assert authority.ensure_device("METER-1").not_after == NEVER
    clock.wait(days=6)
    assert retire_due(authority) == []
    assert not is_revoked(authority, old)
    clock.wait(days=2)
    assert [row.lfdi for row in retire_due(authority)] == [old.lfdi]
    assert is_revoked(authority, old)
    assert not is_revoked(authority, new)
    assert not old.key.exists()
    assert retire_due(authority) == []


def test_a_replaced_meter_has_nothing_left_of_before(authority: Authority) -> None:
    authority.ensure_device("METER-1")
    old, renewed = renew(authority, "METER-1")
    former, new = replace(authority, "METER-1")
    assert former == [renewed.lfdi, old.lfdi]
    assert load_key(new.key).public_key() == load_certificate(new.certificate).public_key()
    assert {row.lfdi: (row.status, row.reason) for row in authority.index.by_name("METER-1")} == {
        old.lfdi: ("revoked", "keyCompromise"),
        renewed.lfdi: ("revoked", "keyCompromise"),
        new.lfdi: ("active", None),
    }
    assert is_revoked(authority, old)
    assert not is_revoked(authority, new)


def test_a_revoked_meter_stays_out_until_it_is_replaced(authority: Authority, clock: Clock) -> None:
    device = authority.ensure_device("METER-1", profile="operational", period=timedelta(days=10))
    assert revoke(authority, [device.lfdi], "cessationOfOperation") == [device.lfdi]
    assert revoke(authority, [device.lfdi]) == []
    clock.wait(days=20)
    again = authority.ensure_device("METER-1")
    assert again.revoked
    assert not again.issued
    with pytest.raises(PkiError, match="replace it"):
        renew(authority, "METER-1")
    again.certificate.write_text("lost")
    with pytest.raises(PkiError, match="replace it"):
        authority.ensure_device("METER-1")
    again.certificate.unlink()
    with pytest.raises(KeyError):
        replace(authority, "METER-1")


def test_an_unknown_certificate_changes_nothing(authority: Authority) -> None:
    device = authority.ensure_device("METER-1")
    with pytest.raises(KeyError):
        revoke(authority, [device.lfdi, "00" * 20])
    assert not authority.ensure_device("METER-1").revoked


def test_what_was_issued_before_there_was_an_index_can_be_replaced(tmp_path: Path) -> None:
    flat_authority(tmp_path)
    authority = Authority.ensure(tmp_path)
    former, new = replace(authority, "METER-1")
    assert len(former) == 1
    assert former[0] != new.lfdi


def test_operational_certificates_end_and_are_issued_again_in_kind(authority: Authority, clock: Clock) -> None:
    device = authority.ensure_device("METER-1", profile="operational", period=timedelta(days=100))
    assert abs(device.not_after - clock.now - timedelta(days=100)) < timedelta(seconds=2)
    assert load_certificate(device.certificate).subject == x509.Name([])
    _, new = renew(authority, "METER-1")
    assert (new.not_after - clock.now).days in (824, 825)
    _, endless = renew(authority, "METER-1", profile="device")
    assert endless.not_after == NEVER


def test_lists_are_numbered_fresh_and_read_by_openssl(authority: Authority, clock: Clock) -> None:
    device = authority.ensure_device("METER-1")
    path = ensure_crl(authority)
    first = path.read_bytes()
    clock.wait(days=22)
    ensure_crl(authority)
    assert path.read_bytes() == first
    clock.wait(days=1)
    ensure_crl(authority)
    issuing = next(crl for crl in load_crl(path) if crl.issuer == authority.issuing.certificate.subject)
    assert issuing.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 2
    revoke(authority, [device.lfdi], "keyCompromise")
    text = openssl(
        "crl",
        "-in",
        authority.directory / "crl" / "issuing.der",
        "-inform",
        "DER",
        "-noout",
        "-text",
        "-CAfile",
        authority.certificate_path,
    )
    assert f"{device.serial:X}" in text.stdout
    assert "Key Compromise" in text.stdout
    assert "verify OK" in text.stderr
    assert load_crl(authority.directory / "crl" / "issuing.der")[0].public_bytes(Encoding.PEM) in path.read_bytes()


def test_a_list_is_believed_only_if_it_is_fresh_and_ours(authority: Authority, clock: Clock, tmp_path: Path) -> None:
    path = write_crl(authority)
    theirs = Authority.ensure(tmp_path / "theirs")
    with pytest.raises(PkiError, match="not signed"):
        revoked_serials(path, authorities=[theirs.root.certificate, theirs.issuing.certificate])
    with pytest.raises(PkiError, match="out of date"):
        revoked_serials(path, now=clock.now + timedelta(days=31))
    (tmp_path / "x.pem").write_text("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    with pytest.raises(PkiError, match="not a certificate revocation list"):
        revoked_serials(tmp_path / "x.pem")


def test_expired_certificates_leave_the_list(authority: Authority, clock: Clock) -> None:
    device = authority.ensure_device("METER-1", profile="operational", period=timedelta(days=10))
    revoke(authority, [device.lfdi])
    for days, listed in ((11, True), (40, False)):
        clock.wait(days=days)
        write_crl(authority)
        assert is_revoked(authority, device) is listed


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["renew", "replace", "revoke", "retire", "wait"]), st.sampled_from("AB")), max_size=7
)
RUNS = itertools.count()


@settings(max_examples=12, deadline=None)
@given(operations=OPERATIONS)
def test_index_and_lists_agree_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, str]]
) -> None:
    clock = Clock()
    authority = Authority.ensure(tmp_path_factory.mktemp(f"run{next(RUNS)}") / "certs", now=clock)
    for name in "AB":
        authority.ensure_device(name)
    for operation, name in operations:
        if operation == "renew" and not authority.credential(name).revoked:
            renew(authority, name, grace=timedelta(days=1))
        elif operation == "replace":
            replace(authority, name)
        elif operation == "revoke":
            revoke(authority, [authority.credential(name).lfdi])
        elif operation == "retire":
            retire_due(authority)
        else:
            clock.wait(hours=13)
        ensure_crl(authority)
        rows = [row for row in IssuedIndex(authority.directory / "issued.sqlite").all() if row.profile == "device"]
        assert revoked_serials(authority.crl_path) == {(row.issuer_key_id, row.serial) for row in rows if row.status == "revoked"}
        for each in "AB":
            current = authority.ensure_device(each)
            assert not current.issued
            assert current.lfdi == next(row.lfdi for row in rows if row.name == each)
            assert current.revoked == any(row.lfdi == current.lfdi and row.status == "revoked" for row in rows)


def failed(checks: list) -> list[str]:
    return [check.name for check in checks if not check.ok]


def test_verification_tells_what_is_wrong(authority: Authority, clock: Clock, tmp_path: Path) -> None:
    device, server = (
        authority.ensure_device("METER-1", profile="operational", period=timedelta(days=10)),
        authority.ensure_server(NAMES),
    )
    crl, ca = ensure_crl(authority), authority.certificate_path
    everything = {"ca": ca, "crl": crl, "now": clock.now}
    for credential in (device, server):
        assert failed(verify(credential.certificate, key=credential.key, **everything)) == []
    assert failed(verify(authority.directory / "issuing.pem", **everything)) == []
    assert failed(verify(device.certificate, key=server.key, **everything)) == ["private key"]
    assert failed(verify(device.certificate, ca=ca, now=clock.now + timedelta(days=11))) == ["dates"]
    assert failed(verify(device.certificate, ca=ca, now=clock.now - timedelta(days=1))) == ["dates"]
    assert failed(verify(device.certificate, ca=ca, crl=crl, now=clock.now + timedelta(days=400))) == ["dates", "revocation"]
    assert failed(verify(device.certificate, ca=ca, crl=tmp_path / "none", now=clock.now)) == ["revocation"]
    assert failed(verify(device.key, **everything)) == ["readable"]
    theirs = Authority.ensure(tmp_path / "theirs")
    assert failed(verify(device.certificate, ca=theirs.certificate_path, now=clock.now)) == ["chain"]
    revoke(authority, [device.lfdi])
    assert failed(verify(device.certificate, **everything)) == ["revocation"]
    plain = openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / "k", "-out", tmp_path / "rsa.pem", "-subj", "/CN=x", "-days", "1",
        "-addext", "subjectAltName=DNS:x",
    )  # fmt: skip
    assert plain.returncode == 0, plain.stderr
    assert failed(verify(tmp_path / "rsa.pem", **{**everything, "now": clock.now + timedelta(minutes=1)})) == [
        "chain",
        "key",
        "profile",
    ]


def test_an_authority_below_the_issuing_one_is_refused(authority: Authority, clock: Clock, tmp_path: Path) -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    rogue = profiles.issuing(keys[0].public_key(), authority.issuing.certificate, authority.issuing.key(), clock.now)
    leaf = profiles.device(keys[1].public_key(), rogue, keys[0], clock.now, serial="METER-1")
    (tmp_path / "leaf.pem").write_bytes(pem_of(leaf, rogue))
    (chain,) = [check for check in verify(tmp_path / "leaf.pem", ca=authority.certificate_path, now=clock.now) if not check.ok]
    assert (chain.name, chain.detail) == ("chain", "CN=GridTokenX-Issuing-CA allows no authority below itself")
