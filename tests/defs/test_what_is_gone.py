"""Segments that are damaged, bodies that were removed, and a meter that measures the others once more."""

from __future__ import annotations

import datetime as dt
import os
from types import SimpleNamespace

import polars as pl
from line_campus import SILENCE, START, reading_messages

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.defs.energy.participants import participants_energy


def test_a_damaged_segment_loses_its_own_messages_and_stops_nobody(enrolled, copied):
    campus = copied(enrolled)
    messages = [message for meter in campus.meters for message in reading_messages(meter)]
    campus.land(sorted(messages, key=lambda message: message.received_at))
    (segment,) = campus.settings.landing_dir.glob("*.sqlite")
    os.truncate(segment, segment.stat().st_size // 2)
    run = campus.run("tick")
    assert run.success, run.failed_steps
    assert {"landing_is_readable", "energy_is_complete"} <= run.failed_checks() <= {
        "landing_is_readable", "energy_is_complete", "energy_matches_registers", *SILENCE,
    }  # fmt: skip
    assert segment.stem in run.metadata("landing_is_readable")["damaged"]
    loaded = campus.query("SELECT count(*) FROM raw.messages").item()
    assert 0 < loaded < len(messages)
    assert len(campus.read(core.READINGS)) > 0


def test_what_was_derived_from_removed_bodies_stands_when_its_hour_runs_again(taken_in, copied):
    campus = copied(taken_in)
    before = campus.hashes("core")
    meter = campus.meters[0].id
    campus.tamper(f"UPDATE raw.messages SET body = ''::BLOB, body_removed_at = now() WHERE meter_id = '{meter}'")
    run = campus.run("intake")
    assert run.success, run.failed_steps
    assert run.failed_checks() == set()
    assert campus.hashes("core") == before


def test_the_feeders_meter_takes_no_part():
    frame = pl.DataFrame({"meter_id": ["A", "PCC", "B"]})
    hour = START.replace(minute=0)

    def stores(feeder):
        warehouse = SimpleNamespace(read_window=lambda table, start, end: frame)
        return SimpleNamespace(warehouse=warehouse, settings=SimpleNamespace(vee=SimpleNamespace(feeder_meter=feeder)))

    for feeder, left in (("PCC", ["A", "B"]), (None, ["A", "PCC", "B"])):
        energy = participants_energy(stores(feeder), hour, hour + dt.timedelta(hours=1))
        assert energy["meter_id"].to_list() == left
