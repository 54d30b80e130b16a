"""C header of one program from the programs' IDL files, so that names, discriminators, codes and layouts have one source.

`python headers.py PROGRAM` writes the header to standard output: instruction and event discriminators, argument lengths
and error codes of PROGRAM, and of every program its id, its accounts' discriminators, field offsets and lengths.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

PROGRAMS = ("governance", "registry", "oracle", "trading", "energy_token")
_SIZES = {"pubkey": 32, "u64": 8, "i64": 8, "u32": 4, "u16": 2, "u8": 1, "bool": 1}
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def size_of(kind: Any, types: dict[str, Any]) -> int | None:
    """Return the borsh length in bytes of an IDL type, or `None` where values differ in length. Raises `KeyError`."""
    if isinstance(kind, str):
        return _SIZES[kind]
    if "vec" in kind:
        return None
    if "array" in kind:
        item, count = kind["array"]
        size = size_of(item, types)
        return None if size is None else size * count
    fields = [size_of(field["type"], types) for field in types[kind["defined"]["name"]]["fields"]]
    return None if None in fields else sum(size or 0 for size in fields)


def header(program: str, root: Path) -> str:
    """Return the header of `program`, whose IDL is at `root`/program/idl.json. Raises `OSError`, `KeyError`."""
    lines = ["#pragma once"]
    for name in PROGRAMS:
        path = root / name / "idl.json"
        if path.exists():
            lines += _shared(name, json.loads(path.read_text()))
    own = json.loads((root / program / "idl.json").read_text())
    types = {kind["name"]: kind["type"] for kind in own["types"]}
    for instruction in own["instructions"]:
        name = instruction["name"].upper()
        lines.append(f"#define IX_{name} {_word(instruction['discriminator'])}")
        sizes = [size_of(argument["type"], types) for argument in instruction["args"]]
        if None not in sizes:
            lines.append(f"#define {name}_ARGS {sum(size or 0 for size in sizes)}")
    lines += [f"#define EVENT_{_upper(event['name'])} {_word(event['discriminator'])}" for event in own["events"]]
    lines += [f"#define ERROR_{_upper(error['name'])} {error['code']}" for error in own["errors"]]
    return "\n".join(lines) + "\n"


def _shared(program: str, idl: dict[str, Any]) -> list[str]:
    types = {kind["name"]: kind["type"] for kind in idl["types"]}
    # The attribute spares a program the ids it does not use.
    octets = ", ".join(str(octet) for octet in _base58(idl["address"]))
    lines = [f"static const unsigned char {program.upper()}_ID[32] __attribute__((unused)) = {{{octets}}};"]
    for account in idl["accounts"]:
        prefix, offset = _upper(account["name"]), 8
        lines.append(f"#define ACCOUNT_{prefix} {_word(account['discriminator'])}")
        for field in types[account["name"]]["fields"]:
            lines.append(f"#define {prefix}_{field['name'].upper()} {offset}")
            size = size_of(field["type"], types)
            if size is None:
                raise KeyError(f"{program}.{account['name']}.{field['name']} has no fixed length")
            offset += size
        lines.append(f"#define {prefix}_LEN {offset}")
    return lines


def _upper(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()


def _word(discriminator: list[int]) -> str:
    return f"0x{int.from_bytes(bytes(discriminator), 'little'):016x}ULL"


def _base58(text: str) -> bytes:
    number = 0
    for letter in text:
        number = number * 58 + _BASE58.index(letter)
    return number.to_bytes(32, "big")


if __name__ == "__main__":
    sys.stdout.write(header(sys.argv[1], Path(__file__).parent))
