"""Green and grey energy in stores: what came from certified generation of the same meter, and what came from anywhere else.

A store is kept as charged, in Wh at the meter's AC side. What it gives is taken out of both parts in their proportion, and
losses with it: so no more certificates leave a store than efficiency times those that were locked into it.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from gridtokenx_pipeline.contracts import certificates as tables

from .names import METER

_MILLION = 1_000_000


def account(flows: pl.DataFrame, before: pl.DataFrame, efficiency_ppm: int) -> pl.DataFrame:
    """Return a frame of `contracts.certificates.STORAGE`, sorted by its key, for every row of `flows`.

    `flows` has zone, meter_id, interval_start, duration_s, charge_wh, discharge_wh, surplus_wh (certificates of the interval that
    may be locked: issued and not claimed by the meter's own load) and late. `before` has zone, meter_id, green_wh and grey_wh
    as they are before the first row that is not late; a meter it lacks has an empty store. Energies are whole Wh, Int64.

    In an interval, the store gives before it takes, so nothing leaves it that may have come in later:
    used = min(ceil(discharge / efficiency), store), of which floor(used x green / store) is green,
    green_out = min(discharge, floor(green used x efficiency)), and green_in = min(charge, surplus).
    A late row changes nothing, and all it charges counts as grey.
    """
    ordered = flows.sort("interval_start", *METER)
    meters = ordered.select(METER).unique().sort(METER).with_row_index("meter")
    state = meters.join(before.select(*METER, "green_wh", "grey_wh"), on=METER, how="left", maintain_order="left")
    green, grey = (state[name].fill_null(0).to_numpy().copy() for name in ("green_wh", "grey_wh"))
    which = ordered.select(METER).join(meters, on=METER, how="left", maintain_order="left")["meter"].to_numpy()
    charge, discharge, surplus = (ordered[name].to_numpy() for name in ("charge_wh", "discharge_wh", "surplus_wh"))
    late = ordered["late"].to_numpy()
    made = {
        name: np.zeros(len(ordered), dtype=np.int64)
        for name in ("green_in_wh", "grey_in_wh", "used_wh", "green_used_wh", "green_out_wh", "green_wh", "grey_wh")
    }
    bounds = np.append(ordered.with_row_index().unique("interval_start", keep="first").sort("index")["index"], len(ordered))
    for first, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        rows = slice(first, end)
        meter, on_time = which[rows], ~late[rows]
        green_before, grey_before = green[meter], grey[meter]
        store = green_before + grey_before
        used = np.minimum(-(-discharge[rows] * _MILLION // efficiency_ppm), store) * on_time
        green_used = used * green_before // np.maximum(store, 1)
        green_in = np.minimum(charge[rows], surplus[rows]) * on_time
        grey_in = charge[rows] - green_in
        green[meter] = green_before - green_used + green_in
        grey[meter] = grey_before - (used - green_used) + grey_in * on_time
        made["green_in_wh"][rows], made["grey_in_wh"][rows] = green_in, grey_in
        made["used_wh"][rows], made["green_used_wh"][rows] = used, green_used
        made["green_out_wh"][rows] = np.minimum(discharge[rows], green_used * efficiency_ppm // _MILLION)
        made["green_wh"][rows], made["grey_wh"][rows] = green[meter], grey[meter]
    return tables.STORAGE.conform(
        ordered.with_columns(
            *(pl.Series(name, values) for name, values in made.items()), efficiency_ppm=pl.lit(efficiency_ppm, dtype=pl.Int32)
        )
        .select(list(tables.STORAGE.frame_schema()))
        .sort(tables.STORAGE.key)
    )
