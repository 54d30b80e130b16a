"""Nothing depends on where receipts are cut into batches, nor on which way through the code a series takes."""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from gridtokenx_pipeline.domain import registers
from ingest_server.gateway.documents import NO_DEVICE

sys.path.insert(0, str(Path(__file__).parent))

from reading_documents import full_mup, interval, line, lines, listed, messages, register

OTHER = "D4" * 20
END = 10**8  # the register of a meter with five digits of whole kilowatt-hours


def flagged(part: str, flags: str) -> str:
    return part.replace("<Reading>", f"<Reading><qualityFlags>{flags}</qualityFlags>") if flags else part


channels = st.sampled_from(("generation", "generation", "load"))
starts = st.sampled_from((0, 15, 15, 30, 30, 31, 20))
totals = st.sampled_from((0, 5, 990, 1000, 1005, 1010, 900, 700_000, END - 20, END - 5, END - 1, 4))
flags = st.sampled_from(("", "", "", "10", "04", "01"))
intervals = st.builds(
    lambda *a: flagged(interval(*a[:3]), a[3]), channels, st.sampled_from((-1, 4, 5, 6, 700_000)), starts, flags
)
alone = st.builds(lambda channel, total, start: register(channel, total, start + 15), channels, totals, starts)


@st.composite
def pairs(draw):
    channel, start = draw(channels), draw(starts)
    energy = draw(st.sampled_from((-1, 4, 5, 6, 700_000)))
    return flagged(interval(channel, energy, start), draw(flags)) + register(channel, draw(totals), start + 15)


posts = st.lists(
    st.tuples(
        st.lists(st.one_of(pairs(), alone, intervals), min_size=1, max_size=4), st.sampled_from(("", "", "", OTHER, NO_DEVICE))
    ),
    min_size=1,
    max_size=9,
)


def received(items):
    bodies = [(60 + 2 * number, listed(*parts), "M1") for number, (parts, _) in enumerate(items)]
    devices = {number: device for number, (_, device) in enumerate(items, 3) if device}
    declared = [
        messages((0, full_mup(), "M1"), first=number, devices={number: lfdi})
        for number, lfdi in ((0, ""), (1, OTHER), (2, NO_DEVICE))
    ]
    return pl.concat([*declared, messages(*bodies, first=3, devices=devices)])


def assert_same(one, other):
    for name in ("readings", "rejected", "telemetry", "outcomes"):
        assert_frame_equal(getattr(one, name), getattr(other, name))


@settings(max_examples=40, deadline=None)
@given(posts, st.data())
def test_receipts_may_be_cut_anywhere(items, data):
    frame = received(items)
    cuts = sorted(data.draw(st.sets(st.integers(1, frame.height - 1), min_size=1, max_size=3)))
    whole = lines([frame])
    parts = [frame[start:end] for start, end in zip([0, *cuts], [*cuts, frame.height], strict=True)]
    assert_same(lines(parts), whole)


@settings(max_examples=40, deadline=None)
@given(posts)
def test_series_followed_one_by_one_end_as_those_taken_at_once(items):
    frame = received(items)
    whole = line(frame)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registers, "irregular", lambda rows, *_: rows["series"].unique())
        followed = line(frame)[1]
    assert_same(followed, whole)
