"""IDL documents to make tests of, and the values of the golden vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deployed_idls import deployed_idl
from solders.pubkey import Pubkey

from gridtokenx_pipeline.solana.idl import Idl, parse_idl, read_idl

HERE = Path(__file__).parent


def idl_named(name: str) -> Idl:
    return read_idl(HERE / "everything.json" if name == "everything" else deployed_idl(name))


def document(*args: Any, types: list[Any] | None = None, **top: Any) -> dict[str, Any]:
    """An IDL of one instruction `go` with arguments `a`, `b`, ... of the given types."""
    fields = [{"name": name, "type": type_} for name, type_ in zip("abcdefgh", args, strict=False)]
    go = {"name": "go", "discriminator": [1], "accounts": [], "args": fields}
    base = {
        "address": "11111111111111111111111111111111",
        "metadata": {"name": "small", "version": "0.1.0", "spec": "0.1.0"},
        "instructions": [go],
        "types": types or [],
    }
    return base | top


def small(*args: Any, types: list[Any] | None = None, **top: Any) -> Idl:
    return parse_idl(document(*args, types=types, **top))


def from_golden(value: Any) -> Any:
    """The Python value of a golden vector's JSON."""
    if isinstance(value, list):
        return [from_golden(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$int" in value:
        return int(value["$int"])
    if "$hex" in value:
        return bytes.fromhex(value["$hex"])
    if "$key" in value:
        return Pubkey.from_string(value["$key"])
    return {key: from_golden(item) for key, item in value.items()}


GOLDEN = json.loads((HERE / "golden.json").read_text())
