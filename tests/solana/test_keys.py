from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from solders.keypair import Keypair

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.config import load as load_settings
from gridtokenx_pipeline.solana.keys import VARIABLES, KeyFileError, load, load_or_create, role_key
from gridtokenx_pipeline.solana.wallets import Wallets, load_or_create_secret, wallets_of


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


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    return load_settings(data=tmp_path)


def test_every_role_has_its_own_key_and_the_authority_is_never_made(settings):
    keys = {role: role_key(settings, role).pubkey() for role in ("fee_payer", "submitter", "certifier")}
    assert len(set(keys.values())) == 3
    assert role_key(settings, "submitter").pubkey() == load(settings.submitter_key).pubkey()
    with pytest.raises(KeyFileError, match="no such keypair file"):
        role_key(settings, "authority")
    assert not settings.authority_key.exists()


def test_the_submitter_may_pay(settings):
    paying = settings.model_copy(update={"settlement": settings.settlement.model_copy(update={"fee_payer": "submitter"})})
    assert role_key(paying, "fee_payer").pubkey() == role_key(paying, "submitter").pubkey()


def test_a_key_may_come_from_the_environment_as_path_or_array(settings, tmp_path, monkeypatch):
    filed, told = load_or_create(tmp_path / "elsewhere.json"), Keypair()
    monkeypatch.setenv("GRIDTOKENX_SUBMITTER_KEY", str(tmp_path / "elsewhere.json"))
    monkeypatch.setenv("GRIDTOKENX_CERTIFIER_KEY", f" {list(bytes(told))}")
    assert role_key(settings, "submitter").pubkey() == filed.pubkey()
    assert role_key(settings, "certifier").pubkey() == told.pubkey()
    assert not settings.submitter_key.exists()
    assert not settings.certifier_key.exists()


def test_a_wrong_key_in_the_environment_is_not_quoted(settings, monkeypatch):
    secret = Keypair()
    monkeypatch.setenv("GRIDTOKENX_FEE_PAYER_KEY", str(list(bytes(secret))[:63]))
    with pytest.raises(KeyFileError, match="GRIDTOKENX_FEE_PAYER_KEY: not a keypair") as caught:
        role_key(settings, "fee_payer")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert str(list(bytes(secret))[:3])[1:-1] not in str(caught.value)


@pytest.mark.parametrize(("one", "other"), [("certifier", "submitter"), ("certifier", "authority")])
def test_the_certifier_is_neither_submitter_nor_authority(settings, monkeypatch, one, other):
    same = str(list(bytes(Keypair())))
    monkeypatch.setenv(VARIABLES[one], same)
    monkeypatch.setenv(VARIABLES[other], same)
    for role in (one, other):
        with pytest.raises(KeyFileError, match="must differ"):
            role_key(settings, role)


def test_wallets_follow_from_one_private_secret(tmp_path):
    path = tmp_path / "solana" / "wallets.secret"
    secret = load_or_create_secret(path)
    assert (stat.S_IMODE(path.stat().st_mode), path.read_bytes(), len(secret)) == (0o600, secret, 32)
    first, again = Wallets(secret), Wallets(load_or_create_secret(path))
    assert first.key("A").pubkey() == again.key("A").pubkey() == first.address("A")
    assert len({first.address("A"), first.address("B"), Wallets(b"x" * 32).address("A")}) == 3
    assert secret.hex() not in repr(first)
    # What a wallet is derived from is a promise to whoever holds a backup.
    assert str(Wallets(bytes(32)).address("AMI_METER_STANFORD_ENG_001")) == "EnU33gbkYCypy5X9mvZ1VWP8PmgqJFDk57BhTr4FcHG9"
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_or_create_secret(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(KeyFileError, match="restore it"):
        load_or_create_secret(path)


def test_an_owner_may_have_a_wallet_of_their_own(settings):
    own = Keypair().pubkey()
    meters = list(settings.meters)
    meters[:2] = [meter.model_copy(update={"wallet": str(own)}) for meter in meters[:2]]
    wallets = wallets_of(settings.model_copy(update={"meters": tuple(meters)}))
    assert (wallets.address(meters[0].id), wallets.key(meters[0].id), wallets.shared(meters[0].id)) == (own, None, True)
    assert wallets.key(meters[2].id).pubkey() == wallets.address(meters[2].id)
    assert not wallets.shared(meters[2].id)
    meters[0] = meters[0].model_copy(update={"wallet": "1" * 44})
    with pytest.raises(ValueError, match=f"meter {meters[0].id}: wallet 1+ is no public key"):
        wallets_of(settings.model_copy(update={"meters": tuple(meters)}))
