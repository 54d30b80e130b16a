"""What was loaded is what was landed."""

import datetime as dt

import dagster as dg

from gridtokenx_pipeline.contracts import raw

from ..checks import hourly_check
from ..resources import Stores


@hourly_check(
    raw.MESSAGES,
    blocking=True,
    description="Every message of the landing segments is in raw.messages, once, with the body its sha256 names.",
)
def messages_match_landing(stores: Stores, start: dt.datetime, end: dt.datetime) -> dg.AssetCheckResult:
    """Compare counts per segment and re-hash the loaded bodies."""
    loaded = stores.warehouse.query(
        "SELECT segment, count(*) AS messages, max(sequence) AS mark, count(*) FILTER (WHERE sha256(body) <> body_sha256) AS altered "
        "FROM raw.messages WHERE received_at >= ? AND received_at < ? GROUP BY segment ORDER BY segment",
        (start, end),
    )
    altered = int(loaded["altered"].sum() or 0)
    gaps = loaded.filter(loaded["messages"] != loaded["mark"])["segment"].to_list()
    return dg.AssetCheckResult(
        passed=not altered and not gaps,
        metadata={
            "segments": len(loaded),
            "messages": int(loaded["messages"].sum() or 0),
            "altered": altered,
            "segments_with_gaps": gaps,
        },
    )
