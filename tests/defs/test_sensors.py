"""Which hours the sensors ask for, and that they ask once."""

from __future__ import annotations

import datetime as dt
import json

import dagster as dg
import polars as pl
import pytest
from line_campus import AFTERWARDS, HOUR, START, Campus, clock_at, reading_messages

from gridtokenx_pipeline.contracts import core, raw
from gridtokenx_pipeline.defs.partitions import RANGE_END, RANGE_START
from gridtokenx_pipeline.defs.sensors import HOURS_AT_ONCE
from gridtokenx_pipeline.warehouse import Append

EVENING = START.replace(hour=20, minute=0)


def look(campus: Campus, name: str, cursor: str | None = None, now: dt.datetime = AFTERWARDS):
    """Evaluate a sensor once: what it asks for (job and hours), its cursor, and why it skips."""
    repository = campus.definitions.get_repository_def()
    with (
        clock_at(now),
        dg.build_sensor_context(
            instance=campus.instance, cursor=cursor, resources={"stores": campus.stores()}, repository_def=repository
        ) as context,
    ):
        ticked = repository.get_sensor_def(name).evaluate_tick(context)
    asked = [(request.job_name, *hours(request), request.run_key) for request in ticked.run_requests]
    return asked, ticked.cursor or cursor, ticked.skip_message


def hours(request: dg.RunRequest) -> tuple[str, str]:
    if request.partition_key is not None:
        return request.partition_key, request.partition_key
    return request.tags[RANGE_START], request.tags[RANGE_END]


def places(asked) -> list[tuple[str, str]]:
    return [(first[-5:-3], last[-5:-3]) for _, first, last, _ in asked]


def readings(campus: Campus, *rows: tuple[dt.datetime, dt.datetime]) -> None:
    """Add readings of the first meter's generation: start of the interval, moment of receipt."""
    (template,) = campus.read(core.READINGS).filter(pl.col("channel") == "generation").sort("meter_id").head(1).to_dicts()
    added = [
        template | {"interval_start": start, "received_at": received, "message_id": f"m{i}"}
        for i, (start, received) in enumerate(rows)
    ]
    frame = core.READINGS.conform(pl.DataFrame(added, schema=core.READINGS.frame_schema()))
    with campus.writer() as warehouse:
        warehouse.commit(Append(core.READINGS, frame))


@pytest.fixture
def caught_up(taken_in, copied):
    """The campus after its intake, and the cursor of a sensor that has seen it."""
    campus = copied(taken_in)
    asked, cursor, skipped = look(campus, "late_readings")
    assert (asked, skipped) == ([], "no late readings")
    return campus, cursor


def test_only_what_the_tick_did_not_cover_is_late(caught_up):
    """The tick covers the current hour and, for ten minutes, the one before it."""
    campus, cursor = caught_up
    received = EVENING + dt.timedelta(minutes=5)
    minutes = (1, 6, 66, 126)
    readings(campus, *((received - dt.timedelta(minutes=m), received) for m in minutes))
    asked, cursor, _ = look(campus, "late_readings", cursor)
    # 20:04 and 19:59 are the tick's; 18:59 and 17:59 are not, nor are the hours between readings.
    assert places(asked) == [("17", "18")]
    assert look(campus, "late_readings", cursor)[0] == []


def test_a_reading_of_the_previous_hour_that_comes_after_the_tick_left_it_is_late(caught_up):
    campus, cursor = caught_up
    readings(campus, (EVENING - dt.timedelta(minutes=5), EVENING + dt.timedelta(minutes=31)))
    asked, _, _ = look(campus, "late_readings", cursor)
    assert ("18", "19") in places(asked) or ("19", "19") in places(asked)


def test_a_reading_that_closes_a_gap_asks_for_the_hours_of_the_gap(caught_up):
    campus, cursor = caught_up
    # The last reading before is of 18:39:45; the meter is heard again on time, hours later.
    again = START.replace(hour=22, minute=30)
    readings(campus, (again, again + dt.timedelta(seconds=16)))
    asked, _, _ = look(campus, "late_readings", cursor)
    assert places(asked) == [("18", "21")]


def test_a_late_reading_within_a_gap_asks_for_both_of_its_sides(caught_up):
    campus, cursor = caught_up
    again = START.replace(hour=23, minute=30)
    readings(campus, (again, again + dt.timedelta(seconds=16)))
    _, cursor, _ = look(campus, "late_readings", cursor)
    readings(campus, (START.replace(hour=20), again + dt.timedelta(minutes=1)))
    asked, _, _ = look(campus, "late_readings", cursor)
    assert places(asked) == [("18", "22")]


def test_an_edit_asks_for_its_hour_once(caught_up):
    campus, cursor = caught_up
    at = START + HOUR * 5
    edit = {"edit_id": "e", "zone": "z", "meter_id": campus.meters[0].id, "channel": "load", "interval_start": START}
    edit |= {"duration_s": 15, "action": "accept", "edited_by": "a", "reason": "b", "edited_at": at}
    frame = pl.DataFrame([edit], schema=core.EDITS.frame_schema())
    with campus.writer() as warehouse:
        warehouse.commit(Append(core.EDITS, frame))
    asked, cursor, _ = look(campus, "late_readings", cursor)
    assert [a[:3] for a in asked] == [("settle", "2026-01-15-18:00", "2026-01-15-18:00")]
    assert json.loads(cursor)["edited"] == at.isoformat()
    assert look(campus, "late_readings", cursor)[0] == []


def test_many_hours_are_asked_for_in_turns_and_none_is_lost(caught_up):
    campus, cursor = caught_up
    day = START.replace(hour=0, minute=0) - dt.timedelta(days=5)
    received = START + HOUR * 2
    # Each received a second after the other; the gaps between them are asked for along with them.
    wanted = [day + 2 * n * HOUR for n in range(HOURS_AT_ONCE + 7)]
    readings(campus, *((hour, received + dt.timedelta(seconds=i)) for i, hour in enumerate(wanted)))
    seen: set[str] = set()
    rounds = 0
    while True:
        asked, cursor, skipped = look(campus, "late_readings", cursor)
        if skipped:
            break
        rounds += 1
        for _, first, last, _ in asked:
            moment = dt.datetime.strptime(first, "%Y-%m-%d-%H:%M")
            while f"{moment:%Y-%m-%d-%H:%M}" <= last:
                seen.add(f"{moment:%Y-%m-%d-%H:%M}")
                moment += HOUR
    assert {f"{hour:%Y-%m-%d-%H:00}" for hour in wanted} <= seen
    assert rounds == 2


@pytest.mark.parametrize("cursor", ["2026-01-15T18:41:00+00:00", "nonsense", "[1]", "{}"])
def test_a_cursor_of_an_earlier_version_or_none_at_all_is_taken(caught_up, cursor):
    campus, _ = caught_up
    asked, cursor, skipped = look(campus, "late_readings", cursor)
    assert (asked, skipped) == ([], "no late readings")
    assert json.loads(cursor)["received"] >= "2026-01-15T18:40"


@pytest.mark.parametrize("name", ["late_readings", "late_types"])
def test_without_a_warehouse_a_sensor_skips(enrolled, name):
    asked, _, skipped = look(enrolled, name)
    assert asked == []
    assert "no warehouse" in skipped


def test_segments_are_asked_for_where_the_schedule_is_off_and_their_late_readings_follow(landed, copied):
    campus = copied(landed)
    asked, cursor, _ = look(campus, "new_segments")
    assert [a[:3] for a in asked] == [("line", "2026-01-15-18:00", "2026-01-15-18:00")]
    again, cursor, _ = look(campus, "new_segments", cursor)
    assert [a[3] for a in again] == [a[3] for a in asked], "asked again with the same key, which makes no other run"
    # Read at last; some of its readings are of another hour.
    run = campus.run("intake")
    assert run.success, run.failed_steps
    received = START + dt.timedelta(minutes=5)
    readings(campus, (START - HOUR * 4, received))
    asked, cursor, _ = look(campus, "new_segments", cursor)
    assert [a[:3] for a in asked] == [("settle", "2026-01-15-14:00", "2026-01-15-14:00")]
    asked, cursor, skipped = look(campus, "new_segments", cursor)
    assert (asked, skipped) == ([], "every segment is read, or left to the tick")
    # A message that comes later makes the hour one to ask for again.
    campus.land(reading_messages(campus.meters[0])[:1])
    asked, _, _ = look(campus, "new_segments", cursor)
    assert places(asked) == [("18", "18")]


def test_readings_refused_for_want_of_a_type_are_asked_for_when_it_has_come(taken_in, copied):
    campus = copied(taken_in)
    message = campus.read(raw.MESSAGES).row(-1, named=True)
    known = campus.read(core.READING_TYPES).row(0, named=True)
    mrid = "0" * 31 + "A"
    refused = {
        "message_id": message["message_id"], "zone": "z", "meter_id": message["meter_id"], "interval_start": START - HOUR * 6,
        "reason": "reading_type_unknown", "detail": "", "mmr_mrid": mrid, "position": 99, "parts": 1,
        "received_at": message["received_at"],
    }  # fmt: skip
    with campus.writer() as warehouse:
        warehouse.commit(Append(core.REJECTED_READINGS, pl.DataFrame([refused], schema=core.REJECTED_READINGS.frame_schema())))
    assert look(campus, "late_types")[2] == "no reading waits for its type"
    came = known | {
        "device_lfdi": message["device_lfdi"], "mmr_mrid": mrid, "message_id": "x",
        "received_at": message["received_at"] + dt.timedelta(minutes=5),
    }  # fmt: skip
    with campus.writer() as warehouse:
        warehouse.commit(Append(core.READING_TYPES, pl.DataFrame([came], schema=core.READING_TYPES.frame_schema())))
    asked, cursor, _ = look(campus, "late_types")
    assert [a[:3] for a in asked] == [("intake", "2026-01-15-18:00", "2026-01-15-18:00")]
    again, cursor, _ = look(campus, "late_types", cursor)
    assert [a[3] for a in again] == [a[3] for a in asked]
    campus.tamper("DELETE FROM core.rejected_readings WHERE position = 99")
    asked, cursor, _ = look(campus, "late_types", cursor)
    assert [a[:3] for a in asked] == [("settle", "2026-01-15-12:00", "2026-01-15-12:00")]
    assert look(campus, "late_types", cursor)[2] == "no reading waits for its type"


def states(campus: Campus, now: dt.datetime) -> dict[str, str]:
    repository = campus.definitions.get_repository_def()
    with (
        clock_at(now),
        dg.build_sensor_context(
            instance=campus.instance, resources={"stores": campus.stores()}, repository_def=repository
        ) as context,
    ):
        ticked = repository.get_sensor_def("freshness").evaluate_tick(context)
    assert {e.passed for e in ticked.asset_events if e.metadata["state"].value == "late"} <= {False}
    return {e.check_name.removesuffix("_fresh"): e.metadata["state"].value for e in ticked.asset_events}


def test_late_is_told_from_stopped_and_fresh(enrolled, landed, settled):
    keeping_up = {"landing_is": "fresh", "readings_are": "fresh", "energy_is": "fresh", "marts_are": "fresh"}
    # Meters have posted for ten minutes only: the marts have an hour.
    assert states(settled, AFTERWARDS) == keeping_up
    stopped = dict.fromkeys(keeping_up, "stopped")
    assert states(settled, AFTERWARDS + HOUR * 3) == stopped
    assert states(enrolled, AFTERWARDS) == stopped
    # Landed and never loaded.
    assert states(landed, AFTERWARDS)["landing_is"] == "late"


def test_energy_that_stays_behind_the_messages_is_late(taken_in, copied):
    campus = copied(taken_in)
    # The meters post on, but energy has never been made.
    body = campus.read(raw.MESSAGES).row(-1, named=True)
    later = body | {"message_id": "later", "received_at": START + dt.timedelta(minutes=35), "segment": "s", "sequence": 1}
    with campus.writer() as warehouse:
        warehouse.commit(Append(raw.MESSAGES, pl.DataFrame([later], schema=raw.MESSAGES.frame_schema())))
    found = states(campus, START + dt.timedelta(minutes=36))
    assert found["energy_is"] == "late"
    assert found["readings_are"] == "fresh"
    assert states(campus, START + dt.timedelta(minutes=47))["readings_are"] == "late"
