"""What the books expect of the supply, from rows of the warehouse alone."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from settled_warehouse import rows as rows_of

from gridtokenx_pipeline.contracts import certificates, settlement
from gridtokenx_pipeline.solana.audit import Expected, rows
from gridtokenx_pipeline.warehouse import Append, Warehouse

START = dt.datetime(2026, 11, 20, 18, tzinfo=dt.UTC)
PLACE = {"zone": "stanford", "window_start": START}


def action(kind: str, key: str, energy_wh: int, state: str = "done", batch: str = "b1") -> dict:
    arguments = f'{{"energy_wh":{energy_wh},"meter_id":"M1"}}'
    return PLACE | {
        "action_id": f"{kind} {key}",
        "batch_id": batch,
        "kind": kind,
        "natural_key": key,
        "arguments": arguments,
        "state": state,
    }


def batch(name: str, version: int, traded_wh: int, window: dt.datetime = START) -> dict:
    return {"batch_id": name, "zone": "stanford", "window_start": window, "version": version, "traded_wh": traded_wh}


def bundle(name: str, version: int = 1, start: dt.datetime = START) -> dict:
    return {"bundle_id": name, "zone": "stanford", "meter_id": "M1", "interval_start": start, "interval_end": start} | {
        "version": version
    }


def holding(name: str, state: str, energy_wh: int, first_wh: int = 0) -> dict:
    return {"bundle_id": name, "first_wh": first_wh, "energy_wh": energy_wh, "state": state, "interval_start": START}


def event(name: str, kind: str, energy_wh: int, actor: str = "ann") -> dict:
    values = {"bundle_id": "x", "zone": "stanford", "interval_start": START, "kind": kind, "energy_wh": energy_wh}
    return values | {"event_id": name, "actor": actor}


@pytest.fixture
def warehouse(tmp_path: Path):
    with Warehouse(tmp_path) as found:
        yield found


def test_books_are_what_was_sold_and_what_is_active_or_locked(warehouse: Warehouse):
    later = START + dt.timedelta(minutes=5)
    warehouse.commit(
        Append(settlement.BATCHES, rows_of(settlement.BATCHES, batch("b1", 1, 900), batch("memo", 1, 5000, later))),
        Append(
            settlement.ACTIONS,
            rows_of(
                settlement.ACTIONS,
                action("mint_grid", "M1", 600),
                action("mint_grid", "M2", 300, "refused"),
                action("mint_rec", "x", 1000),
                action("mint_rec", "y", 70, "waiting"),
                action("retire_rec", "M1@2026-11-20T18:00:00Z", 40),
                action("retire_rec", "M1@2026-11-20T18:00:00Z#2", 10, "parked"),
                action("memo", "memo", 0, batch="memo"),
            ),
        ),
        # z is of an interval that is not settled, old of one whose batch was a memo alone.
        Append(
            certificates.BUNDLES,
            rows_of(certificates.BUNDLES, bundle("x"), bundle("y"), bundle("z", version=2), bundle("old", start=later)),
        ),
        Append(
            certificates.HOLDINGS,
            rows_of(
                certificates.HOLDINGS,
                holding("x", "active", 800),
                holding("x", "locked", 125, 800),
                holding("x", "retired", 75, 925),
                holding("y", "active", 70),
                holding("z", "active", 999),
                holding("old", "active", 5000),
            ),
        ),
        # 50 of the 75 that were retired have an action, 40 of these done.
        Append(
            certificates.EVENTS,
            rows_of(
                certificates.EVENTS,
                event("e1", "retired", 50),
                event("e2", "retired", 25),
                event("e3", "transferred", 7),
                event("e4", "claimed", 9, "pipeline"),
            ),
        ),
    )
    grid, rec = rows.books(warehouse, rows.undone(warehouse))
    assert grid == Expected(600, 900, {"not_minted_waiting": 0, "not_minted_refused": 300, "not_minted_parked": 0})
    assert (rec.done_wh, rec.ledger_wh) == (960, 995)
    assert {name: wh for name, wh in rec.explained.items() if wh} == {
        "not_minted_waiting": 70,
        "not_retired_parked": -10,
        "ended_and_not_asked": -25,
    }
    # The same by the actions, and so the two can be compared.
    totals = rows.totals(warehouse, lambda *_: None)
    assert [one.done_wh for one in rows.expected_of_totals(warehouse, totals, [])] == [600, 960]


def test_books_of_nets_are_the_nets(warehouse: Warehouse):
    net = {"net_id": "n1", "zone": "stanford", "period_start": START, "period_end": START}
    warehouse.commit(
        Append(settlement.BATCHES, rows_of(settlement.BATCHES, batch("b1", 1, 900))),
        Append(
            settlement.NETS,
            rows_of(
                settlement.NETS,
                net | {"meter_id": "M1", "energy_wh": -500, "certified_wh": 800},
                net | {"meter_id": "M2", "energy_wh": 500, "certified_wh": -30},
            ),
        ),
        Append(
            settlement.ACTIONS,
            rows_of(
                settlement.ACTIONS,
                action("mint_grid", "M1@n1", 500, batch="n1"),
                action("mint_rec", "M1@n1", 800, batch="n1"),
                action("retire_rec", "M2@n1", 30, "waiting", batch="n1"),
                action("retire_rec", "M1@2026-11-20T18:00:00Z", 5),
            ),
        ),
    )
    grid, rec = rows.books(warehouse, rows.undone(warehouse))
    assert (grid.done_wh, grid.ledger_wh) == (500, 500)
    assert (rec.done_wh, rec.ledger_wh) == (795, 765)
