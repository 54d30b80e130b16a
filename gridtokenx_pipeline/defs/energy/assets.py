"""`core.energy_*`: the same energy at five interval lengths, and what it was before."""

from collections.abc import Iterator

import dagster as dg

from gridtokenx_pipeline.contracts import core

from ..partitions import HOURS, window
from ..plots import energy_plot
from ..resources import Stores
from ..scope import Scope
from ..specs import result, spec, stage
from ..vee.context import days, kept
from .derive import TABLES, derive_energy, energy_replacements

_INPUTS = [core.READINGS, core.VEE_EXCEPTIONS, core.ESTIMATES, core.EDITS]


@stage("aggregate_energy", [spec(table, _INPUTS, partitions_def=HOURS) for table in TABLES])
def aggregate_energy(context: dg.AssetExecutionContext, config: Scope, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """Aggregate the readings, estimates and edits of the event hours; all levels of a day change together."""
    start, end = window(context)
    rows, changed = dict.fromkeys(TABLES, 0), dict.fromkeys(TABLES, False)
    for first, last in days(kept(stores.settings, start), end):
        derived = derive_energy(stores.warehouse, stores.settings, first, last)
        changes = energy_replacements(derived, first, last, config.meter)
        for change, done in zip(changes, stores.warehouse.commit(*changes), strict=True):
            rows[change.table] += done.rows
            changed[change.table] |= done.changed
    plot = energy_plot(stores.warehouse.read_window(core.ENERGY_5MIN, start, end))
    for table in TABLES:
        shown = {"energy": dg.MetadataValue.md(plot)} if table is core.ENERGY_5MIN else {}
        yield result(table, rows[table], changed[table], **shown)
