"""A meter's interval down to the messages: 15-second energy, readings with registers at both ends, edits, estimates."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import polars as pl

from gridtokenx_pipeline.contracts import core
from gridtokenx_pipeline.domain.effective import EDIT, REGISTER_WINS, effective

from . import messages
from .find import EDIT as EDIT_KIND
from .find import INTERVAL
from .nodes import Node, check, clock, equal, flags, folded, milli
from .source import Row, Source

MARKET_CHANNELS = ("generation", "load", "charge", "discharge")
_HOUR = dt.timedelta(hours=1)


def energy_row(source: Source, meter_id: str, start: dt.datetime) -> Row | None:
    """Return the core.energy_5min row of a meter's interval."""
    rows = source.rows(core.ENERGY_5MIN, "meter_id = ? AND interval_start = ?", meter_id, start)
    return rows[0] if rows else None


def floors(row: Row, channel: str) -> tuple[int, int] | None:
    """Return the whole Wh on a channel's register at the start and at the end of an energy row, where they are known."""
    energy, register = row[f"{channel}_milli_wh"], row[f"{channel}_register_milli_wh"]
    return None if energy is None or register is None else ((register - energy) // 1000, register // 1000)


def whole(row: Row, channel: str) -> int | None:
    """Return the whole Wh of a channel in an energy row, by floor differences."""
    ends = floors(row, channel)
    return ends and ends[1] - ends[0]


def net(row: Row) -> int | None:
    """Return generation + discharge - load - charge of an energy row in whole Wh; None where one is not known."""
    generation, load, charge, discharge = (whole(row, channel) for channel in MARKET_CHANNELS)
    if generation is None or load is None or charge is None or discharge is None:
        return None
    return generation + discharge - load - charge


def interval(source: Source, meter_id: str, start: dt.datetime, channels: Sequence[str] = MARKET_CHANNELS) -> Node:
    """Return the node of a meter's interval with everything behind its energy in `channels`."""
    row = energy_row(source, meter_id, start)
    id_ = f"{meter_id}@{clock(start)}"
    if row is None:
        return Node(INTERVAL, id_, "has no row in core.energy_5min").add(check(False, "the interval's energy is there"))
    node = _head(row, id_, channels)
    end = start + dt.timedelta(seconds=row["duration_s"])
    inside = "meter_id = ? AND interval_start >= ? AND interval_start < ?"
    tables = (core.READINGS, core.EDITS, core.VEE_EXCEPTIONS, core.ESTIMATES)
    # What is found about an interval, and a reading longer than it, may begin before it in the same hour.
    parts = [source.frame(table, inside, meter_id, start.replace(minute=0), end) for table in tables]
    counted = _within(effective(*parts), start, end, channels)
    readings = _within(parts[0], start, end, channels)
    edits = _within(parts[1], start, end, channels)
    quarters = source.frame(core.ENERGY_15S, inside, meter_id, start, end)
    known = messages.messages(source, set(readings["message_id"]), start - _HOUR)
    estimates = _within(parts[3], start, end, channels)
    for channel in channels:
        node.add(_channel(row, channel, quarters, counted.filter(pl.col("channel") == channel), end))
    node.add(_found(_within(parts[2], start, end, [*channels, "all"])))
    node.add(*(edit(one) for one in edits.to_dicts()))
    if readings.is_empty() and not counted.is_empty():
        node.add(Node("readings", "", "none was received; what counts are estimates and edits"))
    elif counted.is_empty():
        node.add(Node("readings", "", "are no longer kept, or none was received"))
    if known or not readings.is_empty():
        node.add(messages.unchanged(known.values(), readings["message_id"].n_unique()))
    steps = _steps(counted, readings, estimates, quarters)
    node.add(
        *folded(steps, source.limit, lambda one: _step(source, one, channels, known), "steps like these", lambda one: one["odd"])
    )
    return node.add(*_revisions(source, meter_id, start))


def reading(row: Row, *, counts: bool = True) -> Node:
    """Return the node of a core.readings row with its register at both ends."""
    energy, register = row["energy_milli_wh"], row["register_milli_wh"]
    begun = None if energy is None or register is None else register - energy
    span = f", register {milli(begun) or '?'} -> {milli(register)} Wh" if register is not None else ""
    said = f" (version {row['version']})" if row["version"] > 1 or not counts else ""
    title = (
        f"{row['channel']} {milli(energy) or '-'} Wh{span}, {flags(row['quality_flags'])}{said}{'' if counts else ', superseded'}"
    )
    facts = {
        "energy_wh": milli(energy),
        "register_start_wh": milli(begun),
        "register_end_wh": milli(register),
        "quality_flags": row["quality_flags"],
        "device_quality_flags": row["device_quality_flags"],
        "version": row["version"],
        "message_id": row["message_id"],
        "received_at": row["received_at"],
        "findings": row["findings"],
    }
    id_ = f"{row['meter_id']}/{row['channel']}@{clock(row['interval_start'])}"
    return Node("reading", id_, title, {name: value for name, value in facts.items() if value is not None})


def edit(row: Row) -> Node:
    """Return the node of an edit: who, why, before and after."""
    before, after = (
        milli(row["before_energy_milli_wh"]) or "nothing",
        milli(row["energy_milli_wh"]) or "what was before the edits",
    )
    about = f"{row['action']} {row['channel']} {clock(row['interval_start'])}"
    title = f"{about}: {before} -> {after} Wh, {row['edited_by']}: {row['reason']}"
    facts = {"edited_at": row["edited_at"], "edited_by": row["edited_by"], "reason": row["reason"], "action": row["action"],
             "before_energy_wh": milli(row["before_energy_milli_wh"]), "energy_wh": milli(row["energy_milli_wh"])}  # fmt: skip
    return Node(EDIT_KIND, row["edit_id"], title, facts)


def _head(row: Row, id_: str, channels: Sequence[str]) -> Node:
    total = net(row)
    facts: dict[str, Any] = {f"{channel}_wh": milli(row[f"{channel}_milli_wh"]) for channel in channels}
    facts |= {"net_wh": total} if len(channels) == len(MARKET_CHANNELS) else {}
    facts |= {
        name: row[name] for name in ("duration_s", "readings_present", "readings_expected", "readings_estimated", "version")
    }
    facts["quality_flags"] = row["quality_flags"]
    energies = ", ".join(f"{channel} {facts[f'{channel}_wh'] or '?'}" for channel in channels)
    nets = f", net {total:+,} Wh" if total is not None and "net_wh" in facts else ""
    present = f"{row['readings_present']} of {row['readings_expected']} readings"
    estimated = f" and {row['readings_estimated']} estimated" if row["readings_estimated"] else ""
    return Node(INTERVAL, id_, f"{energies} Wh{nets}, {present}{estimated}, {flags(row['quality_flags'])}", facts)


def _channel(row: Row, channel: str, quarters: pl.DataFrame, counted: pl.DataFrame, end: dt.datetime) -> Node:
    name = f"{channel}_milli_wh"
    ends, energy = floors(row, channel), milli(row[name])
    if ends is None:
        return Node("channel", channel, f"{channel} {energy or '?'} Wh, without a register")
    register = row[f"{channel}_register_milli_wh"]
    facts = {"register_start_wh": milli(register - row[name]), "register_end_wh": milli(register), "whole_wh": ends[1] - ends[0]}
    title = (
        f"{channel} {energy} Wh, register {facts['register_start_wh']} -> {facts['register_end_wh']} Wh, "
        f"floors {ends[0]:,} -> {ends[1]:,} = {facts['whole_wh']:,} Wh"
    )
    node = Node("channel", channel, title, facts)
    if not quarters.is_empty():
        present = quarters[name].drop_nulls()
        node.add(
            equal(
                f"{len(present)} energies of 15 s sum to the interval", milli(int(present.sum())) or "0.000", energy or "?", "Wh"
            )
        )
    until = pl.col("interval_start") + pl.duration(seconds="duration_s")
    wider = counted.filter((pl.col("interval_start") < row["interval_start"]) | (until > end))
    if not wider.is_empty():
        node.add(Node("spread", "", f"{len(wider)} readings reach beyond the interval and were spread over their time"))
    elif not counted.is_empty():
        values = counted["energy_milli_wh"].drop_nulls()
        of = Counter(counted["source"].to_list())
        sources = ", ".join(f"{n} of {kind}" for kind, n in sorted(of.items()) if kind != "reading")
        what = f"{len(values)} {'readings' if not sources else f'values ({sources})'} sum to the interval"
        node.add(equal(what, milli(int(values.sum())) or "0.000", energy or "?", "Wh"))
    return node


def _found(exceptions: pl.DataFrame) -> Node | None:
    if exceptions.is_empty():
        return None
    codes = Counter(exceptions["code"].to_list())
    text = ", ".join(f"{code} ({n})" if n > 1 else code for code, n in sorted(codes.items()))
    details = [f"{r['code']}: {r['detail']}" for r in exceptions.head(5).to_dicts()]
    return Node("findings", "", f"checks found {text}", {"details": details})


def _within(frame: pl.DataFrame, start: dt.datetime, end: dt.datetime, channels: Sequence[str]) -> pl.DataFrame:
    """Rows of `channels` that overlap the interval."""
    until = pl.col("interval_start") + pl.duration(seconds="duration_s")
    inside = (pl.col("interval_start") < end) & (until > start) & pl.col("channel").is_in(list(channels))
    order = pl.col("channel").replace_strict({name: number for number, name in enumerate(channels)}, default=None)
    return frame.filter(inside).sort("interval_start", order, maintain_order=True)


def _steps(
    counted: pl.DataFrame, readings: pl.DataFrame, estimates: pl.DataFrame, quarters: pl.DataFrame
) -> list[dict[str, Any]]:
    """What there is about each start within the interval, in order of time; odd is what is not simply one reading a channel."""
    steps: defaultdict[dt.datetime, dict[str, Any]] = defaultdict(
        lambda: {"counted": [], "readings": [], "estimates": [], "odd": False}
    )
    for name, frame in (("counted", counted), ("readings", readings), ("estimates", estimates)):
        for row in frame.to_dicts():
            steps[row["interval_start"]][name].append(row)
    energies = {row["interval_start"]: row for row in quarters.to_dicts()}
    for start, step in steps.items():
        step["start"], step["energy"] = start, energies.get(start)
        step["odd"] = bool(step["estimates"]) or any(row["version"] > 1 for row in step["readings"])
        step["odd"] |= any(row["source"] != "reading" for row in step["counted"])
    return [steps[start] for start in sorted(steps)]


def _step(source: Source, step: dict[str, Any], channels: Sequence[str], known: dict[str, Row]) -> Node:
    start, energy = step["start"], step["energy"]
    length = max(row["duration_s"] for row in (*step["counted"], *step["readings"], *step["estimates"]))
    facts = {channel: milli(energy[f"{channel}_milli_wh"]) if energy else None for channel in channels}
    title = ", ".join(f"{channel} {wh or '?'}" for channel, wh in facts.items()) + " Wh" if energy else "not kept as 15 s energy"
    node = Node("15 s energy" if length == 15 else f"{length} s", clock(start), title, {f"{c}_wh": wh for c, wh in facts.items()})
    for row in step["counted"]:
        if row["source"] in (EDIT, REGISTER_WINS):
            says = f"{row['channel']} {milli(row['energy_milli_wh'])} Wh counts by {row['source']}, {flags(row['quality_flags'])}"
            node.add(Node("counts", row["channel"], says, {"quality_flags": row["quality_flags"], "usable": int(row["usable"])}))
    for row in step["estimates"]:
        gap = f"{clock(row['gap_start'])} to {clock(row['gap_end'])}"
        energies = f"{row['channel']} {milli(row['energy_milli_wh'])} Wh by {row['method']}"
        says = f"{energies}, for the gap {gap}, {flags(row['quality_flags'])}"
        usable = "may be settled" if row["usable"] else "is not settled"
        node.add(
            Node(
                "estimate",
                row["channel"],
                f"{says}, {usable}",
                {"method": row["method"], "energy_wh": milli(row["energy_milli_wh"])},
            )
        )
    latest = {row["channel"]: row["version"] for row in sorted(step["readings"], key=lambda row: row["version"])}
    node.add(*(reading(row, counts=row["version"] == latest[row["channel"]]) for row in step["readings"]))
    about = messages.About(start, start + dt.timedelta(seconds=length), channels)
    ids = dict.fromkeys(row["message_id"] for row in step["readings"])
    return node.add(*(messages.message(source, known.get(id_), id_, about) for id_ in ids))


def _revisions(source: Source, meter_id: str, start: dt.datetime) -> list[Node]:
    """What the interval's energy was before it changed after its close."""
    nodes = []
    for row in source.rows(core.REVISIONS, "meter_id = ? AND interval_start = ?", meter_id, start):
        deltas = {c: row[f"{c}_delta_milli_wh"] for c in MARKET_CHANNELS}
        changed = ", ".join(f"{channel} {'+' if delta > 0 else ''}{milli(delta)}" for channel, delta in deltas.items() if delta)
        title = f"known from {clock(row['known_from'])}: {changed + ' Wh' if changed else 'as the interval closed'}"
        facts = {f"{channel}_wh": milli(row[f"{channel}_milli_wh"]) for channel in MARKET_CHANNELS}
        nodes.append(Node("revision", str(row["revision"]), title, facts))
    return nodes
