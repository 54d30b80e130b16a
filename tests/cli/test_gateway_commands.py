"""`gridtokenx gateway`, from credentials and files to accepted readings."""

from __future__ import annotations

import datetime as dt
import json
import stat
from pathlib import Path

import jwt
import pytest
from typer.testing import CliRunner

from gridtokenx_pipeline import config
from gridtokenx_pipeline.cli import app
from gridtokenx_pipeline.config import PROJECT_ROOT
from gridtokenx_pipeline.contracts import core, raw
from gridtokenx_pipeline.domain import landing
from gridtokenx_pipeline.warehouse import Append, Warehouse
from ingest_server.landing.sqlite import SqliteLandingReader
from ingest_server.operational.registry import Device, Registry

ENG, PHYS = "AMI_METER_STANFORD_ENG_001", "AMI_METER_STANFORD_PHYS_001"
FEEDS = """
[gateway]
token_key = "certs/gateway.secret"

[[gateway.feeds]]
shape = "original"
interval_s = 30
storage = "separate"

[[gateway.feeds]]
shape = "dlms"
meters = ["AMI_METER_STANFORD_PHYS_001"]
interval_s = 900
obis = "interval"
"""


@pytest.fixture
def campus(tmp_path: Path) -> list[str]:
    """Options of a data directory whose registry has two meters, and of a configuration with legacy feeds."""
    settings, *meters = (PROJECT_ROOT / "config" / "stanford.toml").read_text(encoding="utf-8").split("[[meters]]")
    path = tmp_path / "campus.toml"
    path.write_text("[[meters]]".join([settings + FEEDS, *meters]), encoding="utf-8")
    data = tmp_path / "data"
    registry = Registry(config.load(data=data, config=path).operational_url)
    registry.create_all()
    registry.register(Device(f"{n:040X}", n, meter, "stanford", 111115) for n, meter in enumerate((ENG, PHYS), 1))
    registry.close()
    return ["--data", str(data), "--config", str(path)]


def run(campus: list[str], *arguments: str) -> str:
    result = CliRunner().invoke(app, ["gateway", *arguments, *campus])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_credentials(campus: list[str], tmp_path: Path):
    issued = json.loads(run(campus, "key", "issue", "--meter", ENG, "--by", "eve", "--json"))
    assert issued["key"].startswith(issued["key_id"] + ".")
    listed = run(campus, "key", "list", "--json")
    assert issued["key"].partition(".")[2] not in listed
    assert json.loads(listed)[0] | {"expires_at": ""} == {
        "key_id": issued["key_id"], "state": "active", "expires_at": "", "created_by": "eve", "meters": [ENG]
    }  # fmt: skip
    run(campus, "key", "revoke", issued["key_id"])
    assert json.loads(run(campus, "key", "list", "--json"))[0]["state"] == "revoked"
    token = run(campus, "token", ENG, PHYS).strip()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["sub"], claims["meters"]) == ("*", [ENG, PHYS])
    secret = tmp_path / "data" / "certs" / "gateway.secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    refused = CliRunner().invoke(app, ["gateway", "token", "NOBODY", *campus])
    assert refused.exit_code == 2
    assert "not in the registry" in refused.output


def test_migration_leaves_its_trail(campus: list[str]):
    run(campus, "migrate", ENG, "--both", "--by", "eve")
    run(campus, "migrate", ENG, "--by", "eve", "--note", "firmware 4.2")
    run(campus, "rollback", ENG, "--by", "adam", "--note", "clock drifts")
    assert "already" in run(campus, "rollback", ENG)
    assert {row["meter_id"]: row["protocol"] for row in json.loads(run(campus, "status", "--json"))} == {
        ENG: "legacy",
        PHYS: "any",
    }
    trail = json.loads(run(campus, "status", "--history", "--json"))
    assert [(row["protocol"], row["changed_by"], row["note"]) for row in trail] == [
        ("both", "eve", ""), ("sep2", "eve", "firmware 4.2"), ("legacy", "adam", "clock drifts")
    ]  # fmt: skip


def test_files_become_readings(campus: list[str], tmp_path: Path):
    from gridtokenx_pipeline.defs.readings.assets import validate_hour

    original, obis = tmp_path / "meter_readings.jsonl", tmp_path / "dlms.json"
    steps = [dt.datetime(2026, 1, 15, 18, tzinfo=dt.UTC) + dt.timedelta(seconds=30 * n) for n in range(1, 121)]
    rows = [
        {"timestamp": t.isoformat(), "meter_id": ENG, "meter_type": "Hybrid_Prosumer", "energy_generated": 0.25, "energy_consumed": 0.1, "battery_level": 50.5}
        for t in steps
    ]  # fmt: skip
    original.write_text("".join(json.dumps(row) + "\n" for row in rows))
    payload = {"timestamp": "2026-01-15T18:15:00Z", "1.1.1.8.0.255": 4000, "1.1.2.8.0.255": 0}
    obis.write_text(json.dumps([{"protocol": "dlms", "device_id": PHYS, "payload": payload}]))
    first = json.loads(run(campus, "import", str(original), str(obis), "--json"))
    assert first == {"landed_messages": 3, "landed_readings": 121, "known_messages": 0, "known_readings": 0}
    again = json.loads(run(campus, "import", str(obis), str(original), "--json"))
    assert again == {"landed_messages": 0, "landed_readings": 0, "known_messages": 3, "known_readings": 121}

    settings = config.load(data=campus[1], config=campus[3])
    reader = SqliteLandingReader(settings.landing_dir)
    with Warehouse(tmp_path / "warehouse") as warehouse:
        for segment in reader.segments():
            warehouse.commit(Append(raw.MESSAGES, landing.frame(segment.name, reader.read(segment))))
            validate_hour(warehouse, settings, segment.hour, segment.hour + dt.timedelta(hours=1))
        sums = warehouse.query(
            "SELECT meter_id, channel, duration_s, count(*) AS n, sum(energy_wh)::INTEGER AS wh FROM core.readings GROUP BY ALL ORDER BY ALL"
        )
        assert sums.rows() == [
            (ENG, "generation", 30, 120, 30_000),
            (ENG, "load", 30, 120, 12_000),
            (ENG, "state_of_charge", 30, 120, None),
            (PHYS, "export", 900, 1, 0),
            (PHYS, "import", 900, 1, 4_000),
        ]
        outcomes = warehouse.read(core.MESSAGE_OUTCOMES)
        assert outcomes["document"].unique().sort().to_list() == ["DlmsReading", "OriginalReading"]
        assert outcomes["rejected"].sum() == 0
        assert warehouse.read(core.READING_TYPES).height == 5


def test_a_file_with_a_bad_reading_lands_nothing(campus: list[str], tmp_path: Path):
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps({"meter_id": ENG, "timestamp": "2026-01-15T18:00:15Z", "energy_consumed": 1}) + "\n{oops\n")
    result = CliRunner().invoke(app, ["gateway", "import", str(path), *campus])
    assert result.exit_code == 1
    assert "reading 1: not JSON" in result.output
    assert SqliteLandingReader(Path(campus[1]) / "landing").segments() == []
