"""Landed messages as meter readings, and how far back they are looked for."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ieee2030_5.resources import DateTimeInterval, MirrorMeterReading, MirrorMeterReadingList, Reading
from ieee2030_5.xml import encode
from ingest_server.landing.history import PastMessage, SqliteHistory
from ingest_server.landing.sqlite import SqliteLandingStore
from ingest_server.landing.store import RawMessage
from ingest_server.mirroring import readings_location
from ingest_server.readback import assemble, meter_reading_id

LFDI = "AA" * 20
MUP = "AB" * 16
NOON = dt.datetime(2026, 6, 21, 12, 30, tzinfo=dt.UTC)
Post = tuple[int, int, int | None, int]

posts = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 12).map(lambda n: n * 900), st.none() | st.integers(0, 2), st.integers(-9, 9)),
    max_size=6,
)


def body_of(rows: list[Post]) -> bytes:
    return encode(
        MirrorMeterReadingList(
            mirror_meter_readings=[
                MirrorMeterReading(
                    mrid=f"{mmr:032X}",
                    reading=Reading(time_period=DateTimeInterval(start=start, duration=900), value=value, local_id=local),
                )
                for mmr, start, local, value in rows
            ]
        )
    )


def shown(bodies: list[bytes]) -> dict[tuple[str, int, int | None], int | None]:
    """The readings of messages in the order they came, by meter reading, start and localID."""
    messages = [PastMessage(n, str(n), "POST", "/mup/1", body) for n, body in enumerate(bodies)]
    found = {}
    for meter in assemble(MUP, reversed(messages)):
        listed = [reading for one in meter.sets for _, reading in one.readings]
        assert [one.period.start for one in meter.sets] == sorted((one.period.start for one in meter.sets), reverse=True)
        for one in meter.sets:
            assert all(one.period.start <= r.time_period.start < one.period.start + 3600 for _, r in one.readings)
            assert [place for place, _ in one.readings] == sorted(place for place, _ in one.readings)
        assert meter.latest.time_period.start == max(r.time_period.start for r in listed)
        found |= {(meter.mrid, r.time_period.start, r.local_id): r.value for r in listed}
        assert len({(r.time_period.start, r.local_id) for r in listed}) == len(listed)
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(posts, max_size=5))
def test_the_last_of_what_is_posted_again_stands_in_whatever_form_it_came(messages: list[list[Post]]) -> None:
    # Within one message a reading is there once: which of two would stand is nobody's to say.
    unique = [list({row[:3]: row for row in rows}.values()) for rows in messages]
    expected = {(f"{mmr:032X}", start, local): value for rows in unique for mmr, start, local, value in rows}
    bodies = [body_of(rows) for rows in unique]
    assert shown(bodies) == expected
    assert shown([body.replace(b"</value>", b"<!-- --></value>") for body in bodies]) == expected


def test_a_message_that_cannot_be_read_any_more_hides_no_other() -> None:
    assert shown([body_of([(1, 0, None, 5)]), b"<MirrorMeterReading", b""]) == {(f"{1:032X}", 0, None): 5}


@pytest.mark.parametrize(
    ("body", "mrid"),
    [
        (encode(MirrorMeterReading(mrid="0A" * 16)), "0A" * 16),
        (encode(MirrorMeterReading(mrid="0A" * 16)).replace(b"0A" * 16, b"ab"), "AB".rjust(32, "0")),
        (body_of([(1, 0, None, 5)]), None),
        (b'<s:MirrorMeterReading xmlns:s="urn:ieee:std:2030.5:ns"><s:mRID>AB</s:mRID></s:MirrorMeterReading>', None),
        (b"", None),
    ],
)
def test_the_location_of_a_post_is_its_meter_reading_or_their_list(body: bytes, mrid: str | None) -> None:
    assert readings_location("0" * 16, body) == f"/upt/{'0' * 16}/mr" + (f"/{meter_reading_id(mrid)}" if mrid else "")


async def land(store: SqliteLandingStore, at: dt.datetime, path: str, body: bytes, lfdi: str = LFDI) -> str:
    return await store.append(RawMessage(at, lfdi, "POST", path, "application/sep+xml", body, "x"))


async def test_history_is_the_newest_of_all_workers_within_its_bounds(tmp_path: Path) -> None:
    history = SqliteHistory(tmp_path / "landing")
    ask = {"since": NOON - dt.timedelta(hours=2), "max_bytes": 10_000}
    assert history.latest(LFDI, ["/mup/1"], limit=9, **ask) == []
    stores = [await asyncio.to_thread(SqliteLandingStore, tmp_path / "landing", worker) for worker in (0, 1)]
    minutes = [-180, -90, -70, -20, 0, 10, 20]
    ids = []
    for n, minute in enumerate(minutes):
        at = NOON + dt.timedelta(minutes=minute)
        ids.append(await land(stores[n % 2], at, "/mup/1", f"{n}".encode() * 100))
        await land(stores[n % 2], at, "/mup/1", b"other device", "BB" * 20)
        await land(stores[n % 2], at, "/mup/2", b"other mirror")
    (tmp_path / "landing" / "20260621T13-w7.sqlite").touch()
    everything = [m.message_id for m in history.latest(LFDI, ["/mup/1"], limit=9, **ask)]
    assert everything == ids[:0:-1]
    assert [m.message_id for m in history.latest(LFDI, ["/mup/1"], limit=3, **ask)] == ids[:3:-1]
    bounded = history.latest(LFDI, ["/mup/1"], limit=9, since=ask["since"], max_bytes=150)
    assert [m.message_id for m in bounded] == ids[:4:-1]
    both = history.latest(LFDI, ["/mup/1", "/mup/2"], limit=1, **ask)
    assert {m.path for m in both} == {"/mup/1", "/mup/2"}
    before = history.marks(LFDI, ["/mup/1"], since=NOON)
    await land(stores[0], NOON, "/mup/2", b"")
    assert history.marks(LFDI, ["/mup/1"], since=NOON) == before
    await land(stores[0], NOON, "/mup/1", b"")
    assert history.marks(LFDI, ["/mup/1"], since=NOON) != before
    for store in stores:
        store.close()
