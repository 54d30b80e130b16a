from __future__ import annotations

import os
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gridtokenx_pipeline.config import PROJECT_ROOT

METERS = 4


@pytest.fixture(scope="session")
def campus_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real configuration with its first four meters, and a node in the process that settles."""
    text = (PROJECT_ROOT / "config" / "stanford.toml").read_text(encoding="utf-8")
    settings, *meters = text.split("[[meters]]")
    text = "[[meters]]".join([settings.replace("http://127.0.0.1:8899", "inprocess?slot_ms=20"), *meters[:METERS]])
    assert tomllib.loads(text)["settlement"]["rpc_url"] == "inprocess?slot_ms=20"
    path = tmp_path_factory.mktemp("config") / "campus.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def definitions(tmp_path_factory: pytest.TempPathFactory, campus_config: Path):
    """The definitions, and jobs for tests: the checks alone, and the line or its end without them."""
    from line_campus import environment_kept

    data = tmp_path_factory.mktemp("definitions")
    with environment_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Importing the module builds the definitions of the environment, whose data directory must not be the checkout's.
        os.environ["GRIDTOKENX_DATA"] = str(data)
        import dagster as dg

        from gridtokenx_pipeline.definitions import SUITES, build_definitions
        from gridtokenx_pipeline.defs.freshness import FRESHNESS
        from gridtokenx_pipeline.defs.jobs import LANDED, SETTLED
        from gridtokenx_pipeline.defs.resources import Stores

        built = build_definitions(Stores(data=str(data), config=str(campus_config)))
        assets = (LANDED | SETTLED).resolve(built.resolve_asset_graph())
        checks = dg.AssetSelection.checks_for_assets(*assets) - dg.AssetSelection.checks(*SUITES, *FRESHNESS)
        jobs = [
            dg.define_asset_job("audit", checks),
            dg.define_asset_job("settle_unchecked", SETTLED.without_checks()),
            dg.define_asset_job("line_unchecked", (LANDED | SETTLED).without_checks()),
        ]
        return dg.Definitions.merge(built, dg.Definitions(jobs=jobs))


@pytest.fixture(scope="session")
def instance() -> Iterator:
    import dagster as dg

    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="session")
def enrolled(tmp_path_factory: pytest.TempPathFactory, campus_config: Path, definitions, instance):
    """A campus with certificates and registry, where no message has come yet. Not for writing: copy it."""
    from line_campus import Campus

    from gridtokenx_pipeline.enrolment import enrol
    from gridtokenx_pipeline.warehouse.extensions import ensure_extension_directory

    campus = Campus(tmp_path_factory.mktemp("enrolled") / "data", campus_config, definitions, instance)
    enrol(campus.settings)
    ensure_extension_directory(campus.settings.warehouse_dir / "extensions")
    return campus


@pytest.fixture(scope="session")
def landed(enrolled, tmp_path_factory: pytest.TempPathFactory):
    """Forty intervals of four meters in the landing store, nothing run. Not for writing."""
    from line_campus import reading_messages

    campus = enrolled.copy(tmp_path_factory.mktemp("landed") / "data")
    messages = [message for meter in campus.meters for message in reading_messages(meter)]
    campus.land(sorted(messages, key=lambda message: message.received_at))
    return campus


@pytest.fixture(scope="session")
def disturbed(enrolled, tmp_path_factory: pytest.TempPathFactory):
    """A settled campus of which one meter sent well-formed but wrong readings. Not for writing."""
    from line_campus import disturbances, reading_messages

    campus = enrolled.copy(tmp_path_factory.mktemp("disturbed") / "data")
    wrong = disturbances(campus.meters[1])
    messages = [(None, message) for i in (0, 2, 3) for message in reading_messages(campus.meters[i])] + wrong
    messages.sort(key=lambda labelled: labelled[1].received_at)
    ids = campus.land([message for _, message in messages])
    campus.labels = {label: i for (label, _), i in zip(messages, ids, strict=True) if label}
    campus.runs["tick"] = campus.run("tick")
    return campus


@pytest.fixture(scope="session")
def taken_in(landed, tmp_path_factory: pytest.TempPathFactory):
    """The campus after its intake run: messages and readings in the lake. Not for writing."""
    campus = landed.copy(tmp_path_factory.mktemp("taken_in") / "data")
    campus.runs["intake"] = campus.run("intake")
    return campus


@pytest.fixture(scope="session")
def settled(taken_in, tmp_path_factory: pytest.TempPathFactory):
    """The campus after undisturbed runs from landing to chain. Not for writing."""
    campus = taken_in.copy(tmp_path_factory.mktemp("settled") / "data")
    campus.runs["settle"] = campus.run("settle")
    # Its copies sign with the same key: what they send later is not its own.
    campus.signed = campus.transactions_on_chain()
    return campus


@pytest.fixture(scope="session")
def with_marts(settled, tmp_path_factory: pytest.TempPathFactory):
    """The settled campus with its marts. Not for writing."""
    campus = settled.copy(tmp_path_factory.mktemp("marts") / "data")
    campus.runs["marts"] = campus.run("marts")
    return campus


@pytest.fixture
def copied(tmp_path: Path) -> Callable:
    """Copies a campus, for the test to write to."""
    return lambda campus: campus.copy(tmp_path / "data")
