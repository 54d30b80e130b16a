from __future__ import annotations

import pytest
from differential import run

from gridtokenx_pipeline.solana.programs.images import PROGRAMS, idl


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_does_what_its_model_does(program: str):
    outcomes = run(program, 2000, seed=11)

    # The sequences reach success and at least half of the program's own refusals, or they would say little.
    own = {error["code"] for error in idl(program)["errors"]}
    assert outcomes[None] > 50
    assert len(own & outcomes.keys()) * 2 >= len(own)
