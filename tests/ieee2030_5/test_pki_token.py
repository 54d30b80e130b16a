"""Keys of the authorities in a PKCS#11 token: SoftHSM, with a token of its own for each test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ieee2030_5.pki import Authority, PkiError, TokenOptions

MODULE = Path(os.environ.get("SOFTHSM2_MODULE", "/usr/lib/softhsm/libsofthsm2.so"))
PIN = "123456"

pytestmark = pytest.mark.skipif(not MODULE.exists(), reason=f"keys in a token are NOT tested: no SoftHSM at {MODULE}")

# The library reads its configuration once in a process, so each test drives one of its own.
SCRIPT = """
import sys
from pathlib import Path
from ieee2030_5.pki import Authority, TokenOptions, ensure_crl, renew, replace_issuing, revoke
directory, module = Path(sys.argv[1]), Path(sys.argv[2])
authority = Authority.ensure(directory, token=TokenOptions(module, "campus", pin_env="TOKEN_PIN"))
authority.ensure_server(["localhost"])
first = authority.ensure_device("METER-1")
assert not Authority.ensure(directory).ensure_device("METER-1").issued
revoke(authority, [first.lfdi])
ensure_crl(authority)
authority.ensure_device("METER-2")
try:
    authority.root.key().private_bytes()
except Exception as error:
    assert type(error).__name__ == "PkiError"
else:
    raise AssertionError("a key left its token")
replaced = replace_issuing(authority)
assert replaced.ensure_server(["localhost"]).issued
assert replaced.ensure_device("METER-2").issued
assert Authority.ensure(directory).ensure_device("METER-3").issued
"""


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm.conf").write_text(
        f"directories.tokendir = {tmp_path / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm.conf"))
    command = ["softhsm2-util", "--init-token", "--free", "--label", "campus", "--pin", PIN, "--so-pin", "7654321"]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return tmp_path


def run(directory: Path, pin: str | None) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key != "TOKEN_PIN"} | ({"TOKEN_PIN": pin} if pin else {})
    command = [sys.executable, "-c", SCRIPT, str(directory), str(MODULE)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_authorities_live_in_a_token(token: Path) -> None:
    certs = token / "certs"
    done = run(certs, PIN)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in certs.rglob("*.key")) == ["METER-1.key", "METER-2.key", "METER-3.key", "server.key"]
    assert PIN not in (certs / "token.json").read_text()
    strict = [
        "openssl",
        "verify",
        "-x509_strict",
        "-CAfile",
        certs / "ca.pem",
        certs / "server.pem",
        certs / "meters" / "METER-3.pem",
    ]
    verified = subprocess.run(strict, capture_output=True, text=True, timeout=30, check=False)
    assert verified.returncode == 0, verified.stderr
    # Nothing to sign: neither token nor PIN is needed.
    authority = Authority.ensure(certs)
    assert not authority.ensure_device("METER-3").issued
    with pytest.raises(PkiError, match="TOKEN_PIN"):
        authority.ensure_device("METER-4")


def test_a_wrong_pin_and_an_unknown_token_are_told(token: Path) -> None:
    assert "PinIncorrect" in run(token / "certs", "999999").stderr
    assert not (token / "certs" / "ca.pem").exists()
    assert "expected in the environment variable TOKEN_PIN" in run(token / "certs", None).stderr


def test_keys_in_files_are_not_left_behind_for_a_token(tmp_path: Path) -> None:
    Authority.ensure(tmp_path)
    with pytest.raises(PkiError, match="keys in files"):
        Authority.ensure(tmp_path, token=TokenOptions(MODULE, "campus", pin_env="TOKEN_PIN"))


def test_a_pin_file_must_be_private(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text(f"{PIN}\n")
    options = TokenOptions(MODULE, "campus", pin_file=tmp_path / "pin")
    with pytest.raises(PermissionError):
        options.pin()
    (tmp_path / "pin").chmod(0o600)
    assert options.pin() == PIN
    options.save(tmp_path / "token.json")
    assert TokenOptions.load(tmp_path / "token.json") == options
