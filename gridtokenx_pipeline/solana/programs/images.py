"""Program images (`programs/bin`) and interface descriptions (`programs/*/idl.json`), checked when they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey

ROOT = Path(__file__).parents[3] / "programs"
PROGRAMS = ("governance", "registry", "oracle", "trading", "energy_token")


class ProgramError(Exception):
    """An image is not the one that was recorded, or cannot be given other ids."""


@cache
def idl(program: str) -> dict[str, Any]:
    """Return the description of `program` (Anchor IDL, spec 0.1.0). Raises `OSError`."""
    return json.loads((ROOT / program / "idl.json").read_text())


def program_id(program: str) -> Pubkey:
    """Return the id that the committed images have for `program`."""
    return Pubkey.from_string(idl(program)["address"])


def local_keypair(program: str) -> Keypair:
    """Return the key of `program_id(program)`. Anybody can compute it: it is for local clusters and tests alone."""
    return Keypair.from_seed(hashlib.sha256(f"gridtokenx-pipeline/program/{program}".encode()).digest())


def image(program: str, ids: Mapping[str, Pubkey] | None = None) -> bytes:
    """Return the sBPF v3 image of `program`, as in `programs/bin/SHA256SUMS`.

    Programs know each other by id. `ids` (program name to id) puts a cluster's own ids in place of the local ones; an image
    holds them as plain read-only bytes. Raises `ProgramError`, `OSError`.
    """
    data = (ROOT / "bin" / f"{program}.so").read_bytes()
    recorded = (ROOT / "bin" / "SHA256SUMS").read_text().splitlines()
    if f"{hashlib.sha256(data).hexdigest()}  {program}.so" not in recorded:
        raise ProgramError(f"{program}.so is not the image that SHA256SUMS records")
    for name, key in (ids or {}).items():
        # Read-only data lies before the code; an id occurs once, or not at all where the program does not use it.
        if data.count(bytes(program_id(name))) > 1:
            raise ProgramError(f"{program}.so holds the id of {name} more than once")
        data = data.replace(bytes(program_id(name)), bytes(key))
    return data
