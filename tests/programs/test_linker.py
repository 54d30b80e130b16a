from __future__ import annotations

import importlib.util
import struct

import pytest

from gridtokenx_pipeline.solana.programs.images import ROOT

spec = importlib.util.spec_from_file_location("program_linker", ROOT / "link.py")
linker = importlib.util.module_from_spec(spec)
import sys  # noqa: E402

sys.modules["program_linker"] = linker
spec.loader.exec_module(linker)

EXIT = struct.pack("<BBhi", 0x95, 0, 0, 0)
CALL = struct.pack("<BBhi", 0x85, 0x10, 0, -1)
LOAD = struct.pack("<BBhiBBhi", 0x18, 1, 0, 8, 0, 0, 0, 0)  # r1 = address + 8
TEXT, RODATA, RELOCATIONS = 1, 2, 3


def an_object(code: bytes, symbols: list[tuple[str, int, int, int]], relocations=(), flags: int = 2, machine: int = 247) -> bytes:
    """A relocatable object: `symbols` are (name, type, section, value), `relocations` (offset, type, symbol from 1)."""
    strings, table = b"\0", bytes(24)
    for name, kind, section, value in symbols:
        table += struct.pack("<IBBHQQ", len(strings), 0x10 | kind, 0, section, value, 0)
        strings += name.encode() + b"\0"
    moves = b"".join(struct.pack("<QQ", at, symbol << 32 | kind) for at, kind, symbol in relocations)
    names = b"\0.text\0.rodata\0"
    parts = [(1, 1, 6, code, 0, 0), (7, 1, flags, b"constant" * 2, 0, 0), (0, 9, 0, moves, 4, TEXT)]
    parts += [(0, 2, 0, table, 5, 1), (0, 3, 0, strings, 0, 0), (0, 3, 0, names, 0, 0)]
    headers, body = bytes(64), b""
    for name, kind, bits, data, link, info in parts:
        headers += struct.pack("<IIQQQQIIQQ", name, kind, bits, 0, 64 + len(body), len(data), link, info, 8, 0)
        body += data + bytes(-len(data) % 8)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 1, machine, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, 7, 6)
    return ident + header + body + headers


ENTRY = ("entrypoint", 2, TEXT, 0)


def test_a_program_is_header_constants_and_code():
    code = LOAD + CALL + EXIT + EXIT
    made = linker.link(
        an_object(
            code,
            [("entrypoint", 2, TEXT, 24), ("", 3, RODATA, 0), ("sol_log_", 0, 0, 0)],
            [(0, 1, 2), (16, 10, 3)],
        )
    )

    assert struct.unpack_from("<HHIQ", made, 16) == (3, 247, 1, (1 << 32) + 24)
    assert struct.unpack_from("<I", made, 48)[0] == 3  # sBPF version
    segments = [struct.unpack_from("<IIQQQQQ", made, 64 + 56 * n) for n in range(2)]
    assert [(flags, at, size) for _, flags, _, at, _, size, _ in segments] == [(4, 0, 16), (1, 1 << 32, 40)]
    linked = made[176 + 16 :]
    assert struct.unpack_from("<BBhi", linked, 0)[3] == 8
    assert struct.unpack_from("<BBhI", linked, 16) == (0x85, 0, 0, linker.murmur3(b"sol_log_"))


@pytest.mark.parametrize("symbol", [("helper", 2, TEXT, 16), ("", 3, TEXT, 0)])
def test_calls_within_are_relative(symbol):
    call = CALL if symbol[1] == 2 else struct.pack("<BBhi", 0x85, 0x10, 0, 1)  # against the section: slot 2 less 1
    made = linker.link(an_object(call + EXIT + EXIT, [ENTRY, symbol], [(0, 10, 2)]))

    assert struct.unpack_from("<BBhi", made, len(made) - 24) == (0x85, 0x10, 0, 1)


def test_murmur3_is_what_the_runtime_hashes():
    assert [linker.murmur3(text) for text in (b"", b"a", b"abc", b"abcd", b"hello, world")] == [
        0,
        0x3C2569B2,
        0xB3DD93FA,
        0x43ED676A,
        0x149BBB7F,
    ]


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        (b"\x7fELF\x01\x01" + bytes(60), "not a little-endian"),
        (an_object(EXIT, [ENTRY], machine=62), "not a little-endian"),
        (an_object(EXIT, [ENTRY], flags=3), "writable"),
        (an_object(EXIT, [ENTRY], flags=6), "one executable section"),
        (an_object(EXIT, [("main", 2, TEXT, 0)]), "no function"),
        (an_object(CALL + EXIT, [ENTRY, ("sol_logg_", 0, 0, 0)], [(0, 10, 2)]), "cannot resolve 'sol_logg_'"),
        (an_object(LOAD + EXIT, [ENTRY, ("missing", 0, 0, 0)], [(0, 1, 2)]), "'missing' is not defined"),
        (an_object(EXIT, [ENTRY, ("", 3, TEXT, 0)], [(0, 3, 2)]), "relocation 3"),
    ],
)
def test_what_cannot_be_a_program_is_refused_with_its_reason(obj: bytes, said: str):
    with pytest.raises(linker.LinkError, match=said):
        linker.link(obj)
