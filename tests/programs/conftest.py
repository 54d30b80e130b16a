from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from svm_world import World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def governed(world: World) -> World:
    """A world whose governance is initialized with the world's own keys."""
    world.initialize()
    return world
