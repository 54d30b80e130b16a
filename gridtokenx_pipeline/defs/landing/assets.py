"""`raw.messages`: what the ingest server acknowledged, loaded once by high-water mark."""

import datetime as dt

import dagster as dg

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.contracts import raw
from gridtokenx_pipeline.domain import landing
from gridtokenx_pipeline.warehouse import Append
from ingest_server.landing.store import Segment, SegmentDamaged

from .. import watermarks
from ..partitions import HOUR, HOURS, window
from ..resources import Stores
from ..specs import result, spec, stage

LOAD_CHUNK = 20_000

# A message is stamped before its group commit. What was stamped this long ago has been committed, or its server is
# dead and it was never acknowledged.
COMMIT_GRACE = dt.timedelta(seconds=5)


@stage("load_messages", [spec(raw.MESSAGES, kinds=("sqlite", "ducklake"), partitions_def=HOURS)])
def load_messages(context: dg.AssetExecutionContext, stores: Stores) -> dg.MaterializeResult:
    """Append every acknowledged message of the receipt hours that is not loaded yet."""
    start, end = window(context)
    read_at = clock.now()
    zone = stores.settings.zone
    before = watermarks.complete_until(stores.warehouse, zone, watermarks.LANDING)
    segments = [
        s for s in stores.landing.segments() if (before is None or s.hour > before - HOUR or s.hour >= start) and s.hour < end
    ]
    marks = dict(
        stores.warehouse.query(
            "SELECT segment, max(sequence) FROM raw.messages WHERE received_at >= ? GROUP BY segment",
            (min([start, *(s.hour for s in segments)]),),
        ).iter_rows()
    )
    gap = any(_unread(stores, s, marks.get(s.name, 0)) for s in segments if s.hour < start)
    loaded = 0
    damaged: dict[str, str] = {}
    for segment in segments:
        if segment.hour < start:
            continue
        mark = marks.get(segment.name, 0)
        try:
            while messages := stores.landing.read(segment, after=mark, limit=LOAD_CHUNK):
                stores.warehouse.commit(Append(raw.MESSAGES, landing.frame(segment.name, messages)))
                loaded += len(messages)
                mark = messages[-1].sequence
        except SegmentDamaged as damage:
            # The other workers' and hours' meters go on; `landing_is_readable` says what is lost.
            damaged[segment.name] = str(damage)
            context.log.error("%s; the other segments go on", damage)
    stores.warehouse.commit(watermarks.advance(zone, watermarks.LANDING, before, min(read_at - COMMIT_GRACE, end), gap=gap))
    rows = stores.warehouse.query(
        "SELECT count(*) FROM raw.messages WHERE received_at >= ? AND received_at < ?", (start, end)
    ).item()
    context.log.info("loaded %d new messages, %d in the window", loaded, rows)
    return result(raw.MESSAGES, rows, loaded > 0, loaded=loaded, **({"damaged_segments": damaged} if damaged else {}))


def _unread(stores: Stores, segment: Segment, mark: int) -> bool:
    """Whether a segment holds messages above `mark` that can be read."""
    try:
        return bool(stores.landing.read(segment, after=mark, limit=1))
    except SegmentDamaged:
        return False
