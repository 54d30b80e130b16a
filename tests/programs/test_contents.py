from __future__ import annotations

import base64
from typing import Any

import pytest
from bazaar import LAST, METER, Bazaar
from hypothesis import given
from hypothesis import strategies as st
from model_common import Config, Meter, Record
from model_energy_token import Issuer, TokenLedger
from model_oracle import BatchPage, MeterState
from model_tokens import Ring
from model_trading import Market, Position, TradeBook
from solders.pubkey import Pubkey
from svm_world import TOKEN, key

from gridtokenx_pipeline.solana.idl import DecodeError
from gridtokenx_pipeline.solana.programs.addresses import page_address, state_address
from gridtokenx_pipeline.solana.programs.contents import Contents, recorded_batch, window_counted
from gridtokenx_pipeline.solana.programs.images import idl, program_id
from gridtokenx_pipeline.solana.programs.instructions import Programs, Reading

CONTENTS = Contents()
U64, U32, U16, U8 = (st.integers(0, 2**bits - 1) for bits in (64, 32, 16, 8))
ID = st.binary(min_size=32, max_size=32)
ENTRY = st.tuples(U64, st.binary(min_size=16, max_size=16), st.binary(min_size=8, max_size=8))
RINGS, SMALL_RINGS = (
    st.builds(Ring, U64, U64, st.dictionaries(st.integers(0, capacity - 1), ENTRY, max_size=5), st.just(capacity))
    for capacity in (128, 16)
)
BATCHES = st.dictionaries(st.integers(0, 255), st.tuples(st.integers(1, 2**16 - 1), U32, ID), max_size=5)
RECORDS = st.one_of(
    st.builds(Config, ID, ID, ID, ID, U32, st.integers(0, 1), U8),
    st.builds(Meter, ID, ID, st.integers(-(2**63), 2**63 - 1), U32, U8, U8),
    st.builds(MeterState, ID, U64, U64, U64, U64, U32, U8, U8, st.frozensets(U64, max_size=9)),
    st.builds(BatchPage, U64, U8, BATCHES),
    st.builds(Market, ID, ID, U8),
    st.builds(TradeBook, ID, RINGS, U8),
    st.builds(Position, ID, SMALL_RINGS, U8),
    st.builds(Issuer, ID, ID, U8),
    st.builds(TokenLedger, ID, U64, U64, U64, RINGS, U8),
)


def plain(record: Record) -> list[Any]:
    """The model's fields in the order of its definition, what is no number or key left to its own test."""
    return [value for value in vars(record).values() if isinstance(value, bytes | int)]


def leaves(fields: dict[str, Any]) -> list[Any]:
    found = []
    for name, value in fields.items():
        if name in ("accepted", "batches", "entries", "floor", "entered"):
            continue
        found.append(bytes(value) if isinstance(value, Pubkey) else value)
    return found


@given(RECORDS)
def test_accounts_are_read_as_the_models_wrote_them(record: Record):
    content = CONTENTS.account(program_id(record.program), record.encode())

    assert (content.program, content.name) == (record.program, type(record).__name__)
    assert leaves(dict(content.fields)) == plain(record)
    if isinstance(record, TradeBook | Position | TokenLedger):
        assert (content.fields["floor"], content.fields["entered"]) == (record.ring.floor, record.ring.entered)
        for place, (window, id_, digest) in record.ring.entries.items():
            assert content.fields["entries"][place] == {"window": window, "id": id_, "content": digest}


@given(st.frozensets(st.integers(0, 6000), min_size=1), st.integers(0, 9000))
def test_windows_that_counted(windows: frozenset[int], asked: int):
    newest = max(windows)
    held = frozenset(window for window in windows if newest - window < 2048)
    state = MeterState(METER, newest=newest, accepted=held).encode()

    counted = window_counted(CONTENTS.account(program_id("oracle"), state).fields, asked)

    assert counted == (None if newest - asked >= 2048 else asked in windows)


@given(BATCHES, U64)
def test_batches_of_a_page(batches: dict[int, tuple[int, int, bytes]], number: int):
    number >>= 8
    fields = CONTENTS.account(program_id("oracle"), BatchPage(number, 255, batches).encode()).fields

    for place in range(256):
        wanted = dict(zip(("version", "leaves", "root"), batches[place], strict=True)) if place in batches else None
        assert recorded_batch(fields, number * 256 + place) == wanted
    with pytest.raises(ValueError, match="lies on page"):
        recorded_batch(fields, (number + 1) * 256)


@pytest.mark.parametrize(
    ("owner", "data", "message"),
    [
        (TOKEN, bytes(82), "none of the programs"),
        (program_id("oracle"), bytes(100), "no account of oracle starts with 0000000000000000"),
        (program_id("oracle"), b"", "no account of oracle starts with no bytes"),
        (program_id("registry"), MeterState(METER).encode(), "no account of registry"),
        (program_id("oracle"), MeterState(METER).encode()[:-1], "MeterState.accepted"),
    ],
)
def test_what_is_no_account_of_the_programs_is_refused(owner: Pubkey, data: bytes, message: str):
    with pytest.raises(DecodeError, match=message):
        CONTENTS.account(owner, data)


def test_events_of_a_settled_window_and_its_chain_state():
    world, programs = Bazaar().open(), Programs()
    submitter = world.submitter.pubkey()
    outcome = world.done(
        world.grid_ix(),
        world.trade_ix(),
        programs.oracle.submit_energy_readings(submitter, window=LAST - 1, readings=[Reading(METER, 7, 9)]),
        programs.oracle.record_batch(submitter, window=LAST, version=2, leaves=3, root=b"r" * 32),
    )

    events = CONTENTS.events(outcome.logs)

    assert [(event.instruction, event.program, event.name) for event in events] == [
        (0, "energy_token", "GridMinted"),
        (1, "trading", "TradeExecuted"),
        (2, "oracle", "ReadingsAccepted"),
        (3, "oracle", "BatchRecorded"),
    ]
    assert events[0].fields == {"meter_id": METER, "window": LAST, "energy_wh": 1500}
    assert events[1].fields["amount_micro"] == (750 * 120_001 + 500) // 1000
    assert events[2].fields == {"window": LAST - 1, "accepted": 1, "repeated": 0, "produced_wh": 7, "consumed_wh": 9}
    state = CONTENTS.account(program_id("oracle"), world.data(state_address(METER))).fields
    assert (state["produced_wh"], state["readings"], window_counted(state, LAST - 1)) == (4007, 2, True)
    page = CONTENTS.account(program_id("oracle"), world.data(page_address(LAST))).fields
    assert recorded_batch(page, LAST) == {"version": 2, "leaves": 3, "root": b"r" * 32}


def test_data_another_program_logs_is_no_event():
    ours, other = program_id("oracle"), key("other").pubkey()
    event = next(each for each in idl("oracle")["events"] if each["name"] == "MeterSynced")
    line = "Program data: " + base64.b64encode(bytes(event["discriminator"]) + METER + bytes(5)).decode()
    logs = [
        f"Program {other} invoke [1]",
        line,
        f"Program {ours} invoke [2]",
        line,
        f"Program {ours} success",
        line,
        f"Program {other} success",
        line,
        f"Program {ours} invoke [1]",
        "Program log: Program data: forged",
        f"Program {other} invoke [2]",
        line,
        f"Program {other} failed: custom program error: 0x1",
        line,
        f"Program {ours} consumed 5 of 10 compute units",
        f"Program {ours} success",
    ]

    assert [(each.instruction, each.program) for each in CONTENTS.events(logs)] == [(0, "oracle"), (1, "oracle")]
    for text in ("Program data: ?", "Program data: AAAAAAAAAAA="):
        with pytest.raises(DecodeError):
            CONTENTS.events([f"Program {ours} invoke [1]", text])
