"""How file, environment and options meet in the same section, and in settings that name places."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from gridtokenx_pipeline import config

FILE = config.PROJECT_ROOT / "config" / "stanford.toml"


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("GRIDTOKENX_") or name in config.ALIASES:
            monkeypatch.delenv(name)


def test_each_value_of_a_section_comes_from_its_highest_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_TRADING_PARTNERS", "5")
    monkeypatch.setenv("BLOCKCHAIN_SUBMIT_INTERVAL", "900")
    monkeypatch.setenv("GRIDTOKENX_MARKET__INTERVAL_S", "600")
    monkeypatch.setenv("GRIDTOKENX_MARKET__COMPLETENESS_MIN_PCT", "90")
    market = config.load(market={"completeness_min_pct": 80}).market
    assert market.retail_micro_per_kwh == 280_000, "the file"
    assert market.max_partners == 5, "an alias over the file"
    assert market.interval_s == 600, "the environment over an alias"
    assert market.completeness_min_pct == 80, "an option over the environment"


def test_the_file_of_an_option_beats_the_file_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.toml").write_text(FILE.read_text().replace('zone = "stanford"', f'zone = "{name}"'))
    monkeypatch.setenv("GRIDTOKENX_CONFIG", str(tmp_path / "one.toml"))
    assert (config.load().zone, config.load().config) == ("one", tmp_path / "one.toml")
    chosen = config.load(config=tmp_path / "two.toml")
    assert (chosen.zone, chosen.config) == ("two", tmp_path / "two.toml")


def test_places_do_not_depend_on_the_directory_a_child_process_runs_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(FILE.read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    settings = config.load(config=Path("mine.toml"), data=Path("~/data"))
    assert settings.config == tmp_path / "mine.toml"
    assert settings.data == tmp_path / "home" / "data"
    places = {
        name: getattr(settings, name)
        for name in ("certs_dir", "landing_dir", "warehouse_dir", "dagster_home", "payer_key", "simulator_dir", "logs_dir")
    }
    assert all(place.is_relative_to(settings.data) for place in places.values())
    assert len(set(places.values())) == len(places)
    assert settings.operational_url == f"sqlite:///{settings.data}/operational.sqlite"


def test_the_default_data_directory_is_the_checkouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config.load().data == config.PROJECT_ROOT / "data"


def test_a_variable_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDTOKENX_METERS", "not json")
    with pytest.raises(ValueError, match="meters"):
        config.load()


def test_an_unknown_key_of_the_file_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "typo.toml"
    file.write_text(FILE.read_text().replace("max_partners", "max_partner"))
    with pytest.raises(ValidationError, match=r"market\.max_partner\n"):
        config.load(config=file)
