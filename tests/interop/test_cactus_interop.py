"""An independent client, made to test servers, finds the server as the standard and CSIP-AUS want it."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from cactus_runs import PROCEDURES, Outcome, Procedure


@pytest.mark.interop
@pytest.mark.parametrize("procedure", [pytest.param(one, id=one.id) for one in PROCEDURES])
def test_procedure_passes(procedure: Procedure, runs: dict[str, Future[Outcome]]) -> None:
    outcome = runs[procedure.id].result()
    assert outcome.passed, outcome.log[-8000:]
    assert outcome.warnings == []
