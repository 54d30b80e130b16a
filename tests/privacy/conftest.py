from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from private_campus import PrivateCampus

from gridtokenx_pipeline.warehouse.extensions import ensure_extension_directory


@pytest.fixture(scope="session")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_extension_directory(tmp_path_factory.mktemp("extensions"))


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, extensions: Path) -> PrivateCampus:
    """Two days of two meters, landed and examined. Not for writing."""
    campus = PrivateCampus(tmp_path_factory.mktemp("filled") / "data", extensions)
    campus.fill()
    return campus


@pytest.fixture
def campus(tmp_path: Path, filled: PrivateCampus):
    """The same, for the test to write to."""
    campus = filled.copy(tmp_path / "data")
    yield campus
    campus.close()


@pytest.fixture(scope="session")
def forgotten(tmp_path_factory: pytest.TempPathFactory, filled: PrivateCampus):
    """A campus whose first owner was forgotten. Not for writing."""
    campus = filled.copy(tmp_path_factory.mktemp("forgotten") / "data")
    campus.forget_the_first_owner()
    yield campus
    campus.close()
