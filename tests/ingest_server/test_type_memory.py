from __future__ import annotations

from ingest_server.type_memory import TypeMemory


def test_a_declaration_is_held_for_a_minute_and_no_other() -> None:
    now = [0.0]
    memory = TypeMemory(lambda: now[0])
    assert memory.holds("M", {})
    assert not memory.holds("M", {b"A": b"Wh"})
    memory.note("M", {b"A": b"Wh", b"B": b"W"})
    assert memory.holds("M", {b"A": b"Wh"})
    assert not memory.holds("M", {b"A": b"kWh"})
    assert not memory.holds("M", {b"A": b"Wh", b"C": b"V"})
    assert not memory.holds("N", {b"A": b"Wh"})
    memory.note("M", {b"A": b"kWh"})
    assert memory.holds("M", {b"A": b"kWh", b"B": b"W"})
    now[0] = 60.0
    assert not memory.holds("M", {b"A": b"kWh"})
    memory.note("M", {b"A": b"kWh"})
    memory.forget("M")
    assert not memory.holds("M", {b"A": b"kWh"})
