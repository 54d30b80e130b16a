"""A warehouse with what `settled_chain.Campus` settled: one interval with two versions, its items, certificates and transactions."""

from __future__ import annotations

import datetime as dt

import polars as pl
from settled_chain import BOUGHT, SOLD, ZONE, Campus

from gridtokenx_pipeline.contracts import Table, certificates, settlement
from gridtokenx_pipeline.domain import merkle
from gridtokenx_pipeline.domain.ids import derived_id
from gridtokenx_pipeline.domain.settlement import Memo, canonical_json
from gridtokenx_pipeline.warehouse import Append

_FILLINGS = {pl.String: "", pl.Int32: 0, pl.Int64: 0}


def rows(table: Table, *values: dict) -> pl.DataFrame:
    """Rows of `table`; columns that are not given are 0, empty, or null where they may be."""
    schema = table.frame_schema()
    blank = {c.frame_name: None if c.nullable else _FILLINGS.get(schema[c.frame_name]) for c in table.columns}
    return pl.DataFrame([blank | one for one in values], schema=schema)


def batch_of(campus: Campus, version: int, meters: tuple[str, ...]) -> tuple[pl.DataFrame, pl.DataFrame, str]:
    """ITEMS and BATCHES of a version with the energy of `meters`, and the batch's id."""
    batch = f"batch-0-{version}"
    payloads = [canonical_json({"kind": "energy_reading", "meter_id": meter, "version": version}) for meter in sorted(meters)]
    leaves = [merkle.leaf(text.encode()) for text in payloads]
    items = rows(
        settlement.ITEMS,
        *(
            {
                "item_id": derived_id("settlement_item", batch, "energy_reading", meter),
                "batch_id": batch,
                "zone": ZONE,
                "window_start": campus.start,
                "leaf_index": place,
                "kind": "energy_reading",
                "natural_key": meter,
                "payload": payloads[place],
                "leaf_sha256": leaves[place].hex(),
                "proof": merkle.proof_texts(leaves)[place],
            }
            for place, meter in enumerate(sorted(meters))
        ),
    )
    root = merkle.root(leaves).hex()
    memo = Memo(ZONE, campus.start, version, len(leaves), 3000 if version == 1 else 0, 0, 0, root).text()
    values = {"batch_id": batch, "zone": ZONE, "window_start": campus.start, "version": version, "items": len(leaves)}
    traded = 3000 if version == 1 else 0
    batches = rows(settlement.BATCHES, values | {"merkle_root": root, "memo": memo, "traded_wh": traded, "state": "confirmed"})
    return items, batches, batch


async def settle(campus: Campus) -> list[Append]:
    """Settle an interval on the chain; return what a warehouse has of it: 3,000 Wh traded, 2,500 Wh certified, 400 retired."""
    first_items, first, batch = batch_of(campus, 1, (SOLD, BOUGHT))
    second_items, second, _ = batch_of(campus, 2, (SOLD,))
    told = [row for frame in (first, second) for row in frame.iter_rows(named=True)]
    asked = [
        pl.concat([campus.reading(SOLD, 0, 5000, 100), campus.reading(BOUGHT, 0, 0, 900)]),
        *(campus.root(row["merkle_root"], row["version"], row["items"], memo=row["memo"]) for row in told),
        campus.grid(3000),
        pl.concat([campus.trade("t1", 1000), campus.trade("t2", 2000)]),
        campus.bundle("b1", 2500),
        campus.retirement("r1", 400),
    ]
    actions = pl.concat([await campus.carry_out(each) for each in asked])
    # All but the second version's root belong to the first batch.
    actions = actions.with_columns(batch_id=pl.when(pl.col("batch_id") == "batch-0-2").then("batch_id").otherwise(pl.lit(batch)))
    parked = campus.bundle("b2", 70).with_columns(
        batch_id=pl.lit(batch), state=pl.lit("parked"), error_code=pl.lit(6008, dtype=pl.Int32), error=pl.lit("too much")
    )
    carried = actions.unique("signature", keep="first", maintain_order=True)
    transactions = rows(
        settlement.TRANSACTIONS,
        *(
            {name: row[name] for name in ("signature", "batch_id", "zone", "window_start", "kind")}
            | {"actions": 1, "fee_lamports": 5000, "state": "confirmed"}
            for row in carried.iter_rows(named=True)
        ),
    )
    end = campus.start + dt.timedelta(minutes=5)
    common = {"zone": ZONE, "meter_id": SOLD, "interval_start": campus.start}
    bundles = rows(
        certificates.BUNDLES,
        *(common | {"bundle_id": name, "interval_end": end, "energy_wh": wh, "version": 1} for name, wh in _BUNDLES.items()),
    )
    holdings = rows(
        certificates.HOLDINGS,
        *(
            common | {"bundle_id": name, "first_wh": first_wh, "energy_wh": wh, "state": state, "owner": SOLD}
            for name, first_wh, wh, state in _HOLDINGS
        ),
    )
    return [
        Append(settlement.ITEMS, pl.concat([first_items, second_items])),
        Append(settlement.BATCHES, pl.concat([first, second])),
        Append(settlement.ACTIONS, settlement.ACTIONS.conform(pl.concat([actions, parked]))),
        Append(settlement.TRANSACTIONS, transactions),
        Append(certificates.BUNDLES, bundles),
        Append(certificates.HOLDINGS, holdings),
    ]


_BUNDLES = {"b1": 2500, "b2": 70}
_HOLDINGS = (("b1", 0, 2000, "active"), ("b1", 2000, 100, "locked"), ("b1", 2100, 400, "retired"), ("b2", 0, 70, "active"))
