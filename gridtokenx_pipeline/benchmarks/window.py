"""Ten thousand meters' five minutes, and a campus's day, from raw messages to 5-minute energy, without a warehouse."""

from __future__ import annotations

import datetime as dt
import json
import resource
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

METERS, INTERVALS = 10_000, 20


def run(meters: int = METERS, intervals: int = INTERVALS) -> dict[str, Any]:
    """Parse, validate, examine, estimate and aggregate `intervals` messages of each of `meters` meters; once more for a quarter.

    Returns meters, messages, seconds, messages_per_s, peak_mb (of the process, with the messages in it), the seconds of each
    stage, and growth_4x (seconds by those of a quarter of the messages; 4 is linear). Each size has a process of its own. Raises
    `RuntimeError` where a reading is refused or lost.
    """
    whole = _measured(meters, intervals)
    quarter = _measured(meters // 4, intervals) if meters >= intervals else _measured(meters, intervals // 4)
    return {**whole, "growth_4x": round(whole["seconds"] / quarter["seconds"], 2)}


def _measured(meters: int, intervals: int) -> dict[str, Any]:
    call = f"window.measure({meters}, {intervals})"
    code = f"import json; from gridtokenx_pipeline.benchmarks import window; print(json.dumps({call}))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(meters: int, intervals: int) -> dict[str, Any]:
    """Measure one size in this process. A few intervals are of a time when the sun is up, so that every channel moves."""
    from gridtokenx_pipeline.contracts import core
    from gridtokenx_pipeline.domain import aggregate, validation
    from gridtokenx_pipeline.domain.effective import effective
    from gridtokenx_pipeline.domain.estimation import estimate
    from gridtokenx_pipeline.domain.parse import parse_messages
    from gridtokenx_pipeline.domain.thresholds import Ratings, ratings_frame
    from gridtokenx_pipeline.domain.vee import Rules, validate

    from . import fleet_messages

    ids = [f"BENCH_{number:05d}" for number in range(meters)]
    ratings = ratings_frame(Ratings(meter, "academic", 50, 30, 40) for meter in ids)
    first = 20 * 3600 // fleet_messages.INTERVAL_S if intervals <= 240 else 0
    start = fleet_messages.START + first * fleet_messages.STEP
    types = parse_messages(fleet_messages.declarations(ids)).reading_types
    messages = fleet_messages.posts(ids, first, intervals)
    marks = [time.perf_counter()]
    parsed = parse_messages(messages)
    marks.append(time.perf_counter())
    readings = validate(parsed, types, core.READINGS.empty(), ratings, Rules()).readings
    marks.append(time.perf_counter())
    site = validation.Site(37.4275, -122.1697, 30, "America/Los_Angeles")
    closed = start + intervals * fleet_messages.STEP
    end = start + dt.timedelta(hours=-(-intervals // 240))
    edits, history = core.EDITS.empty(), core.ENERGY_5MIN.empty()
    evidence = validation.Evidence(
        readings, core.REJECTED_READINGS.empty(), edits, ratings, history, "bench", site, start, end, closed, 60
    )
    exceptions = validation.examine(evidence)
    estimates = estimate(
        readings, edits, exceptions, ratings, start=start, end=end, closed_before=closed, history=history, timezone=site.timezone
    )
    marks.append(time.perf_counter())
    energy = aggregate.levels(effective(readings, edits, exceptions, estimates))[core.ENERGY_5MIN]
    marks.append(time.perf_counter())
    if len(energy) != meters * -(-intervals // INTERVALS) or int(energy["readings_present"].sum()) != len(messages):
        raise RuntimeError(
            f"{len(energy)} rows of {meters} meters, {energy['readings_present'].sum()} of {len(messages)} readings"
        )
    stages = dict(zip(("parse", "validate", "examine", "aggregate"), (b - a for a, b in pairwise(marks)), strict=True))
    seconds = marks[-1] - marks[0]
    return {
        "meters": meters,
        "messages": len(messages),
        "seconds": round(seconds, 2),
        "messages_per_s": round(len(messages) / seconds),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        **{f"{name}_s": round(value, 2) for name, value in stages.items()},
    }
