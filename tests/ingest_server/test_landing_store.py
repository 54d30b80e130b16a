from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import os
import sqlite3
import sys
import tempfile
from asyncio.subprocess import PIPE
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_server.landing.sqlite import SqliteLandingReader, SqliteLandingStore
from ingest_server.landing.store import LandingReader, LandingStore, LandingUnavailable, RawMessage, SegmentDamaged, SegmentInUse

NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
ROOT = Path(__file__).parents[2]


def message(n: int = 0, at: dt.datetime = NOON) -> RawMessage:
    body = f"<body>{n}</body>".encode()
    return RawMessage(
        at, "AB" * 20, "POST", "/mup", "application/sep+xml", body, hashlib.sha256(body).hexdigest(), "sep2", "M", "z"
    )


async def test_appended_message_is_read_back_unchanged(tmp_path: Path) -> None:
    store = SqliteLandingStore(tmp_path, worker=3)
    received = NOON + dt.timedelta(minutes=5, microseconds=123456)
    sent = message(7, received)
    message_id = await store.append(sent)
    store.close()
    reader = SqliteLandingReader(tmp_path)
    assert isinstance(store, LandingStore)
    assert isinstance(reader, LandingReader)
    (segment,) = reader.segments()
    assert (segment.name, segment.hour) == ("20260301T12-w3", NOON)
    (read,) = reader.read(segment)
    assert read.message_id == message_id == "20260301T12-w3-000000001"
    assert read.sequence == 1
    assert {name: getattr(read, name) for name in RawMessage.__slots__} == {
        name: getattr(sent, name) for name in RawMessage.__slots__
    }


async def test_concurrent_appends_share_commits_and_keep_order(tmp_path: Path) -> None:
    store = SqliteLandingStore(tmp_path, max_wait_s=0.05, max_group=64)
    ids = await asyncio.gather(*(store.append(message(n)) for n in range(200)))
    store.close()
    reader = SqliteLandingReader(tmp_path)
    read = reader.read("20260301T12-w0")
    assert [m.message_id for m in read] == list(ids)
    assert [m.sequence for m in read] == list(range(1, 201))
    assert [m.body for m in read] == [message(n).body for n in range(200)]


async def test_reader_pages_by_high_water_mark_while_the_writer_is_active(tmp_path: Path) -> None:
    store = SqliteLandingStore(tmp_path)
    reader = SqliteLandingReader(tmp_path)
    assert reader.segments() == []
    seen: list[int] = []
    for batch in range(5):
        acknowledged = await asyncio.gather(*(store.append(message(batch * 10 + n)) for n in range(10)))
        while page := reader.read("20260301T12-w0", after=len(seen), limit=4):
            seen += [m.sequence for m in page]
        # What was acknowledged is there for a reader at once.
        assert len(seen) == (batch + 1) * len(acknowledged)
    store.close()
    assert seen == list(range(1, 51))


async def test_restart_continues_the_segment(tmp_path: Path) -> None:
    for expected in ("20260301T12-w0-000000001", "20260301T12-w0-000000002"):
        store = SqliteLandingStore(tmp_path)
        assert await store.append(message()) == expected
        store.close()


async def test_hours_and_workers_have_their_own_segments(tmp_path: Path) -> None:
    stores = [SqliteLandingStore(tmp_path, worker) for worker in (0, 1)]
    later = NOON + dt.timedelta(hours=1)
    await asyncio.gather(*(store.append(message(at=at)) for at in (NOON, later) for store in stores))
    for store in stores:
        store.close()
    segments = SqliteLandingReader(tmp_path).segments()
    assert [s.name for s in segments] == ["20260301T12-w0", "20260301T12-w1", "20260301T13-w0", "20260301T13-w1"]
    assert [s.hour for s in segments] == [NOON, NOON, later, later]


async def test_a_clock_that_steps_back_does_not_reopen_an_hour(tmp_path: Path) -> None:
    later = NOON + dt.timedelta(hours=1)
    store = SqliteLandingStore(tmp_path)
    await store.append(message(at=later))
    assert (await store.append(message(at=NOON))).startswith("20260301T13-w0")
    store.close()
    # Nor does a restart with a clock behind the store.
    store = SqliteLandingStore(tmp_path)
    assert await store.append(message(at=NOON)) == "20260301T13-w0-000000003"
    store.close()
    assert [m.received_at for m in SqliteLandingReader(tmp_path).read("20260301T13-w0")] == [later] * 3


async def test_second_writer_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from ingest_server.landing.sqlite import SqliteLandingStore;"
        "s = SqliteLandingStore(Path(sys.argv[1])); print('open', flush=True); time.sleep(60)"
    )
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(tmp_path), cwd=ROOT, stdout=PIPE)
    try:
        assert await other.stdout.readline() == b"open\n"
        with pytest.raises(SegmentInUse, match="worker 0"):
            SqliteLandingStore(tmp_path)
        SqliteLandingStore(tmp_path, worker=1).close()
    finally:
        other.kill()
        await other.wait()
    SqliteLandingStore(tmp_path, lock_wait_s=5).close()


async def test_failed_commit_raises_keeps_nothing_and_leaves_no_gap(tmp_path: Path) -> None:
    store = SqliteLandingStore(tmp_path)
    await store.append(message(1))
    path = tmp_path / "20260301T12-w0.sqlite"
    with sqlite3.connect(path) as other:
        other.execute(
            "CREATE TRIGGER full BEFORE INSERT ON messages WHEN NEW.body = x'66756c6c' BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    other.close()
    poison = RawMessage(NOON, "AB" * 20, "POST", "/mup", "x", b"full", "")
    with pytest.raises(LandingUnavailable, match="disk full"):
        await store.append(poison)
    # The store recovers by itself.
    assert await store.append(message(2)) == "20260301T12-w0-000000002"
    store.close()
    assert [m.body for m in SqliteLandingReader(tmp_path).read("20260301T12-w0")] == [message(1).body, message(2).body]


async def test_message_that_cannot_be_stored_does_not_end_the_store(tmp_path: Path) -> None:
    store = SqliteLandingStore(tmp_path)
    # A lone surrogate is what a header byte that is not UTF-8 becomes.
    for poison in (replace(message(1), content_type="a\udcff"), replace(message(1), body_sha256=object())):
        with pytest.raises(LandingUnavailable):
            await asyncio.wait_for(store.append(poison), 10)
    assert await asyncio.wait_for(store.append(message(2)), 10) == "20260301T12-w0-000000001"
    store.close()


async def test_groups_above_what_a_statement_can_bind_are_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    commit = SqliteLandingStore._commit
    monkeypatch.setattr(SqliteLandingStore, "_commit", lambda s, name, group: (sizes.append(len(group)), commit(s, name, group)))
    store = SqliteLandingStore(tmp_path, max_group=100_000, max_wait_s=0.5)
    ids = await asyncio.gather(*(store.append(message(n)) for n in range(3500)))
    store.close()
    read = SqliteLandingReader(tmp_path).read("20260301T12-w0")
    assert [m.message_id for m in read] == list(ids)
    assert [m.body for m in read] == [message(n).body for n in range(3500)]
    # 32,766 values is the limit of SQLite as distributed, and a message has ten.
    assert max(sizes) * 10 <= 32_766


async def test_segment_that_cannot_be_opened_is_reported_and_recovered_from(tmp_path: Path) -> None:
    store = SqliteLandingStore(tmp_path)
    await store.append(message())
    (tmp_path / "20260301T13-w0.sqlite").mkdir()
    with pytest.raises(LandingUnavailable):
        await store.append(message(at=NOON + dt.timedelta(hours=1)))
    (tmp_path / "20260301T13-w0.sqlite").rmdir()
    assert await store.append(message(at=NOON + dt.timedelta(hours=1))) == "20260301T13-w0-000000001"
    store.close()


async def test_closed_store_refuses_and_close_commits_what_waits(tmp_path: Path) -> None:
    store = SqliteLandingStore(tmp_path, max_wait_s=5)
    waiting = asyncio.create_task(store.append(message()))
    await asyncio.sleep(0)
    await asyncio.to_thread(store.close)
    assert await waiting == "20260301T12-w0-000000001"
    with pytest.raises(LandingUnavailable):
        await store.append(message())
    store.close()


async def test_killed_writer_loses_nothing_acknowledged_and_continues(tmp_path: Path) -> None:
    code = f"""
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_landing_store import message
from ingest_server.landing.sqlite import SqliteLandingStore

async def main():
    store = SqliteLandingStore(Path(sys.argv[1]))
    async def one(k):
        for n in range(100000):
            message_id = await store.append(message(k * 100000 + n))
            print(message_id, k * 100000 + n, flush=True)
    await asyncio.gather(*(one(k) for k in range(4)))

asyncio.run(main())
"""
    writer = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(tmp_path), cwd=ROOT, stdout=PIPE)
    acknowledged = {}
    while len(acknowledged) < 300:
        message_id, n = (await writer.stdout.readline()).decode().split()
        acknowledged[message_id] = int(n)
    writer.kill()
    rest = (await writer.stdout.read()).decode()
    await writer.wait()
    acknowledged |= {line.split()[0]: int(line.split()[1]) for line in rest.splitlines()[:-1]}
    reader = SqliteLandingReader(tmp_path)
    read = {m.message_id: m for m in reader.read("20260301T12-w0")}
    assert {i: read[i].body for i in acknowledged} == {i: message(n).body for i, n in acknowledged.items()}
    assert sorted(m.sequence for m in read.values()) == list(range(1, len(read) + 1))
    store = SqliteLandingStore(tmp_path)
    assert await store.append(message()) == f"20260301T12-w0-{len(read) + 1:09d}"
    store.close()


def test_reader_names_what_is_not_there(tmp_path: Path) -> None:
    reader = SqliteLandingReader(tmp_path)
    with pytest.raises(FileNotFoundError):
        reader.read("20260301T12-w0")
    with pytest.raises(ValueError, match="not a landing segment"):
        reader.read("../operational")
    # A writer killed while it made the file.
    (tmp_path / "20260301T12-w0.sqlite").touch()
    assert reader.read(reader.segments()[0]) == []


async def test_naive_receipt_time_is_refused(tmp_path: Path) -> None:
    store = SqliteLandingStore(tmp_path)
    with pytest.raises(ValueError, match="aware"):
        await store.append(message(at=dt.datetime(2026, 3, 1)))
    store.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-4 * 3600, 4 * 3600), min_size=1, max_size=30), st.integers(1, 5))
async def test_whatever_the_clock_does_the_invariants_of_a_reader_hold(seconds: list[int], group: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = SqliteLandingStore(Path(directory), max_group=group)
        times = [NOON + dt.timedelta(seconds=s) for s in seconds]
        ids = await asyncio.gather(*(store.append(message(n, at)) for n, at in enumerate(times)))
        store.close()
        reader = SqliteLandingReader(Path(directory))
        read = [(segment, m) for segment in reader.segments() for m in reader.read(segment)]
    # Segment order is receipt order, so the high-water mark of a segment never misses a message.
    assert [m.message_id for _, m in read] == list(ids)
    assert [m.body for _, m in read] == [message(n).body for n in range(len(times))]
    assert all(segment.hour <= m.received_at < segment.hour + dt.timedelta(hours=1) for segment, m in read)
    for name in {segment.name for segment, _ in read}:
        own = [m.sequence for segment, m in read if segment.name == name]
        assert own == list(range(1, len(own) + 1))


OLD_SCHEMA = """
CREATE TABLE messages (sequence INTEGER PRIMARY KEY AUTOINCREMENT, received_at_us INTEGER NOT NULL, device_lfdi TEXT NOT NULL,
method TEXT NOT NULL, path TEXT NOT NULL, content_type TEXT NOT NULL, body BLOB NOT NULL, body_sha256 TEXT NOT NULL,
source TEXT NOT NULL, meter_id TEXT NOT NULL, zone TEXT NOT NULL)
"""


async def test_segment_of_an_earlier_version_is_read_and_continued(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "20260301T12-w0.sqlite") as old:
        old.execute(OLD_SCHEMA)
        old.execute(
            "INSERT INTO messages VALUES (1, ?, ?, 'POST', '/mup', 'x', x'00', '', 'sep2', 'M', 'z')",
            (int(NOON.timestamp() * 1e6), "AB" * 20),
        )
    old.close()
    reader = SqliteLandingReader(tmp_path)
    (before,) = reader.read("20260301T12-w0")
    assert (before.received_at, before.body, before.zone, before.sender_lfdi) == (NOON, b"\x00", "z", "")
    for _ in range(2):
        store = SqliteLandingStore(tmp_path)
        await store.append(replace(message(), sender_lfdi="CD" * 20))
        store.close()
    read = reader.read("20260301T12-w0")
    assert [(m.sequence, m.sender_lfdi) for m in read] == [(1, ""), (2, "CD" * 20), (3, "CD" * 20)]
    assert read[0] == before


async def test_what_a_device_posted_is_found_by_an_index(tmp_path: Path) -> None:
    store = SqliteLandingStore(tmp_path)
    await store.append(message())
    store.close()
    with sqlite3.connect(tmp_path / "20260301T12-w0.sqlite") as segment:
        query = "SELECT body FROM messages WHERE device_lfdi = 'A' AND path = '/mup' ORDER BY sequence DESC LIMIT 5"
        (plan,) = segment.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
    segment.close()
    assert "USING INDEX" in plan[3]


async def test_what_a_turn_of_the_loop_appends_is_one_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    commit = SqliteLandingStore._commit
    monkeypatch.setattr(SqliteLandingStore, "_commit", lambda s, name, group: (sizes.append(len(group)), commit(s, name, group)))
    store = SqliteLandingStore(tmp_path)
    await asyncio.gather(*(store.append(message(n)) for n in range(100)))
    store.close()
    assert sizes == [100]


async def test_close_commits_what_its_turn_has_not_handed_over(tmp_path: Path) -> None:
    store = SqliteLandingStore(tmp_path)
    waiting = [asyncio.ensure_future(store.append(message(n))) for n in range(3)]
    # After they are appended, before the loop comes round to handing them over.
    asyncio.get_running_loop().call_soon(store.close)
    assert await asyncio.gather(*waiting) == [f"20260301T12-w0-{n:09d}" for n in (1, 2, 3)]
    assert [m.body for m in SqliteLandingReader(tmp_path).read("20260301T12-w0")] == [message(n).body for n in range(3)]


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    """A closed segment of 400 messages."""

    async def land() -> None:
        store = SqliteLandingStore(tmp_path)
        await asyncio.gather(*(store.append(message(n)) for n in range(400)))
        store.close()

    asyncio.run(land())
    return tmp_path / "20260301T12-w0.sqlite"


def test_what_is_left_of_a_truncated_segment_is_read(segment: Path) -> None:
    reader = SqliteLandingReader(segment.parent)
    assert reader.damage("20260301T12-w0") is None
    os.truncate(segment, segment.stat().st_size // 2)
    left: list[int] = []

    def read_on() -> None:
        while page := reader.read("20260301T12-w0", after=left[-1] if left else 0, limit=100):
            assert [m.body for m in page] == [message(m.sequence - 1).body for m in page]
            left.extend(m.sequence for m in page)

    with pytest.raises(SegmentDamaged, match="20260301T12-w0"):
        read_on()
    assert 100 < len(left) < 400
    assert left == sorted(set(left))
    assert "20260301T12-w0" in (reader.damage("20260301T12-w0") or "")


def test_a_segment_that_is_no_database_is_damaged(segment: Path) -> None:
    segment.write_bytes(b"not a database" * 1000)
    reader = SqliteLandingReader(segment.parent)
    with pytest.raises(SegmentDamaged):
        reader.read("20260301T12-w0")
    assert reader.damage("20260301T12-w0")
