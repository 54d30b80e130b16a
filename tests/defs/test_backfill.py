"""A range in one gesture: a day a run, here or behind the live tick, and what was settled stays."""

from __future__ import annotations

import datetime as dt
import os

import dagster as dg
import pytest
from line_campus import AFTERWARDS, HOUR, START, clock_at, environment_kept

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.defs.jobs import BACKFILL_PRIORITY, PRIORITY
from gridtokenx_pipeline.defs.partitions import CHUNK_HOURS, HOURS, RANGE_END, RANGE_START, ranges
from gridtokenx_pipeline.reprocess import backfill as module
from gridtokenx_pipeline.reprocess.backfill import BackfillFailed, backfill
from gridtokenx_pipeline.stack import dagster as webserver

DAY = dt.datetime(2026, 1, 15, tzinfo=dt.UTC)


@pytest.fixture
def launched(monkeypatch):
    """What a backfill would run, without running it."""
    found = []

    def launch(job, first, last, config):
        found.append((job, first, last, config))
        return f"run-{len(found)}"

    monkeypatch.setattr(module, "_launcher", lambda settings: launch)
    return found


def test_a_month_is_a_run_a_day_in_order(enrolled, launched):
    start, end = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    seen = []
    days = backfill(enrolled.settings, start, end, progress=lambda done, total, what: seen.append((done, total)))
    assert len(days) == len(launched) == 31
    assert all(job == "tick" and last - first == 23 * HOUR and config == {} for job, first, last, config in launched)
    assert [first for _, first, _, _ in launched] == [start + n * dt.timedelta(days=1) for n in range(31)]
    assert seen[0] == (0, 31)
    assert seen[-1] == (31, 31)


def test_hours_and_one_meter_are_what_is_asked_for(enrolled, launched):
    meter = enrolled.meters[2].id
    backfill(enrolled.settings, DAY + 22 * HOUR, DAY + 25 * HOUR, stage="energy", meter=meter)
    config = {"ops": {step: {"config": {"meter": meter}} for step in ("examine_intervals", "aggregate_energy")}}
    assert launched == [
        ("energy", DAY + 22 * HOUR, DAY + 23 * HOUR, config),
        ("energy", DAY + 24 * HOUR, DAY + 24 * HOUR, config),
    ]


def test_a_day_that_fails_ends_it_and_names_itself(enrolled, monkeypatch):
    ran = []

    def launch(job, first, last, config):
        ran.append(first)
        if len(ran) == 2:
            raise BackfillFailed(f"{first:%Y-%m-%d}: broken")
        return "run"

    monkeypatch.setattr(module, "_launcher", lambda settings: launch)
    with pytest.raises(BackfillFailed, match="2026-01-16: broken"):
        backfill(enrolled.settings, DAY, DAY + 72 * HOUR)
    assert len(ran) == 2


def test_energy_is_derived_again_and_what_was_settled_stays(settled, copied):
    campus = copied(settled)
    energy, settled_tables = campus.read(core.ENERGY_5MIN), ("market", "certificates", "settlement", "raw")
    before = campus.hashes(*settled_tables)
    campus.tamper("UPDATE core.energy_5min SET load_wh = load_wh + 1")
    with environment_kept(), clock_at(AFTERWARDS):
        first, hour = START.replace(minute=0) - HOUR, START.replace(minute=0)
        (day,) = backfill(campus.settings, first, hour + HOUR, stage="energy")
        assert ("core.energy_5min", hour) in day.changed
        assert campus.read(core.ENERGY_5MIN).equals(energy)
        assert campus.hashes(*settled_tables) == before
        (again,) = backfill(campus.settings, first, hour + HOUR, stage="energy")
        assert again.changed == []
        with dg.DagsterInstance.get() as instance:
            runs = {run.run_id: run for run in instance.get_runs()}
        assert set(runs) == {day.run_id, again.run_id}
        assert {run.job_name for run in runs.values()} == {"energy"}
        assert runs[day.run_id].tags[RANGE_START] == "2026-01-15-17:00"


def test_while_the_stack_is_up_runs_go_behind_the_tick(enrolled, copied, monkeypatch):
    campus = copied(enrolled)
    state = campus.data / "run" / "stack.json"
    state.parent.mkdir(parents=True)
    state.write_text(f'{{"urls": {{"dagster": "http://127.0.0.1:3999"}}, "services": {{"dagster": {os.getpid()}}}}}')
    asked = []

    def graphql(url, query, variables=None, timeout_s=60):
        asked.append((url, variables["parameters"]))
        return {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": f"run{len(asked)}"}}}

    class Instance:
        def get_run_by_id(self, run_id):
            job = dg.DagsterRunStatus.SUCCESS if run_id == "run1" else dg.DagsterRunStatus.FAILURE
            return dg.DagsterRun(job_name="tick", run_id=run_id, status=job)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(webserver, "graphql", graphql)
    monkeypatch.setattr(dg.DagsterInstance, "get", lambda: Instance())
    with environment_kept(), pytest.raises(BackfillFailed, match="2026-01-16 00:00: run run2 ended as FAILURE"):
        backfill(campus.settings, DAY, DAY + 25 * HOUR, meter=campus.meters[0].id)
    (url, first), (_, second) = asked
    assert url == "http://127.0.0.1:3999"
    assert first["selector"]["jobName"] == "tick"
    assert first["runConfigData"]["ops"]["validate_readings"] == {"config": {"meter": campus.meters[0].id}}
    tags, alone = ({tag["key"]: tag["value"] for tag in asking["executionMetadata"]["tags"]} for asking in (first, second))
    assert (tags[RANGE_START], tags[RANGE_END]) == ("2026-01-15-00:00", "2026-01-15-23:00")
    assert alone["dagster/partition"] == "2026-01-16-00:00"
    assert tags[PRIORITY] == alone[PRIORITY] == BACKFILL_PRIORITY


def test_a_stack_that_is_gone_is_not_asked(enrolled, copied):
    campus = copied(enrolled)
    assert module.live_url(campus.settings) is None
    state = campus.data / "run" / "stack.json"
    state.parent.mkdir(parents=True)
    state.write_text('{"urls": {"dagster": "http://127.0.0.1:3999"}, "services": {"dagster": 4194400}}')
    assert module.live_url(campus.settings) is None


def test_the_tick_goes_before_everything_and_backfills_after(definitions):
    priorities = {job.name: int(job.run_tags.get(PRIORITY, "0")) for job in definitions.resolve_all_job_defs()}
    assert all(priorities["tick"] > priorities[name] > int(BACKFILL_PRIORITY) for name in ("settle", "line", "marts", "energy"))


def test_a_backfill_from_the_user_interface_takes_turns_with_the_tick(definitions):
    """One run of a month would hold the warehouse's pool for minutes."""
    graph = definitions.resolve_asset_graph()
    hourly = [graph.get(k) for k in graph.materializable_asset_keys if graph.get(k).partitions_def == HOURS]
    assert hourly
    assert {node.backfill_policy.max_partitions_per_run for node in hourly} == {CHUNK_HOURS}


def test_consecutive_hours_are_one_run_of_a_day_at_most():
    wanted = [DAY + n * HOUR for n in (*range(30), 40, 42)]
    assert list(ranges(reversed(wanted))) == [
        (DAY, DAY + 23 * HOUR),
        (DAY + 24 * HOUR, DAY + 29 * HOUR),
        (DAY + 40 * HOUR, DAY + 40 * HOUR),
        (DAY + 42 * HOUR, DAY + 42 * HOUR),
    ]
    assert list(ranges([])) == []
