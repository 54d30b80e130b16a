"""What retention removes, and what it leaves."""

from __future__ import annotations

import datetime as dt

import pytest
from private_campus import DAY, DOCUMENTS, FIRST, KEPT, NOW

from gridtokenx_pipeline.config import Retention
from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.privacy import retention

# Midnight before the last of the campus's three hours.
MIDNIGHT = (FIRST + DAY).replace(hour=0)
# That midnight is so many days before the day of NOW plus this.
LATER = NOW + DAY


def settings_with(campus, **days: int):
    return campus.settings.model_copy(update={"retention": Retention(**days)})


def counts(campus) -> dict[str, int]:
    tables = (core.READINGS, core.ENERGY_15S, core.REJECTED_READINGS, core.MESSAGE_OUTCOMES, *DOCUMENTS)
    found = {table.full_name: campus.query(f"SELECT count(*) FROM {table.full_name}").item() for table in tables}
    return found | {"bodies": campus.query("SELECT count(*) FROM raw.messages WHERE octet_length(body) > 0").item()}


def test_nothing_is_removed_until_the_configuration_says_so(campus):
    with campus.lake() as lake:
        rules = retention.apply(campus.settings, lake, NOW + 10_000 * DAY)
        last = lake.query("SELECT max(snapshot_id) FROM lake.snapshots()").item()
    assert [(rule.setting, rule.days, rule.before, rule.rows) for rule in rules] == [
        (name, 0, None, 0)
        for name in ("raw_days", "readings_days", "telemetry_days", "rejected_days", "landing_days", "runs_days")
    ]
    assert last == campus.query("SELECT max(snapshot_id) FROM lake.snapshots()").item()


@pytest.mark.parametrize(
    ("setting", "gone"),
    [
        ("raw_days", {"bodies": 12}),
        ("readings_days", {"core.readings": 12, "core.energy_15s": 12}),
        ("telemetry_days", {table.full_name: 12 for table in DOCUMENTS}),
        ("rejected_days", {"core.rejected_readings": 12}),
    ],
)
def test_a_rule_removes_what_is_older_and_says_so_before(campus, setting, gone):
    settings, before, kept = settings_with(campus, **{setting: 1}), counts(campus), campus.hashes(*KEPT[1:])
    kept.pop("core.energy_15s", None)
    with campus.lake() as lake:
        planned = {rule.setting: rule for rule in retention.plan(settings, lake, LATER)}[setting]
        assert (planned.before, planned.rows) == (MIDNIGHT, sum(gone.values()))
        assert counts(campus) == before
        done = {rule.setting: rule.rows for rule in retention.apply(settings, lake, LATER)}
        assert done[setting] == planned.rows
        assert sum(rule.rows for rule in retention.apply(settings, lake, LATER)) == 0
    after = counts(campus)
    assert {name: before[name] - after[name] for name in before if before[name] != after[name]} == gone
    left = campus.hashes(*KEPT[1:])
    left.pop("core.energy_15s", None)
    assert left == kept


def test_days_whose_readings_went_are_told(campus):
    assert retention.kept_from(settings_with(campus, readings_days=1), LATER) == MIDNIGHT
    assert retention.kept_from(campus.settings, LATER) is None


def test_segments_go_when_they_are_loaded_whole_and_never_the_last(campus):
    settings = settings_with(campus, landing_days=1)
    names = lambda: sorted(path.name for path in campus.settings.landing_dir.glob("*.sqlite"))  # noqa: E731
    first, second, last = names()
    with campus.lake() as lake:
        # Of the first segment a message was not loaded.
        lake.connect().execute("DELETE FROM raw.messages WHERE segment = ? AND sequence = 2", [first.removesuffix(".sqlite")])
        far = NOW + dt.timedelta(days=30)
        assert retention.plan(settings, lake, far)[4].rows == 1
        assert names() == [first, second, last]
        assert retention.apply(settings, lake, far)[4].rows == 1
    assert names() == [first, last]


def test_runs_of_ticks_go_and_others_stay(campus):
    import dagster as dg

    with dg.DagsterInstance.ephemeral() as instance, campus.lake() as lake:
        for name in ("tick", "line"):
            job = dg.GraphDefinition(name=name, node_defs=[]).to_job()
            assert job.execute_in_process(instance=instance).success
        settings = settings_with(campus, runs_days=1)
        # Runs carry the real time.
        far = dt.datetime.now(dt.UTC) + 10 * DAY
        assert retention.plan(settings, lake, far, instance)[5].rows == 1
        assert retention.apply(settings, lake, far, instance)[5].rows == 1
        assert [run.job_name for run in instance.get_runs()] == ["line"]
