"""A reconnect storm: every connection of a fleet is lost at once, and all meters come back together."""

from __future__ import annotations

from typing import Any

from .fleet import run_fleet


def run(connections: int = 10_000) -> dict[str, Any]:
    """Drop `connections` of one worker at once and let them all reconnect and post.

    Returns connections, seconds (until the last one is back and its reading acknowledged), retries (handshakes and posts that
    had to be repeated), handshakes_per_s and lost (acknowledged readings that are not in the landing store). Raises as
    `run_fleet`.
    """
    measured = run_fleet(connections, posts_per_s=connections / 15, seconds=1.0, storm=True)
    back = measured.steps["back"]
    return {
        "connections": connections,
        "seconds": round(back["seconds"], 2),
        "retries": back["retries"],
        "handshakes_per_s": round(connections / back["seconds"]),
        "lost": measured.lost,
    }
