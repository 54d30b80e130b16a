"""The market's tests notice a mistake in the engine: a sample of what `python -m tests.mutation.matcher` tries in full."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from matcher import ROOT, TESTS, workshop
from mutants import MUTANTS


@pytest.fixture(scope="module")
def shop():
    with workshop() as made:
        yield made


def test_every_mutant_still_applies():
    for mutant in MUTANTS:
        text = (ROOT / "gridtokenx_pipeline/domain/market" / f"{mutant.module}.py").read_text()
        assert text.count(mutant.before) == 1, mutant
        assert mutant.before != mutant.after


@pytest.mark.parametrize("before", ["< missing[of]", "len(partners) >= self._cap"])
def test_a_mistake_is_noticed(shop, before):
    (mutant,) = (one for one in MUTANTS if one.before == before)
    assert not shop.survives(mutant, TESTS[:1])


def test_the_copy_without_a_mistake_passes(shop):
    assert shop.passes(TESTS[:1])
