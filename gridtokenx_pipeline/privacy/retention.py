"""How long detail is kept (`[retention]` of the configuration), and removing what is older.

Energy of 5 minutes and longer, trades, certificates, settlement and receipts are always kept; so are ids and hashes of messages.
Each rule is looked at before it is applied: `plan` says what would go, `apply` makes it go. What is gone from the present state
stays in the lake's history until maintenance expires it.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gridtokenx_pipeline.config import Settings
from gridtokenx_pipeline.contracts import Table, core, raw
from gridtokenx_pipeline.warehouse import Warehouse
from gridtokenx_pipeline.warehouse.maintenance import change

from .removed import REMOVED

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from ingest_server.landing.store import Segment

DOCUMENTS: tuple[Table, ...] = (core.TELEMETRY, core.DER_DOCUMENTS, core.FLOW_RESERVATIONS, core.RESPONSES, core.LOG_EVENTS)
_RUN_BATCH = 500
# Runs of this job repeat what runs of others say: every hour is run once more after its close.
_TICK = "tick"


@dataclass(frozen=True)
class Rule:
    """What one setting of `[retention]` says now. `rows` are rows, messages, segments or runs that are older than `before`.

    `days` 0 is for ever: then `before` is None and nothing is older.
    """

    setting: str
    what: str
    days: int
    before: dt.datetime | None
    rows: int


def kept_from(settings: Settings, now: dt.datetime) -> dt.datetime | None:
    """Return the start of the first UTC day whose readings are all kept; None where all are.

    Hours before it must not be aggregated again: their 5-minute energy would become nothing.
    """
    return _before(settings.retention.readings_days, now)


def plan(settings: Settings, warehouse: Warehouse, now: dt.datetime, instance: DagsterInstance | None = None) -> list[Rule]:
    """Return what each rule would remove now; changes nothing. Runs are counted where there is an `instance`."""
    rules = [
        _rule(setting, what, days, now, sum(_older(warehouse, table, where, column, before) for table, where, column in tables))
        for setting, what, days, before, tables in _lake_rules(settings, now)
    ]
    days = settings.retention.landing_days
    segments = len(list(_loaded_segments(settings, warehouse, now)))
    rules.append(_rule("landing_days", "landing segments that were loaded whole", days, now, segments))
    runs = len(_old_runs(instance, settings, now)) if instance else 0
    rules.append(_rule("runs_days", "Dagster's runs of ticks", settings.retention.runs_days, now, runs))
    return rules


def apply(settings: Settings, warehouse: Warehouse, now: dt.datetime, instance: DagsterInstance | None = None) -> list[Rule]:
    """Remove what each rule says and return what went; a rule that is off removes nothing."""
    done = []
    for setting, what, days, before, tables in _lake_rules(settings, now):
        rows = 0
        if before is not None:
            for table, where, column in tables:
                if table is raw.MESSAGES:
                    rows += remove_bodies(warehouse, f"{where} AND {column} < ?", (before,), now)
                else:
                    rows += delete_rows(warehouse, table, f"{where} AND {column} < ?", (before,))
        done.append(_rule(setting, what, days, now, rows))
    segments = 0
    for path in list(_loaded_segments(settings, warehouse, now)):
        _remove_segment(path)
        segments += 1
    done.append(_rule("landing_days", "landing segments that were loaded whole", settings.retention.landing_days, now, segments))
    runs = _old_runs(instance, settings, now) if instance else []
    for run_id in runs:
        assert instance is not None
        instance.delete_run(run_id)
    done.append(_rule("runs_days", "Dagster's runs of ticks", settings.retention.runs_days, now, len(runs)))
    return done


def remove_bodies(warehouse: Warehouse, where: str, parameters: Sequence[object], now: dt.datetime) -> int:
    """Empty the bodies of the raw messages that `where` names and note when; ids, hashes and outcomes stay. Return how many.

    A message that was not examined yet keeps its body: nothing else says what it said.
    """
    examined = f"message_id IN (SELECT message_id FROM {core.MESSAGE_OUTCOMES.full_name})"
    where = f"NOT ({REMOVED}) AND {examined} AND ({where})"
    sql = f"UPDATE {raw.MESSAGES.full_name} SET body = ''::BLOB, body_removed_at = ? WHERE {where}"
    return change(warehouse, sql, (now, *parameters))


def delete_rows(warehouse: Warehouse, table: Table, where: str, parameters: Sequence[object]) -> int:
    """Delete the rows of `table` that `where` names and return how many."""
    return change(warehouse, f"DELETE FROM {table.full_name} WHERE {where}", parameters)


def _lake_rules(
    settings: Settings, now: dt.datetime
) -> Iterator[tuple[str, str, int, dt.datetime | None, list[tuple[Table, str, str]]]]:
    """The rules about the lake: setting, in words, days, and by table what else must hold and the column that tells its age."""
    kept = settings.retention
    for setting, what, days, tables in (
        ("raw_days", "bodies of raw messages", kept.raw_days, [(raw.MESSAGES, f"NOT ({REMOVED})", "received_at")]),
        (
            "readings_days",
            "readings and 15-second energy",
            kept.readings_days,
            # A late reading goes with the day it is about.
            [(core.READINGS, "true", "interval_start"), (core.ENERGY_15S, "true", "interval_start")],
        ),
        (
            "telemetry_days",
            "telemetry and device documents",
            kept.telemetry_days,
            [(t, "true", "received_at") for t in DOCUMENTS],
        ),
        ("rejected_days", "refused readings", kept.rejected_days, [(core.REJECTED_READINGS, "true", "received_at")]),
    ):
        yield setting, what, days, _before(days, now), tables


def _before(days: int, now: dt.datetime) -> dt.datetime | None:
    """Midnight (UTC) that many days ago; None for 0 days, which is for ever."""
    if not days:
        return None
    return now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=days)


def _rule(setting: str, what: str, days: int, now: dt.datetime, rows: int) -> Rule:
    return Rule(setting, what, days, _before(days, now), rows)


def _older(warehouse: Warehouse, table: Table, where: str, column: str, before: dt.datetime | None) -> int:
    if before is None:
        return 0
    return warehouse.query(f"SELECT count(*) FROM {table.full_name} WHERE {where} AND {column} < ?", (before,)).item()


def _loaded_segments(settings: Settings, warehouse: Warehouse, now: dt.datetime) -> Iterator[Path]:
    """Files of segments older than the rule says, of which every message is in the lake; never the last one of a worker."""
    from ingest_server.landing.sqlite import SqliteLandingReader

    before = _before(settings.retention.landing_days, now)
    if before is None:
        return
    segments = SqliteLandingReader(settings.landing_dir).segments()
    newest = {_worker(segment): segment for segment in segments}
    old = [s for s in segments if s.hour < before and newest[_worker(s)] is not s]
    if not old:
        return
    loaded = {
        name: (number, last)
        for name, number, last in warehouse.query(
            f"SELECT segment, count(*), max(sequence) FROM {raw.MESSAGES.full_name} WHERE received_at < ? GROUP BY segment",
            (before + dt.timedelta(hours=1),),
        ).iter_rows()
    }
    for segment in old:
        path = settings.landing_dir / f"{segment.name}.sqlite"
        if loaded.get(segment.name, (0, None)) == _held(path):
            yield path


def _worker(segment: Segment) -> str:
    return segment.name.partition("-")[2]


def _held(path: Path) -> tuple[int, int | None] | None:
    """How many messages a segment holds and the last one's number; None where it cannot be read, and is better kept."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            number, last = connection.execute("SELECT count(*), max(sequence) FROM messages").fetchone()
            return int(number), last
    except sqlite3.Error:
        return None


def _remove_segment(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _old_runs(instance: DagsterInstance, settings: Settings, now: dt.datetime) -> list[str]:
    """Ids of ended runs of ticks that are older than the rule says."""
    before = _before(settings.retention.runs_days, now)
    if before is None:
        return []
    from dagster import DagsterRunStatus, RunsFilter

    ended = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
    old = RunsFilter(job_name=_TICK, statuses=ended, created_before=before)
    found: list[str] = []
    cursor: str | None = None
    while page := instance.get_run_records(old, limit=_RUN_BATCH, cursor=cursor):
        found += [record.dagster_run.run_id for record in page]
        cursor = found[-1]
    return found
