"""A forgotten owner is found nowhere, and no settled sum is another."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib

import pytest
from private_campus import CONTACT, DAY, DOCUMENTS, FIRST, HOUR, NAME, NOW, SECRET, SETTLED, UNTIL, A, B
from typer.testing import CliRunner

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.cli import maintenance as maintenance_cli
from gridtokenx_pipeline.cli import privacy as cli
from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.privacy import erasure, removed
from gridtokenx_pipeline.privacy.owners import Line, Owners, OwnersRefused, read_csv


@pytest.fixture
def owners(campus):
    owners = Owners(campus.settings.operational_url)
    owners.create_all()
    yield owners
    owners.close()


def owned(start: dt.datetime, end: dt.datetime | None = None, meter: str = A, name: str = NAME) -> Line:
    return Line(name, CONTACT if name == NAME else "", meter, start, end)


def forget(campus, ref: str, now: dt.datetime = NOW) -> erasure.Erased:
    return erasure.forget(campus.settings, ref, by="officer", reason="asked for it", now=now)


@pytest.fixture
def quick(monkeypatch):
    """Leaves the files as they are, where a test is about which rows go."""
    monkeypatch.setattr(erasure, "maintain", lambda *_, **__: None)


def test_a_forgotten_owner_is_nowhere_to_the_last_byte(forgotten, filled):
    forgotten.close()
    found = {
        secret: [path.name for path, content in forgotten.bytes_of() if secret.encode() in content]
        for secret in (NAME, CONTACT, SECRET)
    }
    assert found == {NAME: [], CONTACT: [], SECRET: []}
    # It was there: in the landing segment as sent, and in the lake's files or catalog as text.
    assert any(SECRET.encode() in content for _, content in filled.bytes_of(filled.settings.landing_dir))
    assert any(SECRET.encode() in content for _, content in filled.bytes_of(filled.settings.warehouse_dir))


def test_no_settled_sum_changes(forgotten):
    assert forgotten.hashes(*SETTLED) == forgotten.before
    # A text in a condition is looked for with the statistics of files alone.
    assert forgotten.query(f"SELECT count(*) FROM core.readings WHERE meter_id = '{A}'").item() == 9
    assert forgotten.query("SELECT count(*) FROM core.telemetry WHERE meter_id = 'none'").item() == 0


def test_what_is_erased_is_the_meters_own_and_of_the_time_of_ownership(forgotten):
    assert forgotten.erased == erasure.Erased({table.full_name: 3 for table in DOCUMENTS}, bodies=3, landed=3, whole=True)
    bodies = forgotten.query("SELECT meter_id, received_at, octet_length(body) > 0 AS whole, body_removed_at FROM raw.messages")
    for meter, received, whole, at in bodies.iter_rows():
        assert (whole, at) == ((False, NOW) if meter == A and received < UNTIL else (True, None))
    left = forgotten.query("SELECT meter_id, count(*) AS n FROM core.telemetry GROUP BY 1 ORDER BY 1")
    assert left.rows() == [(A, 6), (B, 9)]


def test_the_tombstone_says_when_who_and_why_and_is_tied_to_no_meter(forgotten):
    owners = Owners(forgotten.settings.operational_url)
    tomb = owners.owner(forgotten.ref)
    assert (tomb.name, tomb.contact) == (None, None)
    assert (tomb.forgotten_at, tomb.forgotten_by, tomb.forgotten_reason) == (NOW, "officer", "asked for it")
    assert owners.ownerships(forgotten.ref) == []
    assert forgotten.query("SELECT owner_ref FROM core.meters").rows() == [(None,)]
    # The next owner is still known.
    assert {owners.owner(ref).name for ref in owners.current(NOW).values()} == {"Bob"}
    owners.close()


def test_hashes_of_messages_stay_and_still_name_what_was_received(forgotten):
    stored = dict(forgotten.query("SELECT (meter_id, received_at)::VARCHAR, body_sha256 FROM raw.messages").iter_rows())
    assert sorted(stored.values()) == sorted(hashlib.sha256(m.body).hexdigest() for m in forgotten.messages())


def test_an_hour_that_is_derived_again_keeps_what_erased_messages_gave(forgotten):
    with forgotten.lake() as lake:
        ids = removed.messages(lake, FIRST, UNTIL)
        stored = lake.read_window(core.READINGS, FIRST, UNTIL)
        # Parsed again, the messages without a body give nothing.
        again = stored.filter(stored["meter_id"] == B)
        carried = removed.carried(lake, core.READINGS, again, ids, FIRST, UNTIL)
    assert len(ids) == 3
    assert carried.equals(stored)


def test_messages_that_may_still_be_settled_are_erased_later(campus, owners, quick):
    owners.add([owned(FIRST - DAY)], FIRST)
    ref = owners.current(NOW)[A]
    # Ten minutes after the second hour's messages: those and the hour before are still worked on.
    soon = FIRST + HOUR + dt.timedelta(minutes=10)
    erased = forget(campus, ref, soon)
    assert (erased.bodies, erased.whole) == (0, False)
    assert owners.owner(ref).name is None
    assert erasure.finish(campus.settings, soon) == []
    (rest,) = erasure.finish(campus.settings, NOW)
    # What came after the ownership was ended by forgetting is not the owner's.
    assert (rest.bodies, rest.whole) == (6, True)
    assert erasure.finish(campus.settings, NOW + DAY) == []


def test_nothing_is_erased_that_was_not_examined(campus, owners, quick):
    with campus.lake() as lake:
        lake.connect().execute("DELETE FROM ops.watermarks")
    owners.add([owned(FIRST - DAY)], FIRST)
    assert forget(campus, owners.current(NOW)[A]).bodies == 0


def test_a_meter_has_one_owner_at_a_time(owners):
    owners.add([owned(FIRST, FIRST + DAY), owned(FIRST + DAY, name="Bob")], FIRST)
    with pytest.raises(OwnersRefused, match="two owners"):
        owners.add([owned(FIRST + DAY, name="Eve")], FIRST)
    assert len(owners.owners()) == 2


def test_an_import_is_known_the_second_time_and_may_end_an_ownership(owners):
    lines = [owned(FIRST), owned(FIRST, meter=B)]
    assert owners.add(lines, FIRST) == 2
    assert len(owners.owners()) == 1
    assert owners.add(lines, FIRST) == 0
    assert owners.add([owned(FIRST, FIRST + DAY)], FIRST) == 0
    assert [o.end for o in owners.ownerships() if o.meter_id == A] == [FIRST + DAY]
    assert set(owners.current(FIRST + DAY)) == {B}


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("name,contact,meter_id,from\nAda,a,M,2026-01-01\n", "no column to"),
        ("name,contact,meter_id,from,to\nAda,a,M,soon,\n", "line 2"),
        ("name,contact,meter_id,from,to\nAda,a,M,2026-01-02,2026-01-01\n", "line 2"),
        ("name,contact,meter_id,from,to\n,a,M,2026-01-02,\n", "line 2"),
    ],
    ids=["no column", "no date", "ends before it begins", "no name"],
)
def test_a_bad_line_of_an_import_is_named_without_saying_who(tmp_path, text, wrong):
    path = tmp_path / "owners.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OwnersRefused, match=wrong) as refused:
        read_csv(path)
    assert "Ada" not in str(refused.value)


def test_the_commands_import_list_and_forget(campus, tmp_path):
    path = tmp_path / "owners.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["name", "contact", "meter_id", "from", "to"], [NAME, CONTACT, A, "2026-05-01", ""]])
    run = lambda *arguments: CliRunner().invoke(cli.app, [*arguments, "--data", str(campus.settings.data)])  # noqa: E731
    clock.set_clock(lambda: NOW)
    try:
        assert "1 ownerships added" in run("import", str(path)).output
        listed = run("list").output
        assert A in listed
        assert NAME not in listed
        ref = listed.split()[0]
        assert NAME in run("show", ref).output
        done = run("forget", ref, "--by", "officer", "--reason", "asked")
        assert done.exit_code == 0, done.output
        assert "9 message bodies" in done.output
        shown = run("show", ref).output
        assert NAME not in shown
        assert "officer" in shown
        assert run("show", "nobody").exit_code == 1
        status = CliRunner().invoke(maintenance_cli.app, ["status", "--data", str(campus.settings.data)])
        assert "1 snapshots" in status.output
    finally:
        clock.set_clock(clock.system_clock)
