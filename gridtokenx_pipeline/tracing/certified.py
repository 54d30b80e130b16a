"""Bundles of certificates: what they were issued on, what happened to them, and who holds them now."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

from gridtokenx_pipeline.contracts import certificates, market
from gridtokenx_pipeline.domain.certificates.issue import VALID, WITHHOLDING_FLAGS
from gridtokenx_pipeline.domain.certificates.names import CANCELLED, CORRECTION, SHORTFALL, STORAGE_DISCHARGE, WITHDRAWN

from .energy import energy_row, floors
from .find import BUNDLE, CERTIFICATE, EVENT
from .nodes import Node, check, clock, equal, flags, folded
from .source import Row, Source

STORAGE = STORAGE_DISCHARGE


def bundle(row: Row) -> Node:
    """Return the node of a bundle."""
    origin = "" if row["origin"] == "production" else f", {row['origin']}"
    version = f", version {row['version']}" if row["version"] > 1 else ""
    title = (
        f"{row['meter_id']} {clock(row['interval_start'])}: {row['energy_wh']:,} Wh, "
        f"certificates {row['first_wh']:,} to {row['last_wh']:,} "
        f"({row['source']}{origin}{version}), {row['state']}, {flags(row['quality_flags'])}"
    )
    names = ("energy_wh", "first_wh", "last_wh", "state", "origin", "version", "owner", "quality_flags")
    node = Node(BUNDLE, row["bundle_id"], title, {name: row[name] for name in names})
    what = f"{row['last_wh']:,} - {row['first_wh']:,} + 1"
    return node.add(equal(what, row["last_wh"] - row["first_wh"] + 1, row["energy_wh"], "Wh"))


def register(source: Source, row: Row) -> list[Node]:
    """Return the checks of a bundle against the register it was issued on, with the other versions of its interval's bundles.

    A correction leaves ids as they were issued, so those of a corrected meter are only told; the sum of all versions must
    be the register's even then, what the producer no longer had being owed (`shortfall`). Energy that is withheld now is
    corrected when it is validated.
    """
    channel = "discharge" if row["origin"] == STORAGE else "generation"
    energy = energy_row(source, row["meter_id"], row["interval_start"])
    ends = floors(energy, channel) if energy else None
    if energy is None or ends is None:
        return [check(False, f"the {channel} register of the interval is known")]
    low, high = ends
    zone, start = row["zone"], row["interval_start"]
    settled = source.window(market.GRID_SETTLEMENTS, zone, start)
    corrected = any(one["version"] > 1 for one in settled if one["meter_id"] == row["meter_id"])
    inside = low <= row["first_wh"] and row["last_wh"] < high
    are = "are" if inside else "are not"
    where = f"of the Wh {low:,} to {high - 1:,} of the {channel} register"
    text = f"certificates {row['first_wh']:,} to {row['last_wh']:,} {are} {where}"
    nodes = [Node("corrected", "", f"{text} now") if corrected and not inside else check(inside, text)]
    same = [one for one in bundles_of(source, zone, start, row["meter_id"]) if one["origin"] == row["origin"]]
    nodes += [bundle(one) for one in same if one["bundle_id"] != row["bundle_id"]]
    return nodes if row["origin"] == STORAGE else [*nodes, _total(source, energy, high, low, same)]


def _total(source: Source, energy: Row, high: int, low: int, bundles: list[Row]) -> Node:
    """Whether the bundles of an interval, less what corrections took back, are the whole Wh of its generation register."""
    taken = [
        one["energy_wh"]
        for each in bundles
        for one in events(source, each)
        if one["kind"] == SHORTFALL or (one["kind"] == WITHDRAWN and one["reason"] == CORRECTION)
    ]
    certified = sum(one["energy_wh"] for one in bundles) - sum(taken)
    less = f" less {sum(taken):,} Wh by corrections" if taken else ""
    what = f"floor({high:,}) - floor({low:,}), and {len(bundles)} bundles{less}"
    bits = energy["quality_flags"]
    if high - low != certified and (not bits & VALID or bits & sum(WITHHOLDING_FLAGS)):
        said = f"{what}: {high - low:,} is not {certified:,} Wh, but the energy is {flags(bits)} now"
        return Node("withheld", "", f"{said}: corrected when it is validated")
    return equal(what, high - low, certified, "Wh")


def events(source: Source, row: Row) -> list[Row]:
    """Return the events of a bundle in order."""
    found = source.rows(certificates.EVENTS, "bundle_id = ? AND interval_start >= ?", row["bundle_id"], row["interval_start"])
    return sorted(found, key=lambda one: (one["interval_start"], one["version"], one["number"]))


def event(row: Row) -> Node:
    """Return the node of an event."""
    span = f" {row['first_wh']:,} to {row['last_wh']:,}" if row["first_wh"] is not None else ""
    parts = [
        f"from {row['from_owner']} to {row['owner']}" if row["from_owner"] else f"owner {row['owner']}",
        f"with trade {row['trade_id']}" if row["trade_id"] else "",
        f"for storage-discharge bundle {row['counter_bundle_id']}" if row["kind"] == CANCELLED else "",
        f"for {row['beneficiary']}" if row["beneficiary"] else "",
        f"purpose {row['purpose']}" if row["purpose"] else "",
        f"by {row['actor']}" if row["actor"] != "pipeline" else "",
        f"({row['reason']})" if row["reason"] else "",
    ]
    title = f"{row['kind']} {row['energy_wh']:,} Wh{span} in {clock(row['interval_start'])}, {', '.join(filter(None, parts))}"
    left_out = ("event_id", "zone", "interval_start")
    node = Node(
        EVENT, row["event_id"], title, {name: value for name, value in row.items() if value is not None and name not in left_out}
    )
    if row["first_wh"] is not None and row["last_wh"] is not None:
        node.add(equal("certificates of the range", row["last_wh"] - row["first_wh"] + 1, row["energy_wh"], "Wh"))
    return node


def lives(source: Source, row: Row) -> list[Node]:
    """Return what happened to a bundle, and its certificates by owner and state, which must be all of them."""
    happened = events(source, row)
    nodes = folded(happened, max(source.limit, 6), event, "events")
    held = holdings(source, row)
    if not held:
        return [*nodes, Node("holdings", "", "are not folded yet")]
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for one in held:
        sums[one["owner"], one["state"]] += one["energy_wh"]
    text = ", ".join(f"{energy:,} Wh {state} with {owner}" for (owner, state), energy in sorted(sums.items()))
    total = sum(sums.values())
    node = Node("holdings", "", text, {f"{owner} {state}_wh": energy for (owner, state), energy in sorted(sums.items())})
    return [*nodes, node.add(equal(f"{len(held)} ranges are all certificates of the bundle", total, row["energy_wh"], "Wh"))]


def holdings(source: Source, row: Row) -> list[Row]:
    """Return the ranges of a bundle that share an owner and a state."""
    return source.rows(certificates.HOLDINGS, "bundle_id = ? AND interval_start = ?", row["bundle_id"], row["interval_start"])


def certificate(source: Source, row: Row, wh: int) -> Node:
    """Return the node of one certificate of a bundle: who holds it in which state, and the events that it was part of."""
    inside = row["first_wh"] <= wh <= row["last_wh"]
    held = [one for one in holdings(source, row) if one["first_wh"] <= wh <= one["last_wh"]]
    state = ", ".join(f"{one['state']} with {one['owner']}" for one in held) or "not folded yet"
    node = Node(CERTIFICATE, f"{row['bundle_id']}#{wh}", f"the Wh {wh:,} of {row['meter_id']}: {state}", {"wh": wh})
    node.add(check(inside, f"{wh:,} {'is' if inside else 'is not'} one of {row['first_wh']:,} to {row['last_wh']:,}"))
    node.add(check(len(held) <= 1, f"{len(held)} ranges hold it"))
    return node.add(
        *(event(one) for one in events(source, row) if one["first_wh"] is None or one["first_wh"] <= wh <= one["last_wh"])
    )


def cancelled_for(source: Source, row: Row) -> list[Node]:
    """Return the cancellations of locked certificates that a storage-discharge bundle rests on, and the store's account."""
    rows = [
        one
        for one in source.window(certificates.EVENTS, row["zone"], row["interval_start"])
        if one["counter_bundle_id"] == row["bundle_id"] and one["kind"] == CANCELLED
    ]
    total = sum(one["energy_wh"] for one in rows)
    accounts = [
        one
        for one in source.window(certificates.STORAGE, row["zone"], row["interval_start"])
        if one["meter_id"] == row["meter_id"]
    ]
    nodes = [storage(one) for one in accounts]
    nodes.append(
        check(total >= row["energy_wh"], f"{total:,} Wh of locked certificates were cancelled for {row['energy_wh']:,} Wh")
    )
    return [*nodes, *folded(rows, source.limit, event, "cancellations")]


def storage(row: Row) -> Node:
    """Return the node of a meter's store in an interval."""
    title = (
        f"charged {row['charge_wh']:,} Wh ({row['green_in_wh']:,} green), discharged {row['discharge_wh']:,} Wh of "
        f"{row['used_wh']:,} used ({row['green_used_wh']:,} green; {row['green_out_wh']:,} Wh certified), "
        f"left {row['green_wh']:,} green and {row['grey_wh']:,} grey"
    )
    left_out = ("zone", "meter_id", "interval_start")
    facts = {name: int(value) for name, value in row.items() if name not in left_out}
    return Node("storage", f"{row['meter_id']}@{clock(row['interval_start'])}", title, facts)


def bundles_of(source: Source, zone: str, start: dt.datetime, meter_id: str) -> list[Row]:
    """Return the bundles of a meter's interval."""
    return [row for row in source.window(certificates.BUNDLES, zone, start) if row["meter_id"] == meter_id]


def moved_with(source: Source, zone: str, start: dt.datetime, trade_id: str) -> list[Row]:
    """Return the events of certificates that moved with a trade."""
    rows = source.window(certificates.EVENTS, zone, start)
    return [row for row in rows if row["trade_id"] == trade_id]
