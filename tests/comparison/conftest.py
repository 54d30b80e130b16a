from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose warehouse has the energy of the worked cases. Not for writing."""
    from past_energy import write

    directory = tmp_path_factory.mktemp("past")
    write(directory / "warehouse")
    return directory
