"""The lake is smaller afterwards and says the same; work that was due and is not done is an error."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
from lake_rows import HOUR, after, rows

from gridtokenx_pipeline.contracts import core, market
from gridtokenx_pipeline.warehouse import Replace, Warehouse, maintenance

KEEP_NONE, NO_GRACE = dt.timedelta(0), dt.timedelta(0)
LATER = dt.timedelta(minutes=1)


def hour(number: int, version: int = 1, many: int = 40) -> Replace:
    """More rows than are kept in the catalog, for an hour of their own."""
    start = after(3600 * number)
    frame = rows(
        core.READINGS,
        *({"meter_id": f"M{i}", "interval_start": start, "received_at": start, "version": version} for i in range(many)),
    )
    return Replace(core.READINGS, frame, start, start + dt.timedelta(hours=1))


@pytest.fixture
def worn(tmp_path: Path, extensions: Path) -> Warehouse:
    """A lake of many small files, half of them replaced, and a few rows in the catalog."""
    with Warehouse(tmp_path / "lake", extensions) as lake:
        for number in range(8):
            lake.commit(hour(number))
        for number in range(0, 8, 2):
            lake.commit(hour(number, version=2))
        lake.commit(Replace(market.INTERVALS, rows(market.INTERVALS, {"interval_start": HOUR})))
        yield lake


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + LATER


def test_a_lake_is_smaller_afterwards_and_says_the_same(worn):
    stored = worn.read(core.READINGS)
    done = maintenance.maintain(worn, now(), KEEP_NONE, grace=NO_GRACE)
    assert worn.read(core.READINGS).equals(stored)
    assert (done.rows_flushed, done.after.snapshots, done.after.waiting) == (1, 1, 0)
    assert done.snapshots_expired >= 13
    before, found = ({t.table: t for t in size.tables}["core.readings"] for size in (done.before, done.after))
    assert (before.files, found.files, found.deletes) == (8, 1, 0)
    # A file for the readings, and one for the interval that was in the catalog.
    assert (done.before.disk_files, done.after.disk_files) == (12, 2)
    assert done.after.disk_bytes < done.before.disk_bytes / 3
    again = maintenance.maintain(worn, now(), KEEP_NONE, grace=NO_GRACE)
    assert (again.rows_flushed, again.files_rewritten, again.files_merged, again.files_removed) == (0, 0, 0, 0)


def test_history_within_retention_stays_readable(worn):
    (snapshot,) = worn.query("SELECT min(snapshot_id) FROM lake.snapshots() WHERE snapshot_id >= 8").row(0)
    past = f"SELECT count(*) FROM core.readings AT (VERSION => {snapshot})"
    counted = worn.query(past).item()
    done = maintenance.maintain(worn, now(), dt.timedelta(days=7), grace=NO_GRACE)
    assert done.snapshots_expired == 0
    assert worn.query(past).item() == counted > 0


def test_replaced_files_wait_for_their_readers(worn):
    done = maintenance.maintain(worn, now(), KEEP_NONE, grace=dt.timedelta(hours=1))
    assert done.files_removed == 0
    assert done.after.waiting > 0
    later = maintenance.maintain(worn, now(), KEEP_NONE, grace=NO_GRACE)
    assert later.files_removed == done.after.waiting


def test_it_runs_beside_a_writer(worn, extensions, tmp_path):
    """The writer is a process of its own, as the line is."""
    partitions = 5
    go = tmp_path / "go"
    go.touch()
    script = Path(__file__).with_name("partition_writer.py")
    command = [sys.executable, str(script), "1", str(worn.directory), str(extensions), str(go), str(partitions)]
    writer = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    runs = 0
    while writer.poll() is None or not runs:
        maintenance.maintain(worn, now(), KEEP_NONE, grace=dt.timedelta(minutes=10))
        runs += 1
    assert writer.wait(60) == 0
    written = worn.query("SELECT count(*), count(DISTINCT interval_start) FROM core.readings WHERE meter_id LIKE '1-%'")
    assert written.row(0) == (12 * partitions, 12 * partitions)
    assert worn.query("SELECT count(*) FROM core.readings WHERE meter_id LIKE 'M%'").item() == 8 * 40


def test_work_that_was_due_and_is_not_done_is_an_error(worn, monkeypatch):
    with monkeypatch.context() as idle:
        idle.setattr(maintenance, "MANY_FILES", 3)
        idle.setattr(maintenance, "_sum", lambda *_: 0)
        with pytest.raises(maintenance.MaintenanceFailed, match=r"nothing was merged, though core\.readings"):
            maintenance.maintain(worn, now(), KEEP_NONE)
    worn.commit(hour(0, version=3))
    monkeypatch.setattr(maintenance, "_count", lambda *_: 0)
    with pytest.raises(maintenance.MaintenanceFailed, match="snapshots of the past are still there"):
        maintenance.maintain(worn, now(), KEEP_NONE)
