"""Which hours and days the schedules ask for."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest
from line_campus import Campus, Message

from gridtokenx_pipeline.defs import watermarks
from gridtokenx_pipeline.defs.partitions import RANGE_END, RANGE_START

DAY = dt.datetime(2026, 1, 20, tzinfo=dt.UTC)


def at(hour: int, minute: int) -> dt.datetime:
    return DAY.replace(hour=hour, minute=minute)


@pytest.fixture
def tick(enrolled, tmp_path):
    campus = enrolled.copy(tmp_path / "data")

    def evaluate(schedule: str, now: dt.datetime) -> dg.RunRequest:
        repository = campus.definitions.get_repository_def()
        definition = repository.get_schedule_def(schedule)
        with dg.build_schedule_context(
            instance=campus.instance,
            scheduled_execution_time=now,
            resources={"stores": campus.stores()},
            repository_def=repository,
        ) as context:
            (request,) = definition.evaluate_tick(context).run_requests
        return request

    evaluate.campus = campus
    return evaluate


def hours(request: dg.RunRequest) -> tuple[str, str]:
    if request.partition_key is not None:
        assert RANGE_START not in request.tags
        return request.partition_key, request.partition_key
    return request.tags[RANGE_START], request.tags[RANGE_END]


def read_until(campus: Campus, moment: dt.datetime) -> None:
    with campus.writer() as warehouse:
        warehouse.commit(watermarks.advance(campus.settings.zone, watermarks.READINGS, None, moment, gap=False))


@pytest.mark.parametrize(
    ("now", "reached", "first", "last"),
    [
        pytest.param((12, 35), (12, 29), "12", "12", id="in the hour"),
        pytest.param((12, 5), (11, 59), "11", "12", id="just after the hour"),
        pytest.param((12, 10), (12, 4), "12", "12", id="ten minutes after the hour"),
        pytest.param((12, 35), (11, 59), "11", "12", id="a run was missed"),
        pytest.param((12, 35), (4, 40), "04", "12", id="after an outage"),
        pytest.param((0, 0), None, "23", "00", id="at midnight, fresh"),
    ],
)
def test_the_tick_reads_from_where_the_last_run_stopped(tick, now, reached, first, last):
    if reached:
        read_until(tick.campus, at(*reached))
    request = tick("every_five_minutes", at(*now))
    day_before = DAY - dt.timedelta(days=1)
    assert hours(request) == (f"{day_before if first > last else DAY:%Y-%m-%d}-{first}:00", f"{DAY:%Y-%m-%d}-{last}:00")
    assert request.run_key == f"tick-20260120T{now[0]:02}{now[1]:02}"


def test_a_fresh_data_directory_is_read_from_its_oldest_segment(tick, enrolled):
    tick.campus.land([Message(enrolled.meters[0], at(3, 30), b"<a/>"), Message(enrolled.meters[0], at(9, 0), b"<a/>")])
    assert hours(tick("every_five_minutes", at(12, 35))) == ("2026-01-20-03:00", "2026-01-20-12:00")


def test_at_most_a_week_is_caught_up(tick):
    read_until(tick.campus, DAY - dt.timedelta(days=12))
    assert hours(tick("every_five_minutes", at(12, 35))) == ("2026-01-13-12:00", "2026-01-20-12:00")


@pytest.mark.parametrize(("now", "partition"), [((12, 15), "2026-01-20-11:00"), ((0, 15), "2026-01-19-23:00")])
def test_the_hour_close_runs_the_past_hour(tick, now, partition):
    request = tick("hour_close", at(*now))
    assert request.partition_key == partition
    assert request.run_key == f"close-{partition}"


@pytest.mark.parametrize(("now", "first"), [((12, 8), "2026-01-20"), ((0, 53), "2026-01-19"), ((1, 8), "2026-01-20")])
def test_the_marts_build_today_and_in_the_first_hour_yesterday(tick, now, first):
    assert hours(tick("marts_every_quarter_hour", at(*now))) == (first, "2026-01-20")
