"""Past hours derived again from raw messages are what is stored, or it is said what is not."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from line_campus import END, HOUR, START
from typer.testing import CliRunner

from gridtokenx_pipeline.cli import reprocess as cli
from gridtokenx_pipeline.contracts import Column, Table, Type
from gridtokenx_pipeline.reprocess.hashes import partition_hash
from gridtokenx_pipeline.reprocess.prove import DIFFERENT, IDENTICAL, NEVER, UNPROVABLE, differing, prove

FROM, TO = START.replace(hour=17, minute=0), START.replace(hour=20, minute=0)

EVERYTHING = Table(
    "test",
    "everything",
    "One column of each type.",
    (
        Column("at", Type.TIMESTAMP, "a"),
        Column("name", Type.TEXT, "a", nullable=True),
        Column("energy_wh", Type.ENERGY, "a", nullable=True),
        Column("pct", Type.PERCENT, "a", nullable=True),
        Column("flag", Type.BOOLEAN, "a", nullable=True),
        Column("body", Type.BYTES, "a", nullable=True),
        Column("count", Type.INTEGER, "a", nullable=True),
    ),
    ("at", "name"),
    "at",
)
ROWS = [
    (START, "a\nb\\c\x1fd", -1_500, pl.Series(["50.02"]).cast(pl.Decimal(5, 2))[0], True, b"\0\xff", 7),
    (START, None, None, None, None, None, None),
    (START + HOUR, "\\N", 0, None, False, b"", 0),
]


def frame(rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=EVERYTHING.frame_schema(), orient="row")


def test_the_hash_is_that_of_the_text_its_docstring_describes():
    """Written out here once, so that another implementation or another Polars gives the same."""
    import hashlib

    head = "test.everything\x1fat:TIMESTAMPTZ\x1fname:VARCHAR\x1fenergy_wh:DECIMAL(18,3)\x1fpct:DECIMAL(5,2)\x1fflag:BOOLEAN\x1fbody:BLOB\x1fcount:INTEGER"
    first, later = 1_768_501_800_000_000, 1_768_505_400_000_000
    lines = [
        f"{first}\x1fa\\nb\\\\c\\ud\x1f-1500\x1f5002\x1f1\x1f00ff\x1f7",
        "\x1f".join([str(first), *["\\N"] * 6]),
        f"{later}\x1f\\\\N\x1f0\x1f\\N\x1f0\x1f\x1f0",
    ]
    expected = hashlib.sha256("\n".join([head, *sorted(lines, key=str.encode)]).encode()).hexdigest()
    assert partition_hash(EVERYTHING, frame(ROWS)) == expected


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(3)), st.integers(0, 2), st.sampled_from(["name", "energy_milli_wh", "pct", "flag", "body", "count"]))
def test_the_hash_depends_on_values_and_on_nothing_else(order, row, column):
    whole = frame(ROWS)
    assert partition_hash(EVERYTHING, frame([ROWS[i] for i in order]).rechunk()) == partition_hash(EVERYTHING, whole)
    other = {"name": "x", "energy_milli_wh": 1, "pct": None if row == 0 else ROWS[0][3], "flag": None if row != 1 else True}
    other |= {"body": b"x", "count": 9}
    values = whole.rows(named=True)
    values[row] = values[row] | {column: other[column]}
    assert partition_hash(EVERYTHING, frame([tuple(v.values()) for v in values])) != partition_hash(EVERYTHING, whole)


def test_differences_name_key_column_and_both_values():
    stored = frame(ROWS)
    derived = frame([(*ROWS[0][:2], -1_501, *ROWS[0][3:]), ROWS[1], (START + 2 * HOUR, "new", *ROWS[2][2:])])
    found = [(d.key["name"], d.column, d.stored, d.derived) for d in differing(EVERYTHING, stored, derived)]
    assert sorted(found, key=str) == [
        ("\\N", "row", "present", "missing"),
        ("a\nb\\c\x1fd", "energy_milli_wh", -1_500, -1_501),
        ("new", "row", "missing", "present"),
    ]


def command(campus, *arguments: str):
    import typer

    app = typer.Typer()
    app.command()(cli.reprocess)
    place = ["--data", str(campus.data), "--config", str(campus.config_path)]
    return CliRunner().invoke(app, [*place, "--from", f"{FROM:%Y-%m-%dT%H:%M}", "--to", f"{TO:%Y-%m-%dT%H:%M}", *arguments])


def states(found) -> dict[str, set[str]]:
    by_state: dict[str, set[str]] = {}
    for partition in found:
        by_state.setdefault(partition.state, set()).add(partition.table)
    return by_state


def test_what_an_undisturbed_run_stored_is_identical_and_nothing_is_written(settled):
    before = settled.last_snapshot()
    done = command(settled)
    assert done.exit_code == 0, done.output
    assert "DIFF" not in done.output
    assert "2026-01-15 18:00" in done.output
    found = prove(settled.settings, FROM, TO)
    # The hours around were no run's; the event stage would have something to say of them.
    assert set(states(found)) <= {IDENTICAL, NEVER}
    assert {p.start.hour for p in found if p.state == NEVER} <= {17, 19}
    assert {p.start.hour for p in found if p.state == IDENTICAL} <= {0, 18}
    tables = {partition.table for partition in found}
    assert {"core.readings", "core.message_outcomes", "core.energy_15s", "core.energy_5min"} <= tables
    assert sum(p.rows_derived for p in found if p.table == "core.readings") == 4 * 40 * 7
    assert settled.last_snapshot() == before


def test_late_and_wrong_readings_are_identical_too(disturbed):
    assert set(states(prove(disturbed.settings, FROM, TO))) <= {IDENTICAL, NEVER}


def test_a_stored_value_that_raw_messages_do_not_say_is_shown(settled, copied):
    campus = copied(settled)
    meter = campus.meters[1].id
    place = f"meter_id = '{meter}' AND channel = 'load' AND interval_start = TIMESTAMPTZ '{START.isoformat()}'"
    campus.tamper(f"UPDATE core.readings SET energy_wh = energy_wh + 0.001 WHERE {place}")
    done = command(campus, "--json")
    assert done.exit_code == 4, done.output
    answer = json.loads(done.stdout)
    (wrong,) = [p for p in answer["partitions"] if p["state"] == DIFFERENT]
    assert wrong["table"] == "core.readings"
    assert wrong["stored_sha256"] != wrong["derived_sha256"]
    (difference,) = wrong["differences"]
    assert (difference["key"]["meter_id"], difference["column"]) == (meter, "energy_milli_wh")
    assert difference["stored"] == difference["derived"] + 1
    text = command(campus)
    assert text.exit_code == 4
    assert "DIFF" in text.output
    assert f"meter_id={meter}" in text.output
    # One meter alone: another one's is identical, and this one's is not.
    assert set(states(prove(campus.settings, FROM, TO, meter=campus.meters[0].id))) <= {IDENTICAL, NEVER}
    assert DIFFERENT in states(prove(campus.settings, FROM, TO, meter=meter))


def test_energy_that_the_readings_do_not_make_is_shown_by_its_stage_alone(settled, copied):
    campus = copied(settled)
    campus.tamper(f"DELETE FROM core.energy_5min WHERE meter_id = '{campus.meters[0].id}'")
    assert set(states(prove(campus.settings, FROM, TO, stage="readings"))) == {IDENTICAL}
    found = prove(campus.settings, FROM, TO, stage="energy")
    assert states(found)[DIFFERENT] == {"core.energy_5min"}
    (wrong,) = [p for p in found if p.state == DIFFERENT]
    assert wrong.rows_derived - wrong.rows_stored == 2
    assert {(d.column, d.stored, d.derived) for d in wrong.differences} == {("row", "missing", "present")}


def test_hours_whose_raw_bodies_are_gone_are_not_called_different(settled, copied):
    campus = copied(settled)
    campus.tamper(f"UPDATE raw.messages SET body = ''::BLOB, body_removed_at = now() WHERE meter_id = '{campus.meters[2].id}'")
    found = states(prove(campus.settings, FROM, TO, stage="readings"))
    assert DIFFERENT not in found
    assert "core.readings" in found[UNPROVABLE]
    assert command(campus, "--stage", "readings").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--meter", "NOBODY"], "none of the configured meters"),
        (["--stage", "trades"], "none of readings, energy, all"),
        (["--to", f"{FROM:%Y-%m-%dT%H:%M}"], "nothing from"),
        (["--to", f"{END:%Y-%m-%dT%H:%M}"], "no whole hour"),
    ],
)
def test_bad_arguments_are_usage_errors(settled, arguments, said):
    done = command(settled, *arguments)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())
