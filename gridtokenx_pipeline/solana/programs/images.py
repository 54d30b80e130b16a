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

Ids = Mapping[str, Pubkey]
"""Program name to the id it has on a cluster; what is missing has its local id."""

PROGRAMS = ("governance", "registry", "oracle", "trading", "energy_token")


def _root() -> Path:
    """Return where images and IDLs lie: in the package as installed from a wheel, or in the checkout."""
    shipped = Path(__file__).parent / "shipped"
    return shipped if shipped.is_dir() else Path(__file__).parents[3] / "programs"


ROOT = _root()


class ProgramError(Exception):
    """An image is not the one that was recorded, or cannot be given other ids."""


def idl(program: str, ids: Ids | None = None) -> dict[str, Any]:
    """Return the description of `program` (Anchor IDL, spec 0.1.0), with `ids` in place of the local ids. Raises `OSError`."""
    document = _idl(program)
    if not ids:
        return document
    texts = {str(program_id(name)): str(key) for name, key in ids.items()}
    seeds = {bytes(program_id(name)): list(bytes(key)) for name, key in ids.items()}
    replaced: dict[str, Any] = _replaced(document, texts, seeds)
    return replaced


def program_id(program: str, ids: Ids | None = None) -> Pubkey:
    """Return the id of `program`: that of `ids`, or the one that the committed images have."""
    return (ids or {}).get(program) or _local_id(program)


def local_keypair(program: str) -> Keypair:
    """Return the key of `program_id(program)`. Anybody can compute it: it is for local clusters and tests alone."""
    return Keypair.from_seed(hashlib.sha256(f"gridtokenx-pipeline/program/{program}".encode()).digest())


def image(program: str, ids: Ids | None = None) -> bytes:
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


@cache
def _idl(program: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((ROOT / program / "idl.json").read_text())
    return document


@cache
def _local_id(program: str) -> Pubkey:
    return Pubkey.from_string(_idl(program)["address"])


def _replaced(value: Any, texts: Mapping[str, str], seeds: Mapping[bytes, list[int]]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, texts, seeds) for key, item in value.items()}
    if isinstance(value, str):
        return texts.get(value, value)
    if isinstance(value, list):
        # A program in a PDA's description is the list of its 32 bytes.
        if len(value) == 32 and all(isinstance(item, int) for item in value):
            return seeds.get(bytes(value), value)
        return [_replaced(item, texts, seeds) for item in value]
    return value
