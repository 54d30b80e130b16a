"""Edits as an operator makes them, and energy as it was known."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest
from typer.testing import CliRunner

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.cli import app
from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.effective import effective
from gridtokenx_pipeline.editing import counting
from gridtokenx_pipeline.warehouse import Append, Warehouse

METER = "AMI_METER_STANFORD_ENG_001"
START = dt.datetime(2026, 11, 20, 18, tzinfo=dt.UTC)


def reading(step: int, energy: int, **values: object) -> dict[str, object]:
    start = START + dt.timedelta(seconds=15 * step)
    return {
        "zone": "stanford", "meter_id": METER, "device_lfdi": "A1" * 20, "channel": "load", "interval_start": start, "duration_s": 15,
        "energy_milli_wh": energy, "register_milli_wh": 1_000_000 + 1000 * step, "state_of_charge_pct": None, "quality_flags": 1,
        "device_quality_flags": None, "version": 1, "parts": 2, "message_id": f"m{step}",
        "received_at": start + dt.timedelta(seconds=16), "findings": None, **values,
    }  # fmt: skip


@pytest.fixture
def data(tmp_path):
    with Warehouse(tmp_path / "warehouse") as warehouse:
        rows = [reading(0, 1000), reading(1, 1001, quality_flags=16, findings="conflict"), reading(2, 1002)]
        warehouse.commit(
            Append(core.READINGS, core.READINGS.conform(pl.DataFrame(rows, schema=core.READINGS.frame_schema(), orient="row")))
        )
    clock.set_clock(lambda: START + dt.timedelta(hours=5))
    yield tmp_path
    clock.set_clock(clock.system_clock)


def invoke(data, *arguments):
    return CliRunner().invoke(app, ["edit", *arguments, "--data", str(data)])


def now(data, step=0, steps=1):
    first = START + dt.timedelta(seconds=15 * step)
    with Warehouse(data / "warehouse", read_only=True) as warehouse:
        return counting(warehouse, METER, "load", first, first + dt.timedelta(seconds=15 * steps)).select(
            "energy_milli_wh", "quality_flags", "source"
        )


def test_an_edit_counts_and_says_who_why_before_and_after(data):
    result = invoke(
        data, "replace", METER, "load", "2026-11-20T18:00:00Z", "--wh", "7.5", "--by", "ann", "--reason", "read on site", "--json"
    )
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.output)
    assert (row["before_energy_wh"], row["energy_wh"], row["edited_by"]) == ("1.000", "7.500", "ann")
    assert now(data).rows() == [(7500, 3, "edit")]
    with Warehouse(data / "warehouse", read_only=True) as warehouse:
        stored = warehouse.read(core.EDITS).row(0, named=True)
        assert (stored["reason"], stored["edited_at"]) == ("read on site", START + dt.timedelta(hours=5))
        assert warehouse.read(core.READINGS)["energy_milli_wh"].to_list() == [1000, 1001, 1002]


def test_a_total_is_shared_over_a_span_to_the_milli_wh(data):
    span = ("2026-11-20T18:00:00Z", "--until", "2026-11-20T18:00:45Z")
    assert invoke(data, "replace", METER, "load", *span, "--wh", "10", "--reason", "meter was off").exit_code == 0
    assert now(data, steps=3)["energy_milli_wh"].to_list() == [3333, 3333, 3334]


def test_what_was_doubted_can_be_accepted_and_the_acceptance_withdrawn(data):
    assert now(data, 1).rows() == [(1001, 16, "reading")]
    assert invoke(data, "accept", METER, "load", "2026-11-20T18:00:15Z", "--reason", "seen").exit_code == 0
    assert now(data, 1).rows() == [(1001, 3, "edit")]
    clock.set_clock(lambda: START + dt.timedelta(hours=6))
    assert invoke(data, "revert", METER, "load", "2026-11-20T18:00:15Z", "--reason", "no").exit_code == 0
    assert now(data, 1).rows() == [(1001, 16, "reading")]
    listed = json.loads(invoke(data, "list", "--json").output)
    assert [row["action"] for row in listed] == ["revert", "accept"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("replace", "NOBODY", "load", "2026-11-20T18:00:00Z", "--wh", "1", "--reason", "x"), "unknown meter"),
        (("replace", METER, "heat", "2026-11-20T18:00:00Z", "--wh", "1", "--reason", "x"), "unknown channel"),
        (("replace", METER, "load", "2026-11-20T18:00:07Z", "--wh", "1", "--reason", "x"), "multiples"),
        (("replace", METER, "load", "2026-11-20T18:00:00Z", "--wh", "-1", "--reason", "x"), "below 0"),
        (("replace", METER, "load", "2026-11-20T18:00:00Z", "--wh", "99999", "--reason", "x"), "ratings"),
        (("replace", METER, "load", "2026-11-20T18:00:00Z", "--wh", "1.0005", "--reason", "x"), "milli-watt-hours"),
        (("replace", METER, "load", "2026-11-20T18:00:00Z", "--wh", "1", "--reason", "  "), "reason"),
        (("accept", METER, "load", "2026-11-20T19:00:00Z", "--reason", "x"), "nothing counts"),
        (("revert", METER, "load", "2026-11-20T18:00:00Z", "--reason", "x"), "no edit"),
        (("accept", METER, "load", "yesterday", "--reason", "x"), "moment"),
    ],
)
def test_a_wrong_edit_changes_nothing_and_says_why(data, arguments, why):
    result = invoke(data, *arguments)
    assert result.exit_code == 2
    assert why in result.output
    with Warehouse(data / "warehouse", read_only=True) as warehouse:
        assert warehouse.read(core.EDITS).is_empty()


def test_energy_as_it_was_known(data):
    assert (
        invoke(data, "replace", METER, "load", "2026-11-20T18:00:00Z", "--wh", "7.5", "--reason", "read on site").exit_code == 0
    )

    def known(*at):
        hours = ["--from", "2026-11-20T18:00Z", "--to", "2026-11-20T19:00Z", "--level", "5min", "--json", "--data", str(data)]
        return json.loads(CliRunner().invoke(app, ["energy", *hours, *at]).output)

    (first,) = known("--known-at", "2026-11-20T18:00:20Z")
    (before,) = known("--known-at", "2026-11-20T20:00Z")
    (after,) = known("--known-at", "2026-11-20T23:30Z")
    assert [row["load_wh"] for row in (first, before, after)] == ["1.000", "3.003", "9.503"]
    assert known() == []


def test_counting_is_what_aggregation_sums(data):
    """What an operator is shown before an edit is what would be settled."""
    with Warehouse(data / "warehouse", read_only=True) as warehouse:
        empty = [table.empty() for table in (core.EDITS, core.VEE_EXCEPTIONS, core.ESTIMATES)]
        whole = effective(warehouse.read(core.READINGS), *empty).sort("interval_start")
        shown = counting(warehouse, METER, "load", START, START + dt.timedelta(minutes=1))
    assert shown.equals(whole)
