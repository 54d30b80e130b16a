"""What ten thousand keep-alive connections cost a worker, and how fast it answers on them."""

from __future__ import annotations

from typing import Any

from .fleet import run_fleet


def run(connections: int = 10_000, posts_per_s: float = 667.0, seconds: float = 15.0) -> dict[str, Any]:
    """Open `connections` to one worker and post at `posts_per_s` over all of them for `seconds`.

    Returns connections, posts_per_s, posts, p50_ms and p99_ms (from when a post was due to its 201), cores (CPU seconds of
    the worker by second of posting), kb_per_connection (memory that the worker grew by while they were opened) and lost.
    Raises as `run_fleet`.
    """
    measured = run_fleet(connections, posts_per_s, seconds, storm=False)
    steady = measured.steps["steady"]
    return {
        "connections": connections,
        "posts_per_s": posts_per_s,
        "posts": steady["posts"],
        "p50_ms": round(steady["p50_ms"], 2),
        "p99_ms": round(steady["p99_ms"], 2),
        "cores": round((measured.cpu_s["steady"] - measured.cpu_s["posting"]) / seconds, 3),
        "kb_per_connection": round((measured.memory_kb["connected"] - measured.memory_kb["start"]) / connections, 1),
        "connect_seconds": round(measured.steps["connected"]["seconds"], 1),
        "lost": measured.lost,
    }
