from __future__ import annotations

from gridtokenx_pipeline.benchmarks import matching


def test_small_markets_are_measured() -> None:
    result = matching.run(sizes=(5, 40, 200), days=2)
    assert 0 < result["trades_5"] < result["trades_40"] < result["trades_200"] < 200
    assert 0 < result["mb_5"] < result["mb_200"]
    assert {
        "ms_5",
        "growth_40",
        "growth_200",
        "ms_40_one_by_one",
        "day_s",
        "year_s",
        "year_cpu_s",
        "growth_year",
    } <= result.keys()
    assert result["trades_year"] > 2 * 288 * 10
