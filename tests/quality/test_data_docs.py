"""Data Docs: pages that load nothing, an index of them, and no more than are kept."""

from __future__ import annotations

import os
import re

import polars as pl
import pytest
from quality_rows import good

from gridtokenx_pipeline.quality import docs
from gridtokenx_pipeline.quality.outcome import Failure, SuiteOutcome
from gridtokenx_pipeline.quality.run import run
from gridtokenx_pipeline.quality.suite import load

ATTACK = "<script src='https://evil.example/x.js'>alert(1)</script><img src=//evil.example/p onerror=alert(2)>"
LOADS = re.compile(
    r"<(script|link|img|iframe|object|embed|form|svg|meta http|base)|(src|srcset|action|style|on\w+)\s*=|url\(|@import", re.I
)


def links(page: str) -> set[str]:
    return set(re.findall(r'href="([^"]*)"', page))


def empty(suite: str, failed: int = 0) -> SuiteOutcome:
    return SuiteOutcome(suite, 0, 3, (Failure("e", "c", 1),) * failed)


@pytest.fixture
def page(tmp_path):
    """The page of a suite with a failure, whose values are markup."""
    frame = good("market.trades")
    spoilt = frame.with_columns(kind=pl.when(pl.int_range(pl.len()) < 2).then(pl.lit(ATTACK)).otherwise("kind"))
    return docs.build(tmp_path, run(load("market.trades"), spoilt), "2026-01-15-18:00")


def test_a_page_loads_nothing_and_shows_values_as_they_are(page):
    text = page.read_text(encoding="utf-8")
    assert not LOADS.search(text.replace(ATTACK_SHOWN, ""))
    assert ATTACK_SHOWN in text
    assert {link for link in links(text) if not link.startswith("#")} == {"index.html", "../index.html"}


ATTACK_SHOWN = ATTACK.replace("<", "&lt;").replace(">", "&gt;")


def test_a_page_tells_counts_rows_and_reasons(page):
    text = page.read_text(encoding="utf-8")
    assert page.name == "2026-01-15-18_00.html"
    assert "8 rows, 27 expectations, 1 not met." in text
    assert f"trade_id {good('market.trades')['trade_id'][1]}" in text
    assert "2 unexpected values found" in text  # Great Expectations' own rendering
    assert "amount_micro = (energy_wh x price + 500) // 1000" in text


def test_indexes_lead_to_the_pages(page):
    docs.build(page.parent.parent, empty("core.readings", failed=1), "2026-01-15-19:00")
    suites = (page.parent.parent / "index.html").read_text(encoding="utf-8")
    assert links(suites) == {"core.readings/index.html", "market.trades/index.html"}
    assert suites.count('<tr class="critical">') == 2
    own = (page.parent / "index.html").read_text(encoding="utf-8")
    assert links(own) == {"../index.html", "2026-01-15-18_00.html"}
    assert "2026-01-15-18:00" in own


def test_the_newest_pages_of_each_suite_are_kept(tmp_path):
    for number in range(6):
        built = docs.build(tmp_path, empty("core.readings"), f"2026-01-15-{number:02d}:00", kept=3)
        os.utime(built, (number, number))
    docs.build(tmp_path, empty("core.telemetry"), "2026-01-15-00:00", kept=3)
    assert {path.stem for path in (tmp_path / "core.readings").glob("2026*")} == {f"2026-01-15-{n:02d}_00" for n in (3, 4, 5)}
    assert links((tmp_path / "core.readings" / "index.html").read_text()) == {
        "../index.html",
        *(f"2026-01-15-{n:02d}_00.html" for n in (3, 4, 5)),
    }
    assert not list(tmp_path.rglob(".*"))


def test_a_page_is_written_again_for_the_same_partition(tmp_path):
    first = docs.build(tmp_path, empty("core.readings", failed=1), "2026-01-15-18:00")
    assert docs.build(tmp_path, empty("core.readings"), "2026-01-15-18:00") == first
    assert "0 not met" in first.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("markup", "kept"),
    [
        ("<p onclick='x()' style='background:url(//h/p)'>t</p>", "<p>t</p>"),
        ("<a href='javascript:x()'>t</a>", "<a>t</a>"),
        ("<a href='#part'>t</a>", '<a href="#part">t</a>'),
        ("<p>a<img src='https://h/p.png'>b</p>", "<p>ab</p>"),
        ("<svg><a href='https://h'>t</a></svg>", ""),
        ("<style>@import url(https://h)</style><script>1</script><!-- c --><p>t</p>", "<p>t</p>"),
    ],
)
def test_what_could_load_or_run_is_taken_out(markup, kept):
    assert docs.offline(f"<html><body>{markup}</body></html>").removeprefix("<main>").removesuffix("</main>") == kept
