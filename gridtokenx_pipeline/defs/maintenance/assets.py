"""`ops/lake_maintenance`: every night what was forgotten is erased, old certificates expire, retention is applied, the lake compacted."""

import datetime as dt
from collections.abc import Callable

import dagster as dg

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.domain.certificates import CertificateError
from gridtokenx_pipeline.privacy import erasure, retention
from gridtokenx_pipeline.registry.decisions import plan_expiry
from gridtokenx_pipeline.registry.record import deciding, record
from gridtokenx_pipeline.warehouse.maintenance import Maintained, maintain

from ..resources import Stores
from ..specs import OWNERS, WAREHOUSE_POOL

SHOWN = 20
EXPIRY = "nightly expiry"
CRON = "40 2 * * *"
"""Away from the hour's close and the marts; a night run, in UTC, is as good at any hour for a campus anywhere."""


@dg.asset(
    key=dg.AssetKey(["ops", "lake_maintenance"]),
    description=(
        "The lake kept small: inlined rows flushed, files with deleted rows rewritten, small files merged, snapshots older than "
        "retention.snapshots_days expired and what nothing refers to removed; before it, retention, erasures that were left, and the "
        "expiry of certificates past certificates.validity_days. "
        "Fails when work was due and nothing was done."
    ),
    group_name="ops",
    owners=OWNERS,
    kinds={"ducklake"},
    pool=WAREHOUSE_POOL,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=60),
)
def lake_maintenance(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """Erase what was left of the forgotten, apply retention, compact; see `warehouse.maintenance.maintain` for what is due."""
    now = clock.now()
    settings = stores.settings
    tell = context.log.info
    # Erasure opens the lake by itself: a second connection of this process would hold a snapshot open beside it.
    stores.warehouse.close()
    erased = erasure.total(erasure.finish(settings, now, tell))
    expired_wh = expire_certificates(stores, now, tell)
    removed = retention.apply(settings, stores.warehouse, now, context.instance)
    for rule in removed:
        if rule.rows:
            tell(f"{rule.setting}: {rule.rows} {rule.what} from before {rule.before} removed")
    done = maintain(stores.warehouse, now, dt.timedelta(days=settings.retention.snapshots_days), progress=tell)
    stores.warehouse.close()
    return dg.MaterializeResult(
        metadata={
            "files_before": done.before.files,
            "files_after": done.after.files,
            "disk_bytes_before": done.before.disk_bytes,
            "disk_bytes_after": done.after.disk_bytes,
            "catalog_bytes_before": done.before.catalog_bytes,
            "catalog_bytes_after": done.after.catalog_bytes,
            "snapshots_before": done.before.snapshots,
            "snapshots_expired": done.snapshots_expired,
            "rows_flushed": done.rows_flushed,
            "files_rewritten": done.files_rewritten,
            "files_merged": done.files_merged,
            "files_removed": done.files_removed,
            "certificates_expired_wh": expired_wh,
            "erased_bodies": erased.bodies,
            "erased_rows": sum(erased.rows.values()),
            **{f"retention/{rule.setting}": rule.rows for rule in removed},
            "largest_tables": dg.MetadataValue.md(tables(done)),
        }
    )


def expire_certificates(stores: Stores, now: dt.datetime, tell: Callable[[str], object]) -> int:
    """Expire what is active past its validity, and return how many Wh; while a person decides, it waits for the next night."""
    try:
        with deciding(stores.warehouse):
            events = record(stores.warehouse, plan_expiry(stores.warehouse, stores.settings, actor=EXPIRY, at=now)).events
    except CertificateError as error:
        tell(f"no certificates expired: {error}")
        return 0
    return int(events["energy_wh"].sum())


def tables(done: Maintained) -> str:
    """Return the largest tables as Markdown: files and bytes before and after."""
    before = {table.table: table for table in done.before.tables}
    largest = sorted(done.after.tables, key=lambda table: -table.bytes)[:SHOWN]
    lines = ["| table | files before | files after | bytes before | bytes after |", "|---|---|---|---|---|"]
    for table in largest:
        was = before.get(table.table)
        lines.append(
            f"| {table.table} | {was.files if was else 0} | {table.files} | {was.bytes if was else 0:,} | {table.bytes:,} |"
        )
    return "\n".join(lines)


def build_maintenance() -> tuple[dg.AssetsDefinition, dg.ScheduleDefinition]:
    """Return the asset and the schedule that runs it every night; the schedule's job is the asset alone."""
    job = dg.define_asset_job(
        "maintenance", dg.AssetSelection.assets(lake_maintenance), description="Retention, erasure and compaction of the lake."
    )
    schedule = dg.ScheduleDefinition(name="nightly_maintenance", job=job, cron_schedule=CRON, execution_timezone="UTC")
    return lake_maintenance, schedule
