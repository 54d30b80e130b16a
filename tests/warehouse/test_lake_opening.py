from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from lake_rows import HOUR, rows

from gridtokenx_pipeline.contracts import TABLES, market, ops, raw
from gridtokenx_pipeline.warehouse import Append, ContractDrift, Replace, Warehouse, WarehouseMissing
from gridtokenx_pipeline.warehouse import extensions as module
from gridtokenx_pipeline.warehouse.extensions import ensure_extension_directory

STATEMENTS = (
    "INSERT INTO raw.messages SELECT * FROM raw.messages",
    "UPDATE raw.messages SET path = '/'",
    "DELETE FROM raw.messages",
    "CREATE TABLE raw.other (a INTEGER)",
    "DROP TABLE raw.messages",
    "ALTER TABLE raw.messages DROP COLUMN body",
)


def _run(code: str, *arguments: object, **environment: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_reading_what_was_never_written_says_so_and_makes_nothing(tmp_path: Path):
    directory = tmp_path / "warehouse"
    with Warehouse(directory, read_only=True) as reader, pytest.raises(WarehouseMissing, match=str(directory)):
        reader.query("SELECT 1")
    assert not directory.exists()


def test_a_reader_cannot_write(lake: Warehouse, extensions: Path):
    lake.commit(Append(raw.MESSAGES, rows(raw.MESSAGES, {"message_id": "a"})))
    with Warehouse(lake.directory, extensions, read_only=True) as reader:
        for statement in STATEMENTS:
            with pytest.raises(duckdb.Error, match="read-only"):
                reader.query(statement)
        with pytest.raises(duckdb.Error, match="read-only"):
            reader.commit(Append(raw.MESSAGES, rows(raw.MESSAGES, {"message_id": "b"})))
        assert reader.read(raw.MESSAGES)["message_id"].to_list() == ["a"]


def test_a_reader_sees_commits_made_after_it_was_opened(lake: Warehouse, extensions: Path):
    with Warehouse(lake.directory, extensions, read_only=True) as reader:
        assert reader.read(raw.MESSAGES).is_empty()
        lake.commit(Append(raw.MESSAGES, rows(raw.MESSAGES, {"message_id": "a"})))
        assert len(reader.read(raw.MESSAGES)) == 1


def test_tables_carry_the_types_and_comments_of_their_contracts(lake: Warehouse):
    stored = lake.query(
        "SELECT schema_name || '.' || table_name AS name, column_name, data_type, is_nullable, comment "
        "FROM duckdb_columns() WHERE database_name = 'lake' ORDER BY name, column_index"
    )
    types = {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
    expected = [
        (
            table.full_name,
            column.name,
            types.get(column.type.sql, column.type.sql),
            column.nullable,
            f"{column.comment} [{column.unit}]" if column.unit else column.comment,
        )
        for table in sorted(TABLES, key=lambda t: t.full_name)
        for column in table.columns
    ]
    assert stored.rows() == expected
    comments = lake.query("SELECT schema_name || '.' || table_name, comment FROM duckdb_tables() WHERE database_name = 'lake'")
    assert dict(comments.rows()) == {table.full_name: table.comment for table in TABLES}


def test_a_closed_warehouse_opens_again(tmp_path: Path, extensions: Path):
    with Warehouse(tmp_path, extensions) as warehouse:
        warehouse.commit(Append(raw.MESSAGES, rows(raw.MESSAGES, {"message_id": "a"})))
        warehouse.close()
        assert warehouse.read(raw.MESSAGES)["message_id"].to_list() == ["a"]


def test_a_moved_warehouse_keeps_its_rows(tmp_path: Path, extensions: Path):
    frame = rows(raw.MESSAGES, *({"message_id": f"{i:04}"} for i in range(500)))
    with Warehouse(tmp_path / "here", extensions) as warehouse:
        warehouse.commit(Append(raw.MESSAGES, frame))
        assert list(warehouse.files.rglob("*.parquet")), "too few rows to leave the catalog"
    (tmp_path / "here").rename(tmp_path / "there")
    with Warehouse(tmp_path / "there", extensions) as moved:
        assert moved.read(raw.MESSAGES).equals(frame)
        moved.commit(Append(raw.MESSAGES, rows(raw.MESSAGES, {"message_id": "later"})))
        assert len(moved.read(raw.MESSAGES)) == 501
    assert not (tmp_path / "here").exists()


def test_a_table_of_another_version_is_refused_every_time(tmp_path: Path, extensions: Path):
    with Warehouse(tmp_path, extensions) as old:
        old.connect().execute("ALTER TABLE market.trades DROP COLUMN kind; ALTER TABLE market.trades DROP COLUMN mechanism")
    warehouse = Warehouse(tmp_path, extensions)
    for _ in range(2):
        with pytest.raises(ContractDrift, match=r"market\.trades .*lacks kind, mechanism"):
            warehouse.commit(Replace(ops.WATERMARKS, rows(ops.WATERMARKS, {"stage": "landing"})))
    with Warehouse(tmp_path, extensions, read_only=True) as reader:
        assert reader.read(ops.WATERMARKS).is_empty()


def test_a_nullable_column_that_came_later_is_added(tmp_path: Path, extensions: Path):
    first = rows(raw.MESSAGES, {"message_id": "before", "sender_lfdi": None})
    with Warehouse(tmp_path, extensions) as old:
        old.commit(Append(raw.MESSAGES, first))
        old.connect().execute("ALTER TABLE raw.messages DROP COLUMN sender_lfdi")
    second = rows(raw.MESSAGES, {"message_id": "later", "sender_lfdi": "AB" * 20})
    for _ in range(2):
        with Warehouse(tmp_path, extensions) as warehouse:
            warehouse.commit(Append(raw.MESSAGES, second))
            assert warehouse.read(raw.MESSAGES).sort("message_id").equals(first.vstack(second))


def test_a_column_more_than_the_contract_is_welcome(tmp_path: Path, extensions: Path):
    with Warehouse(tmp_path, extensions) as newer:
        newer.connect().execute("ALTER TABLE market.intervals ADD COLUMN note VARCHAR")
    with Warehouse(tmp_path, extensions) as warehouse:
        frame = rows(market.INTERVALS, {"state": "open"})
        warehouse.commit(Replace(market.INTERVALS, frame))
        assert warehouse.read(market.INTERVALS).equals(frame)


def test_times_are_utc_wherever_the_process_is(lake: Warehouse, extensions: Path):
    lake.commit(Append(raw.MESSAGES, rows(raw.MESSAGES, {"message_id": "here", "received_at": HOUR})))
    code = """
import datetime as dt, json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from lake_rows import HOUR, rows
from gridtokenx_pipeline.contracts import raw
from gridtokenx_pipeline.warehouse import Append, Warehouse
with Warehouse(Path(sys.argv[1]), Path(sys.argv[2])) as warehouse:
    there = {"message_id": "there", "received_at": HOUR + dt.timedelta(minutes=30), "path": str(time.timezone)}
    warehouse.commit(Append(raw.MESSAGES, rows(raw.MESSAGES, there)))
    hours = "SELECT DISTINCT date_trunc('day', received_at)::VARCHAR, hour(received_at) FROM raw.messages"
    literal = "SELECT count(*) FROM raw.messages WHERE received_at >= '2026-06-01 10:00:00' AND received_at < '2026-06-01 11:00:00'"
    print(json.dumps({
        "read": [t.isoformat() for t in warehouse.read(raw.MESSAGES)["received_at"]],
        "dtype": str(warehouse.query("SELECT received_at FROM raw.messages").dtypes[0]),
        "hours": [list(row) for row in warehouse.query(hours).rows()],
        "literal": warehouse.query(literal).item(),
        "offset": time.timezone,
    }))
"""
    there = _run(code, lake.directory, extensions, Path(__file__).parent, TZ="America/Los_Angeles")
    assert there.pop("offset") != 0, "the process took no notice of TZ"
    assert there == {
        "read": ["2026-06-01T10:00:00+00:00", "2026-06-01T10:30:00+00:00"],
        "dtype": "Datetime(time_unit='us', time_zone='UTC')",
        "hours": [["2026-06-01 00:00:00+00", 10]],
        "literal": 2,
    }
    assert lake.read(raw.MESSAGES)["received_at"].to_list() == [HOUR, HOUR.replace(minute=30)]


def test_extensions_come_from_the_wheels_and_not_from_a_network(lake: Warehouse, extensions: Path, tmp_path: Path):
    home = tmp_path / "home"
    home.mkdir()
    nowhere = "http://127.0.0.1:9"
    code = """
import json, sys
from pathlib import Path
from gridtokenx_pipeline.warehouse import Warehouse
with Warehouse(Path(sys.argv[1]), Path(sys.argv[2]), read_only=True) as warehouse:
    warehouse.query("SELECT count(*) FROM raw.messages")
    loaded = warehouse.query("SELECT extension_name, install_path FROM duckdb_extensions() WHERE loaded AND install_mode <> 'STATICALLY_LINKED'")
    print(json.dumps(dict(loaded.rows())))
"""
    loaded = _run(code, lake.directory, extensions, HOME=str(home), HTTP_PROXY=nowhere, HTTPS_PROXY=nowhere)
    assert {"ducklake", "sqlite_scanner"} <= loaded.keys()
    assert all(Path(path).is_relative_to(extensions) for path in loaded.values())
    assert not list(home.rglob("*"))


def test_an_extension_without_its_wheel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "EXTENSIONS", {"ducklake": "no_such_wheel"})
    with pytest.raises(RuntimeError, match=r"ducklake for DuckDB v.*no_such_wheel"):
        ensure_extension_directory(tmp_path)


def test_a_warehouse_still_being_made_is_missing_to_a_reader(tmp_path, extensions):
    with Warehouse(tmp_path, extensions) as warehouse:
        warehouse._ensure_tables = lambda tables: None
        warehouse.connect()
    with Warehouse(tmp_path, extensions, read_only=True) as reader, pytest.raises(WarehouseMissing, match="still being made"):
        reader.connect()
