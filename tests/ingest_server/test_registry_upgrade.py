"""A registry that an earlier version made, fleets, and meters whose certificate changed."""

from __future__ import annotations

import datetime as dt
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table

from ingest_server.operational.engine import engine_of
from ingest_server.operational.registry import Device, Registry
from ingest_server.operational.schema import create_missing

NOW = dt.datetime(2026, 6, 21, 12, tzinfo=dt.UTC)
A = Device("AA" * 20, 123, "METER_A", "stanford", 111115)
B = Device("BB" * 20, 456, "METER_B", "stanford", 123455)
LEADER = Device("CC" * 20, 789, "leader", "stanford", 111115, role="aggregator", profile="csip_aus")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(f"sqlite:///{tmp_path / 'operational.sqlite'}")
    registry.create_all()
    registry.register([A, B, LEADER])
    yield registry
    registry.close()


def test_a_registry_without_profiles_and_fleets_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "operational.sqlite"
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE devices (lfdi VARCHAR(40) PRIMARY KEY, sfdi BIGINT NOT NULL, meter_id TEXT NOT NULL, zone TEXT NOT NULL,"
            " status VARCHAR(16) NOT NULL, role VARCHAR(32) NOT NULL, pin INTEGER NOT NULL, device_category BIGINT NOT NULL,"
            " registered_at DATETIME NOT NULL, not_after DATETIME)"
        )
        old.execute(
            "INSERT INTO devices VALUES (?, 123, 'METER_A', 'stanford', 'suspended', 'meter', 111115, 0,"
            " '2026-06-21 12:00:00.000000', NULL)",
            (A.lfdi,),
        )
    registry = Registry(f"sqlite:///{path}")
    registry.create_all()
    registry.create_all()
    assert registry.devices() == [replace(A, status="suspended", registered_at=NOW)]
    registry.register([replace(A, profile="csip_aus")])
    assert registry.by_lfdi(A.lfdi).profile == "csip_aus"
    assert registry.fleet_of(LEADER.lfdi) == frozenset()


def test_a_column_that_old_rows_could_not_fill_is_refused(tmp_path: Path) -> None:
    engine = engine_of(f"sqlite:///{tmp_path / 'x.sqlite'}")
    before, after = MetaData(), MetaData()
    Table("t", before, Column("id", Integer, primary_key=True))
    Table("t", after, Column("id", Integer, primary_key=True), Column("name", String(8), nullable=False))
    create_missing(engine, before)
    with pytest.raises(ValueError, match=r"t\.name"):
        create_missing(engine, after)


def test_a_fleet_is_replaced_as_a_whole(registry: Registry) -> None:
    registry.set_fleet(LEADER.lfdi, [A.lfdi, B.lfdi, A.lfdi])
    assert registry.fleet_of(LEADER.lfdi) == {A.lfdi, B.lfdi}
    registry.set_fleet(LEADER.lfdi, [B.lfdi])
    assert registry.fleet_of(LEADER.lfdi) == {B.lfdi}
    registry.set_fleet(LEADER.lfdi, [])
    assert registry.fleet_of(LEADER.lfdi) == frozenset()


@pytest.mark.parametrize("twice", [False, True])
def test_a_renewed_device_is_usable_for_its_grace_and_keeps_its_fleets(registry: Registry, twice: bool) -> None:
    registry.set_fleet(LEADER.lfdi, [A.lfdi, B.lfdi])
    successor = replace(A, lfdi="DD" * 20, registered_at=NOW)
    for _ in range(2 if twice else 1):
        registry.succeed(A.lfdi, successor, ends=NOW)
    old, new = registry.by_lfdi(A.lfdi), registry.by_lfdi(successor.lfdi)
    assert old.in_force(NOW - dt.timedelta(seconds=1))
    assert not old.in_force(NOW)
    assert new.in_force(NOW)
    assert {d.lfdi for d in registry.by_meter("METER_A")} == {A.lfdi, successor.lfdi}
    assert registry.fleet_of(LEADER.lfdi) == {A.lfdi, B.lfdi, successor.lfdi}


def test_a_replaced_aggregator_is_out_at_once_and_its_successor_leads_the_fleet(registry: Registry) -> None:
    registry.set_fleet(LEADER.lfdi, [A.lfdi])
    successor = replace(LEADER, lfdi="EE" * 20)
    registry.succeed(LEADER.lfdi, successor, ends=None)
    assert registry.by_lfdi(LEADER.lfdi).status == "revoked"
    assert registry.fleet_of(successor.lfdi) == {A.lfdi}
    with pytest.raises(KeyError):
        registry.succeed("FF" * 20, successor, ends=None)


def test_a_renewal_never_prolongs_a_certificate(registry: Registry) -> None:
    registry.register([replace(B, not_after=NOW)])
    registry.succeed(B.lfdi, replace(B, lfdi="DD" * 20), ends=NOW + dt.timedelta(days=30))
    assert registry.by_lfdi(B.lfdi).not_after == NOW
