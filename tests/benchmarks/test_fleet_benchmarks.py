from __future__ import annotations

import pytest

from gridtokenx_pipeline.benchmarks import connections, reconnect


def test_a_small_fleet_has_every_figure_and_loses_nothing() -> None:
    result = connections.run(connections=20, posts_per_s=40, seconds=1)
    assert set(result) == {
        "connections", "posts_per_s", "posts", "p50_ms", "p99_ms", "cores", "kb_per_connection", "connect_seconds", "lost",
    }  # fmt: skip
    assert (result["posts"], result["lost"]) == (40, 0)
    assert 0 < result["p50_ms"] <= result["p99_ms"]


def test_a_small_storm_is_over_when_everyone_is_back() -> None:
    result = reconnect.run(connections=20)
    assert set(result) == {"connections", "seconds", "retries", "handshakes_per_s", "lost"}
    assert (result["connections"], result["lost"]) == (20, 0)
    assert result["seconds"] > 0


def test_too_many_connections_are_told_before_anything_starts() -> None:
    with pytest.raises(RuntimeError, match="ulimit -n"):
        connections.run(connections=10_000_000)
