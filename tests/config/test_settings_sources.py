"""Where a setting comes from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from gridtokenx_pipeline import config


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("GRIDTOKENX_") or name in config.ALIASES:
            monkeypatch.delenv(name)


def test_the_file_is_the_base() -> None:
    settings = config.load()
    assert settings.zone == "stanford"
    assert len(settings.meters) == 25
    assert (sum(m.rated_kw for m in settings.meters), sum(m.battery_kwh for m in settings.meters)) == (1120, 684)
    assert settings.market.feed_in_micro_per_kwh == 80_000


def test_environment_beats_file_and_options_beat_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRIDTOKENX_MARKET__MAX_PARTNERS", "7")
    monkeypatch.setenv("GRIDTOKENX_DATA", str(tmp_path / "from-environment"))
    assert config.load().market.max_partners == 7
    assert config.load().data == tmp_path / "from-environment"
    assert config.load(data=tmp_path / "from-option").data == tmp_path / "from-option"
    assert config.load(data=tmp_path).market.max_partners == 7
    assert config.load(data=tmp_path).market.retail_micro_per_kwh == 280_000


def test_a_relative_data_directory_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert config.load(data=Path("here")).data == tmp_path / "here"


@pytest.mark.parametrize(
    ("variable", "value", "section", "field", "expected"),
    [
        ("MAX_TRADING_PARTNERS", "9", "market", "max_partners", 9),
        ("TRADE_MATCHING_ALGORITHM", "bilateral", "market", "mechanism", "sdr_bilateral"),
        ("BLOCKCHAIN_SUBMIT_INTERVAL", "900", "market", "interval_s", 900),
        ("POLLING_INTERVAL_SEC", "30", "metering", "interval_s", 30),
        ("SOLANA_RPC_URL", "http://127.0.0.1:1", "settlement", "rpc_url", "http://127.0.0.1:1"),
        ("SOLANA_COMMITMENT_LEVEL", "finalized", "settlement", "commitment", "finalized"),
    ],
)
def test_names_of_the_plan_are_accepted(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, section: str, field: str, expected: object
) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(getattr(config.load(), section), field) == expected


def test_the_products_own_name_wins_over_the_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_TRADING_PARTNERS", "9")
    monkeypatch.setenv("GRIDTOKENX_MARKET__MAX_PARTNERS", "7")
    assert config.load().market.max_partners == 7


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("GRIDTOKENX_MARKET__MAX_PARTNERS", "0", "max_partners"),
        ("GRIDTOKENX_MARKET__INTERVAL_S", "310", "market interval"),
        ("GRIDTOKENX_MARKET__FEED_IN_MICRO_PER_KWH", "300000", "retail tariff"),
        ("GRIDTOKENX_METERING__INTERVAL_S", "7", "multiple of the metering interval"),
        ("GRIDTOKENX_MARKET__NO_SUCH_RULE", "1", "no_such_rule"),
        ("GRIDTOKENX_ZONE", "Not A Zone", "zone"),
    ],
)
def test_a_bad_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError, match=named):
        config.load()


def test_a_meter_named_twice_is_refused(tmp_path: Path) -> None:
    text = (config.PROJECT_ROOT / "config" / "stanford.toml").read_text()
    double = tmp_path / "double.toml"
    double.write_text(text + text[text.index("[[meters]]") : text.index("[[meters]]", text.index("[[meters]]") + 1)])
    with pytest.raises(ValidationError, match="meters named twice: AMI_METER_STANFORD_ENG_001"):
        config.load(config=double)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.toml"):
        config.load(config=tmp_path / "nowhere.toml")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        config.load().market.max_partners = 3  # type: ignore[misc]
