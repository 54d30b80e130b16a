"""`core.vee_exceptions`, `core.estimates`, `core.meter_hours`: accepted readings examined with everything around them."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from gridtokenx_pipeline.contracts import Table, core

from ..energy.derive import derive_energy, energy_replacements
from ..partitions import HOURS, window
from ..plots import completeness_table
from ..resources import Stores
from ..scope import Scope
from ..specs import result, spec, stage
from .context import days, kept
from .derive import TABLES, derive_intervals, replacements


@stage(
    "examine_intervals",
    [spec(table, [core.READINGS, core.REJECTED_READINGS, core.EDITS], partitions_def=HOURS) for table in TABLES],
)
def examine_intervals(context: dg.AssetExecutionContext, config: Scope, stores: Stores) -> Iterator[dg.MaterializeResult]:
    """Run the checks that need a meter's neighbours in time and space, and estimate what is missing, day after day."""
    start, end = window(context)
    rows, changed = dict.fromkeys(TABLES, 0), dict.fromkeys(TABLES, False)
    warehouse, settings = stores.warehouse, stores.settings
    for first, last in days(kept(stores.settings, start), end):
        derived = derive_intervals(warehouse, settings, first, last)
        for table, done in zip(TABLES, warehouse.commit(*replacements(derived, first, last, config.meter)), strict=True):
            rows[table] += done.rows
            changed[table] |= done.changed
        context.log.info("examined %s to %s", first, last)
        if last < end:
            # The next day is compared with this one's energy, which the stage after this one only makes for all days at once.
            warehouse.commit(*energy_replacements(derive_energy(warehouse, settings, first, last), first, last, config.meter))
    found = warehouse.query(
        "SELECT code, count(*) FROM core.vee_exceptions WHERE interval_start >= ? AND interval_start < ? GROUP BY code ORDER BY code",
        (start, end),
    )
    estimated = warehouse.query(
        "SELECT method, count(*) FROM core.estimates WHERE interval_start >= ? AND interval_start < ? GROUP BY method ORDER BY method",
        (start, end),
    )
    codes, methods = dict(found.iter_rows()), dict(estimated.iter_rows())
    context.log.info("findings: %s; estimates: %s", codes or "none", methods or "none")
    completeness = completeness_table(warehouse.read_window(core.METER_HOURS, start, end))
    more: dict[Table, dict[str, Any]] = {
        core.VEE_EXCEPTIONS: {"by_code": codes},
        core.ESTIMATES: {"by_method": methods},
        core.METER_HOURS: {"completeness": dg.MetadataValue.md(completeness)},
    }
    for table in TABLES:
        yield result(table, rows[table], changed[table], **more[table])
