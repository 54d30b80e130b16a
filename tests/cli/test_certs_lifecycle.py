"""`gridtokenx certs` as an operator meets it: a meter's certificate from first day to last."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtensionOID
from typer.testing import CliRunner

from gridtokenx_pipeline import clock, config
from gridtokenx_pipeline.cli import app
from gridtokenx_pipeline.credentials import issue_client
from gridtokenx_pipeline.enrolment import enrol
from gridtokenx_pipeline.registration import opened
from ieee2030_5.keyfiles import load_certificate
from ieee2030_5.pki import IssuedIndex, load_crl, ocsp_request, parse_ocsp, revoked_serials
from ieee2030_5.pki.index import issuer_key_id

ENG, GSB = "AMI_METER_STANFORD_ENG_001", "AMI_METER_STANFORD_GSB_002"
METERS = (ENG, GSB)
_SAN = ExtensionOID.SUBJECT_ALTERNATIVE_NAME


@pytest.fixture
def settings(tmp_path: Path) -> config.Settings:
    """A campus of two meters, enrolled."""
    source = config.load(data=tmp_path / "data")
    text = source.config.read_text().split("[[meters]]")[0]
    for name, meter in zip(METERS, source.meters[:2], strict=True):
        values = {**meter.model_dump(exclude_none=True), "id": name}
        text += "\n[[meters]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
    (tmp_path / "two.toml").write_text(text)
    made = config.load(data=tmp_path / "data", config=tmp_path / "two.toml")
    enrol(made, ["localhost", "ami.example.edu"])
    return made


def certs(settings: config.Settings, *arguments: str | Path) -> Any:
    where = ("--data", settings.data, "--config", settings.config)
    return CliRunner().invoke(app, ["certs", *map(str, (*arguments, *where))])


def answer(settings: config.Settings, *arguments: str | Path) -> Any:
    done = certs(settings, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def listed(settings: config.Settings, name: str) -> dict[str, dict]:
    return {row["lfdi"]: row for row in answer(settings, "list") if row["meter_id"] == name}


@pytest.mark.parametrize("command", ["init", "issue", "renew", "replace", "revoke", "list", "crl", "verify", "ocsp"])
def test_every_command_has_an_example(command: str) -> None:
    shown = CliRunner().invoke(app, ["certs", command, "--help"])
    assert f"Example: gridtokenx certs {command}" in shown.output


def test_a_renewed_meter_keeps_its_history_and_rights(settings: config.Settings, tmp_path: Path) -> None:
    (old,) = listed(settings, ENG)
    with opened(settings) as registry:
        registry.change(old, profile="csip_aus", device_category=0x200000)
    leader, _ = issue_client(settings, "aggregator-1", "aggregator", fleet=[ENG])
    (renewal,) = answer(settings, "renew", ENG, "--grace", "7", "--out", tmp_path / "out")
    rows = listed(settings, ENG)
    assert set(rows) == {old, renewal["lfdi"]}
    assert rows[old]["status"] == rows[renewal["lfdi"]]["status"] == "active"
    assert rows[old]["days_left"] == 6
    assert rows[renewal["lfdi"]]["days_left"] is None
    with opened(settings) as registry:
        device = registry.by_lfdi(renewal["lfdi"])
        assert (device.role, device.profile, device.device_category, device.zone) == (
            "meter",
            "csip_aus",
            0x200000,
            settings.zone,
        )
        assert registry.fleet_of(leader.lfdi) == {old, renewal["lfdi"]}
        assert f"{device.pin:06d}" == renewal["pin"] != rows[old]["pin"]
    assert load_certificate(tmp_path / "out" / "device.pem") == load_certificate(settings.certs_dir / "meters" / f"{ENG}.pem")
    assert stat.S_IMODE((tmp_path / "out" / "device.key").stat().st_mode) == 0o600
    assert enrol(settings).issued == 0
    assert set(listed(settings, ENG)) == set(rows)


def test_after_its_grace_the_old_certificate_is_revoked_everywhere(settings: config.Settings) -> None:
    (old,) = listed(settings, ENG)
    certificate = load_certificate(settings.certs_dir / "meters" / f"{ENG}.pem")
    (renewal,) = answer(settings, "renew", ENG, "--grace", "0")
    enrol(settings)
    rows = listed(settings, ENG)
    assert (rows[old]["status"], rows[old]["reason"]) == ("revoked", "superseded")
    assert rows[renewal["lfdi"]]["status"] == "active"
    assert (issuer_key_id(certificate), certificate.serial_number) in revoked_serials(settings.certs_dir / "crl.pem")


def test_replacement_shuts_the_old_one_out_at_once(settings: config.Settings) -> None:
    (first,) = listed(settings, ENG)
    answer(settings, "renew", ENG)
    (renewal,) = answer(settings, "replace", ENG, "--reason", "keyCompromise")
    rows = listed(settings, ENG)
    assert {lfdi: row["status"] for lfdi, row in rows.items() if lfdi != renewal["lfdi"]} == dict.fromkeys(
        renewal["former"], "revoked"
    )
    assert len(rows) == 3
    assert first in renewal["former"]
    assert rows[renewal["lfdi"]]["status"] == "active"


def test_a_leaked_key_is_shut_out_even_where_nothing_can_be_signed(settings: config.Settings) -> None:
    (lfdi,) = listed(settings, ENG)
    (settings.certs_dir / "issuing.key").rename(settings.data / "safe.key")
    (settings.certs_dir / "issuing.key.offline").touch()
    failed = certs(settings, "replace", ENG)
    assert failed.exit_code == 1
    assert "issuing.key is needed to sign" in str(failed.exception)
    assert listed(settings, ENG)[lfdi]["status"] == "revoked"
    (settings.data / "safe.key").rename(settings.certs_dir / "issuing.key")
    (renewal,) = answer(settings, "replace", ENG)
    assert listed(settings, ENG)[renewal["lfdi"]]["status"] == "active"


def test_a_revoked_meter_stays_out_until_it_is_replaced(settings: config.Settings) -> None:
    (lfdi,) = answer(settings, "revoke", ENG, "--reason", "cessationOfOperation")["revoked"]
    enrolment = enrol(settings)
    assert enrolment.issued == 0
    assert enrolment.probe.name == GSB
    assert listed(settings, ENG)[lfdi]["status"] == "revoked"
    assert certs(settings, "renew", ENG).exit_code == 1
    assert certs(settings, "issue", ENG).exit_code == 1
    failed = certs(settings, "verify", settings.certs_dir / "meters" / f"{ENG}.pem")
    assert failed.exit_code == 1
    assert "FAILED  revocation" in failed.output
    answer(settings, "replace", ENG)
    assert certs(settings, "verify", settings.certs_dir / "meters" / f"{ENG}.pem").exit_code == 0


def test_one_device_is_revoked_by_its_lfdi_even_if_another_authority_made_it(settings: config.Settings, tmp_path: Path) -> None:
    foreign = enrol(config.load(data=tmp_path / "theirs", config=settings.config)).meters[0]
    (ours,) = listed(settings, ENG)
    with opened(settings) as registry:
        registry.register(
            [registry.by_lfdi(ours), type(registry.by_lfdi(ours))(foreign.lfdi, foreign.sfdi, "VENDOR", settings.zone, 111115)]
        )
    assert answer(settings, "revoke", foreign.lfdi.lower())["revoked"] == [foreign.lfdi]
    assert listed(settings, "VENDOR")[foreign.lfdi]["status"] == "revoked"
    assert listed(settings, ENG)[ours]["status"] == "active"


def test_clients_are_registered_with_their_role(settings: config.Settings, tmp_path: Path) -> None:
    made = answer(settings, "issue", "alice", "--role", "operator", "--days", "20", "--out", tmp_path / "alice")
    row = listed(settings, "alice")[made["lfdi"]]
    assert (row["role"], row["certificate_profile"], row["warning"], row["days_left"]) == ("operator", "operational", "30 d", 19)
    again = answer(settings, "issue", "alice", "--role", "auditor", "--client-profile", "csip_aus")
    assert again["lfdi"] == made["lfdi"]
    row = listed(settings, "alice")[made["lfdi"]]
    assert (row["role"], row["client_profile"]) == ("auditor", "csip_aus")
    (renewal,) = answer(settings, "renew", "--within", "30")
    assert renewal["former"] == [made["lfdi"]]
    assert listed(settings, "alice")[renewal["lfdi"]]["role"] == "auditor"
    assert answer(settings, "renew", "--within", "30") == []


def test_warnings_get_louder(settings: config.Settings) -> None:
    issue_client(settings, "alice", "operator", period=dt.timedelta(days=31))
    real = clock.now()
    try:
        for days, warning in ((0, None), (2, "30 d"), (25, "7 d"), (30.5, "1 d"), (32, "expired")):
            clock.set_clock(lambda days=days: real + dt.timedelta(days=days))
            (row,) = listed(settings, "alice").values()
            assert row["warning"] == warning
    finally:
        clock.set_clock(clock.system_clock)


def test_mistakes_are_told_by_their_name(settings: config.Settings) -> None:
    for arguments in (
        ("renew", "NOBODY"),
        ("replace", "NOBODY"),
        ("revoke", "00" * 20),
        ("issue", "NOBODY", "--fleet", "NOBODY"),
        ("issue", ENG, "--role", "operator"),
        ("issue", "a/b", "--role", "operator"),
        ("issue", "agg", "--role", "aggregator", "--fleet", "NOBODY"),
        ("renew",),
        ("replace", ENG, "--issuing-authority"),
        ("init", "--token-label", "x"),
        ("init", "--pkcs11-module", "/x.so", "--token-label", "x"),
    ):
        done = certs(settings, *arguments)
        assert done.exit_code == 2, (arguments, done.output)
    assert {row["meter_id"] for row in answer(settings, "list")} == set(METERS)


def test_handing_a_certificate_out_does_not_touch_the_server(settings: config.Settings, tmp_path: Path) -> None:
    before = (settings.certs_dir / "server.pem").read_bytes()
    answer(settings, "issue", ENG, "--out", tmp_path / "out")
    assert answer(settings, "init")["issued"] == 0
    assert (settings.certs_dir / "server.pem").read_bytes() == before
    checked = answer(settings, "verify", tmp_path / "out" / "device-chain.pem", "--key", tmp_path / "out" / "device.key")
    assert [row["check"] for row in checked["checks"]] == [
        "readable",
        "chain",
        "dates",
        "key",
        "profile",
        "private key",
        "revocation",
    ]


def test_lists_are_signed_again_on_demand(settings: config.Settings) -> None:
    first = answer(settings, "crl")
    unchanged = answer(settings, "crl", "--if-due")
    assert unchanged == first
    assert [row["number"] for row in answer(settings, "crl")["lists"]] == [row["number"] + 1 for row in first["lists"]]
    assert len(load_crl(first["file"])) == 2


def test_an_issuing_authority_that_failed_is_replaced_for_everyone(settings: config.Settings) -> None:
    before = {row["lfdi"] for row in answer(settings, "list")}
    issue_client(settings, "alice", "operator")
    server = load_certificate(settings.certs_dir / "server.pem")
    assert answer(settings, "replace", "--issuing-authority")["issued"] == 3
    rows = answer(settings, "list")
    assert {row["lfdi"] for row in rows if row["status"] == "active"}.isdisjoint(before)
    assert sorted(row["meter_id"] for row in rows if row["status"] == "active") == sorted([*METERS, "alice"])
    assert {row["role"] for row in rows if row["meter_id"] == "alice"} == {"operator"}
    again = load_certificate(settings.certs_dir / "server.pem")
    assert again.extensions.get_extension_for_oid(_SAN).value == server.extensions.get_extension_for_oid(_SAN).value
    for name in METERS:
        assert certs(settings, "verify", settings.certs_dir / "meters" / f"{name}.pem").exit_code == 0
    assert {row["certificate_profile"] for row in answer(settings, "list", "--all")} >= {"root", "issuing", "server"}
    assert sum(row["certificate_profile"] == "server" for row in answer(settings, "list", "--all")) == 1


def test_the_responder_answers_while_it_runs(settings: config.Settings) -> None:
    import urllib.request

    answer(settings, "revoke", ENG)
    command = [sys.executable, "-c", "from gridtokenx_pipeline.cli import main; main()", "certs", "ocsp", "--port", "0"]
    command += ["--data", str(settings.data), "--config", str(settings.config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as process:
        try:
            url = process.stdout.readline().split()[2]
            issuer = load_certificate(settings.certs_dir / "issuing.pem")
            for name, status in ((ENG, "revoked"), (GSB, "good")):
                certificate = load_certificate(settings.certs_dir / "meters" / f"{name}.pem")
                request = urllib.request.Request(
                    url, ocsp_request(certificate, issuer), {"Content-Type": "application/ocsp-request"}
                )
                with urllib.request.urlopen(request, timeout=10) as response:
                    assert parse_ocsp(response.read(), certificate, issuer, dt.datetime.now(dt.UTC)) == status
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
    assert process.returncode == 0


def test_the_registry_catches_up_after_a_crash_between_the_two(settings: config.Settings) -> None:
    from ieee2030_5 import pki

    (old,) = listed(settings, ENG)
    _, new = pki.renew(pki.Authority.ensure(settings.certs_dir), ENG, grace=dt.timedelta(days=3))
    pki.revoke(pki.Authority.ensure(settings.certs_dir), [enrol(settings).meters[1].lfdi])
    enrol(settings)
    rows = listed(settings, ENG)
    assert rows[old]["days_left"] == 2
    assert rows[new.lfdi]["status"] == "active"
    assert {row["status"] for row in listed(settings, GSB).values()} == {"revoked"}
    assert len(IssuedIndex(settings.certs_dir / "issued.sqlite").by_name(ENG)) == 2
