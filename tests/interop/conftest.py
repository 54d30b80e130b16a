from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from ieee2030_5.pki import Authority

sys.path.insert(0, str(Path(__file__).parents[1] / "ingest_server"))
sys.path.insert(0, str(Path(__file__).parent))

from cactus_installation import CactusUnavailable, cactus
from cactus_runs import Outcome, Procedure, run

_AT_ONCE = 3


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Outcome]]]:
    """Runs of the procedures that this session asks for, side by side: they wait more than they work."""
    asked = [item.callspec.params["procedure"] for item in request.session.items if item.get_closest_marker("interop")]
    procedures: list[Procedure] = list(dict.fromkeys(asked))
    try:
        command = cactus()
    except CactusUnavailable as reason:
        pytest.skip(f"NO INTEROPERABILITY TEST with cactus-client: {reason}")
    directory = tmp_path_factory.mktemp("interop")
    authority = Authority.ensure(directory / "pki")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield {one.id: pool.submit(run, one, command, authority, directory / one.id) for one in procedures}
        pool.shutdown(cancel_futures=True)
