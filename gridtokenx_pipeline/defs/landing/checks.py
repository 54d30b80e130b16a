"""What was loaded is what was landed."""

import datetime as dt

import dagster as dg
import polars as pl

from gridtokenx_pipeline.contracts import raw
from ingest_server.landing.store import SegmentDamaged

from ..checks import hourly_check
from ..quality import gx_check
from ..resources import Stores


@hourly_check(
    raw.MESSAGES,
    blocking=True,
    description="Every message of the landing segments that can be read is in raw.messages, once, with the body its sha256 names.",
)
def messages_match_landing(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Compare counts per segment and re-hash the loaded bodies."""
    loaded = _loaded(stores, start, end)
    altered = int(loaded["altered"].sum() or 0)
    gaps = [name for name in _with_gaps(loaded) if _damage(stores, name, whole=True) is None]
    return dg.AssetCheckResult(
        passed=not altered and not gaps,
        metadata={
            "segments": len(loaded),
            "messages": int(loaded["messages"].sum() or 0),
            "altered": altered,
            "segments_with_gaps": gaps,
        },
    )


@hourly_check(
    raw.MESSAGES,
    description="No landing segment is damaged. Blocks nothing: the meters whose messages are lost settle as incomplete, the others go on.",
)
def landing_is_readable(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Read on from the high-water mark of every segment of the window, and what is missing before it."""
    loaded = _loaded(stores, start, end)
    marks = dict(loaded.select("segment", "mark").iter_rows())
    gaps = set(_with_gaps(loaded))
    names = [segment.name for segment in stores.landing.segments() if start <= segment.hour < end]
    damage = {name: _damage(stores, name, marks.get(name, 0), whole=name in gaps) for name in names}
    found = {name: text for name, text in damage.items() if text is not None}
    lost = loaded.filter(loaded["segment"].is_in(list(found)))
    return dg.AssetCheckResult(
        passed=not found,
        metadata={
            "segments": len(names),
            "damaged": found,
            "messages_missing_between": int((lost["mark"] - lost["messages"]).sum() or 0),
        },
    )


gx_messages = gx_check(raw.MESSAGES, blocking=True)

SUITES = [gx_messages]


def _loaded(stores: Stores, start: dt.datetime, end: dt.datetime) -> pl.DataFrame:
    return stores.warehouse.query(
        "SELECT segment, count(*) AS messages, max(sequence) AS mark, "
        "count(*) FILTER (WHERE body_removed_at IS NULL AND sha256(body) <> body_sha256) AS altered "
        "FROM raw.messages WHERE received_at >= ? AND received_at < ? GROUP BY segment ORDER BY segment",
        (start, end),
    )


def _with_gaps(loaded: pl.DataFrame) -> list[str]:
    return loaded.filter(loaded["messages"] != loaded["mark"])["segment"].to_list()


def _damage(stores: Stores, segment: str, mark: int = 0, *, whole: bool = False) -> str | None:
    """What is wrong with the file of a segment beyond `mark`, or anywhere with `whole`; None for nothing, or for no file."""
    try:
        if whole:
            return stores.landing.damage(segment)
        stores.landing.read(segment, after=mark, limit=1)
    except FileNotFoundError:
        return None
    except SegmentDamaged as damage:
        return str(damage)
    return None
