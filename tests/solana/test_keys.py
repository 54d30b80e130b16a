from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from solders.keypair import Keypair

from gridtokenx_pipeline.solana.keys import KeyFileError, load, load_or_create


def test_creates_once_with_owner_only_permissions(tmp_path):
    path = tmp_path / "keys" / "payer.json"
    first = load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create(path).pubkey() == first.pubkey()
    assert bytes(json.loads(path.read_text())) == bytes(first)
    assert [p.name for p in path.parent.iterdir()] == ["payer.json"]


def test_racing_creators_share_one_key(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: str(load_or_create(tmp_path / "payer.json").pubkey()), range(16)))
    assert len(set(keys)) == 1


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_refuses_a_key_that_others_may_use(tmp_path, mode):
    path = tmp_path / "payer.json"
    load_or_create(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {path}"):
        load_or_create(path)


@pytest.mark.parametrize("content", ["", "{}", "[1,2,3]", "not json", json.dumps([300] * 64), json.dumps([1] * 64)])
def test_refuses_what_is_not_a_keypair_without_quoting_it(tmp_path, content):
    path = tmp_path / "payer.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="not a keypair file") as caught:
        load(path)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_missing_file_and_secret_never_in_errors(tmp_path):
    with pytest.raises(KeyFileError, match="no such keypair file"):
        load(tmp_path / "none.json")
    secret = Keypair()
    path = tmp_path / "payer.json"
    path.write_text(json.dumps(list(bytes(secret))))
    path.chmod(0o644)
    with pytest.raises(KeyFileError) as caught:
        load(path)
    assert str(secret) not in str(caught.value)
