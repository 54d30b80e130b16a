"""The IDL files of the deployed GridTokenX programs. They belong to whoever deployed the programs, and are not kept here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

VARIABLE = "GRIDTOKENX_IDLS"
PROGRAMS = ("energy_token", "governance", "oracle", "registry", "trading", "treasury")


def deployed_idls() -> Path:
    """The directory of the files; without one the test is skipped."""
    directory = Path(os.environ.get(VARIABLE, "none"))
    if not (directory / "oracle.json").is_file():
        pytest.skip(
            f"the deployed programs are NOT tested: {VARIABLE} names no directory with their IDL files (oracle.json, ...)"
        )
    return directory


def deployed_idl(program: str) -> Path:
    """The file of a program; without it the test is skipped."""
    return deployed_idls() / f"{program}.json"
