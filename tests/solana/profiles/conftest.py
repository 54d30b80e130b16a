from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_campus import Campus

from gridtokenx_pipeline.solana.keys import VARIABLES


@pytest.fixture
async def campus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Campus]:
    """A new local node behind HTTP, with nothing set up, and the configured campus that settles on it."""
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    async with Campus(tmp_path) as started:
        yield started
