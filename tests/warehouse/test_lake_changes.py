from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lake_rows import HOUR, after, rows

from gridtokenx_pipeline.contracts import ContractViolation, core, market, ops, raw
from gridtokenx_pipeline.warehouse import Append, Replace, SetState, Warehouse, Written

END = after(3600)
# DECIMAL(18,3) holds fifteen digits of watt-hours and three of milli-watt-hours.
LARGEST = 10**18 - 1
MICROSECOND = 1e-6
RIVAL = """
import sqlite3, sys
catalog = sqlite3.connect(sys.argv[1], isolation_level=None)
catalog.execute("BEGIN IMMEDIATE")
print("holds", flush=True)
sys.stdin.readline()
"""


def _readings(*values: dict) -> pl.DataFrame:
    return rows(core.READINGS, *values)


def _at(*seconds: float, **values: object) -> pl.DataFrame:
    return _readings(*({"interval_start": after(s), "received_at": after(s), **values} for s in seconds))


def _intervals(*states: str) -> pl.DataFrame:
    return rows(market.INTERVALS, *({"interval_start": after(300 * i), "state": s} for i, s in enumerate(states)))


def _messages(*names: str, **values: object) -> pl.DataFrame:
    return rows(raw.MESSAGES, *({"message_id": name, **values} for name in names))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(energies=st.lists(st.integers(-LARGEST, LARGEST) | st.integers(-2001, 2001) | st.none(), min_size=1, max_size=40))
@example(energies=[LARGEST, -LARGEST, 10**15 + 1, 2**53 + 1, 999, -1, 0, None])
def test_energy_comes_back_to_the_milli_watt_hour(shared_lake: Warehouse, energies: list[int | None]):
    frame = _readings(*({"energy_milli_wh": e, "interval_start": after(15 * i)} for i, e in enumerate(energies)))
    shared_lake.commit(Replace(core.READINGS, frame))
    assert shared_lake.read(core.READINGS)["energy_milli_wh"].to_list() == energies
    # What an analyst sees is the same number in watt-hours, and sums are exact.
    stored = shared_lake.query("SELECT energy_wh FROM core.readings ORDER BY interval_start")["energy_wh"].to_list()
    assert stored == [None if e is None else Decimal(e).scaleb(-3) for e in energies]
    known = [e for e in energies if e is not None]
    total = shared_lake.connect().execute("SELECT sum(energy_wh) FROM core.readings").fetchone()
    assert total == (Decimal(sum(known)).scaleb(-3) if known else None,)


@pytest.mark.parametrize("energy", [LARGEST + 1, -LARGEST - 1])
def test_energy_that_does_not_fit_is_refused_and_nothing_is_written(lake: Warehouse, energy: int):
    with pytest.raises(duckdb.Error, match=r"(?i)decimal"):
        lake.commit(Replace(core.READINGS, _readings({"energy_milli_wh": 1}, {"energy_milli_wh": energy, "channel": "load"})))
    assert lake.read(core.READINGS).is_empty()


def test_every_type_comes_back_as_it_was(lake: Warehouse):
    body = bytes(range(256))
    message = _messages("m", received_at=HOUR.replace(microsecond=123456), body=body, sequence=2**62, path="/mup/ö'\"\n")
    reading = _readings({"state_of_charge_pct": Decimal("99.99"), "energy_milli_wh": None, "register_milli_wh": 7})
    lake.commit(Append(raw.MESSAGES, message), Replace(core.READINGS, reading))
    assert lake.read(raw.MESSAGES).equals(message)
    assert lake.read(core.READINGS).equals(reading)
    assert lake.read(raw.MESSAGES).schema == message.schema


def test_replace_takes_its_window_and_leaves_the_rest(lake: Warehouse):
    lake.commit(Replace(core.READINGS, _at(-MICROSECOND, 0, 1800, 3600 - MICROSECOND, 3600, quality_flags=1)))
    written = lake.commit(Replace(core.READINGS, _at(0, 60, quality_flags=2), HOUR, END))
    assert written == [Written("core.readings", 2, changed=True)]
    kept = lake.read(core.READINGS)
    assert dict(zip(kept["received_at"], kept["quality_flags"], strict=True)) == {
        after(-MICROSECOND): 1,
        after(0): 2,
        after(60): 2,
        after(3600): 1,
    }
    window = lake.read_window(core.READINGS, HOUR, END)
    assert window["received_at"].to_list() == [after(0), after(60)]


def test_replace_by_no_rows_empties_the_window(lake: Warehouse):
    lake.commit(Replace(core.READINGS, _at(0, 3600)))
    assert lake.commit(Replace(core.READINGS, core.READINGS.empty(), HOUR, END)) == [Written("core.readings", 0, changed=True)]
    assert lake.read(core.READINGS)["received_at"].to_list() == [END]


def test_replace_refuses_rows_outside_its_window(lake: Warehouse):
    lake.commit(Replace(core.READINGS, _at(0)))
    for outside in (-MICROSECOND, 3600):
        with pytest.raises(ValueError, match=r"core\.readings: rows outside"):
            lake.commit(Replace(core.READINGS, _at(1, outside), HOUR, END))
    assert lake.read(core.READINGS)["received_at"].to_list() == [HOUR]


def test_replace_can_be_narrowed_to_some_rows_of_the_window(lake: Warehouse):
    lake.commit(Replace(core.READINGS, pl.concat([_at(0, 15, zone="east"), _at(0, 15, zone="west", meter_id="w")])))
    lake.commit(Replace(core.READINGS, _at(30, zone="east"), HOUR, END, where="zone = 'east'"))
    kept = lake.read(core.READINGS).select("zone", "interval_start").sort("zone", "interval_start").rows()
    assert kept == [("east", after(30)), ("west", after(0)), ("west", after(15))]


def test_a_table_without_a_window_is_replaced_whole(lake: Warehouse):
    def watermarks(*stages: str) -> Replace:
        return Replace(ops.WATERMARKS, rows(ops.WATERMARKS, *({"stage": stage} for stage in stages)))

    lake.commit(watermarks("landing", "readings"))
    lake.commit(watermarks("energy"))
    assert lake.read(ops.WATERMARKS)["stage"].to_list() == ["energy"]


def test_an_equal_replace_leaves_no_trace(lake: Warehouse, snapshots: Callable[[], int]):
    frame = _readings(*({"interval_start": after(i), "energy_milli_wh": i if i % 3 else None} for i in range(20)))
    lake.commit(Replace(core.READINGS, frame))
    before = snapshots()
    shuffled = frame.sample(fraction=1, shuffle=True, seed=1).select(reversed(frame.columns))
    assert lake.commit(Replace(core.READINGS, shuffled)) == [Written("core.readings", 20, changed=False)]
    assert snapshots() == before
    different = frame.with_columns(energy_milli_wh=pl.col("energy_milli_wh").fill_null(0))
    assert lake.commit(Replace(core.READINGS, different)) == [Written("core.readings", 20, changed=True)]
    assert snapshots() == before + 1


def test_append_adds_what_is_new_and_leaves_what_is_known(lake: Warehouse, snapshots: Callable[[], int]):
    assert lake.commit(Append(raw.MESSAGES, _messages("a", "b", path="/first"))) == [Written("raw.messages", 2, changed=True)]
    assert lake.commit(Append(raw.MESSAGES, _messages("b", "c", path="/second"))) == [Written("raw.messages", 1, changed=True)]
    stored = lake.read(raw.MESSAGES)
    assert dict(zip(stored["message_id"], stored["path"], strict=True)) == {"a": "/first", "b": "/first", "c": "/second"}
    before = snapshots()
    assert lake.commit(Append(raw.MESSAGES, _messages("a", "c", path="/third"))) == [Written("raw.messages", 0, changed=False)]
    assert snapshots() == before


def test_append_compares_the_whole_key(lake: Warehouse):
    lake.commit(Append(core.READINGS, _readings({"version": 1, "energy_milli_wh": 5})))
    assert lake.commit(Append(core.READINGS, _readings({"version": 2}, {"version": 1})))[0].rows == 1
    assert lake.read(core.READINGS)["version"].to_list() == [1, 2]


def test_set_state_sets_the_named_rows_only(lake: Warehouse, snapshots: Callable[[], int]):
    lake.commit(Replace(market.INTERVALS, _intervals("open", "closed", "closed", "settled")))
    keys = pl.DataFrame({"zone": ["x"] * 3, "interval_start": [after(300), after(600), after(900)], "version": [1] * 3})
    change = SetState(market.INTERVALS, keys, "settled")
    # The last of the three has that state already.
    assert lake.commit(change) == [Written("market.intervals", 2, changed=True)]
    assert lake.read(market.INTERVALS)["state"].to_list() == ["open", "settled", "settled", "settled"]
    before = snapshots()
    assert lake.commit(change) == [Written("market.intervals", 0, changed=False)]
    assert snapshots() == before


def test_several_changes_are_one_snapshot_and_see_each_other(lake: Warehouse, snapshots: Callable[[], int]):
    before = snapshots()
    keys = pl.DataFrame({"interval_start": [HOUR]})
    written = lake.commit(
        Append(raw.MESSAGES, _messages("a")),
        Replace(market.INTERVALS, _intervals("closed", "closed")),
        SetState(market.INTERVALS, keys, "settled"),
    )
    assert [(w.table, w.rows) for w in written] == [("raw.messages", 1), ("market.intervals", 2), ("market.intervals", 1)]
    assert lake.read(market.INTERVALS)["state"].to_list() == ["settled", "closed"]
    assert snapshots() == before + 1


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (Append(raw.MESSAGES, _messages("b", "b")), ContractViolation),
        (Replace(core.READINGS, _at(0).drop("parts")), ContractViolation),
        (Replace(core.READINGS, _at(3600), HOUR, END), ValueError),
        # These are found while the transaction runs, after the first change was applied.
        (Replace(core.READINGS, _at(0), where="no_such_column = 1"), duckdb.Error),
        (SetState(market.INTERVALS, pl.DataFrame({"no_such_key": [1]}), "settled"), duckdb.Error),
        (Replace(core.READINGS, _at(0, energy_milli_wh=LARGEST + 1)), duckdb.Error),
    ],
    ids=["repeated key", "missing column", "outside", "bad condition", "bad key", "overflow"],
)
@pytest.mark.parametrize("first", [True, False], ids=["broken first", "broken last"])
def test_a_commit_is_all_or_nothing(
    lake: Warehouse, snapshots: Callable[[], int], broken: Append | Replace | SetState, error: type[Exception], first: bool
):
    lake.commit(Append(raw.MESSAGES, _messages("a")))
    before = snapshots()
    sound = (Append(raw.MESSAGES, _messages("c")), Replace(market.INTERVALS, _intervals("open")))
    with pytest.raises(error):
        lake.commit(*((broken, *sound) if first else (*sound, broken)))
    assert snapshots() == before
    assert lake.read(raw.MESSAGES)["message_id"].to_list() == ["a"]
    assert lake.read(market.INTERVALS).is_empty()
    # And the warehouse is as usable as before.
    assert [w.changed for w in lake.commit(*sound)] == [True, True]


def test_a_lost_race_is_tried_again(lake: Warehouse, snapshots: Callable[[], int], monkeypatch: pytest.MonkeyPatch):
    """Another process has the catalog when this one wants to write, and gives it back when this one has failed."""
    before, apply, failures = snapshots(), lake._apply, []
    # A process of its own: the locks of SQLite are the process's.
    with subprocess.Popen(
        [sys.executable, "-c", RIVAL, str(lake.catalog)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as rival:
        assert rival.stdout.readline() == "holds\n"

        def watched(changes):
            try:
                return apply(changes)
            except duckdb.Error as error:
                failures.append(str(error))
                rival.communicate("go\n")
                raise

        monkeypatch.setattr(lake, "_apply", watched)
        written = lake.commit(Append(raw.MESSAGES, _messages("a")), Replace(core.READINGS, _at(15, 30)))
    assert len(failures) == 1
    assert "locked" in failures[0]
    assert [w.rows for w in written] == [1, 2]
    assert snapshots() == before + 1


def test_reads_are_ordered_by_key_and_take_parameters(lake: Warehouse):
    lake.commit(Append(raw.MESSAGES, _messages("c", "a", "b")))
    assert lake.read(raw.MESSAGES)["message_id"].to_list() == ["a", "b", "c"]
    assert lake.read(raw.MESSAGES, "message_id > ?", ("a",))["message_id"].to_list() == ["b", "c"]
    assert lake.query("SELECT ? + 1 AS n", (41,)).item() == 42


def test_windows_are_instants_whatever_offset_names_them(lake: Warehouse):
    east = dt.timezone(dt.timedelta(hours=9))
    lake.commit(Replace(core.READINGS, _at(0, 1800)))
    lake.commit(Replace(core.READINGS, _at(5), HOUR.astimezone(east), END.astimezone(east)))
    assert lake.read(core.READINGS)["received_at"].to_list() == [after(5)]
