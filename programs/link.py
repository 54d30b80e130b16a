"""Linker from one upstream-LLVM BPF object file to a Solana program of sBPF version 3.

`python link.py program.o program.so`. The output is what the strict loader asks for: ELF header, one program header for
read-only data at address 0 where there is any, one for code at 1 << 32, and the two themselves. Functions and data are
resolved here; system calls become the murmur3 hash of their name. No sections, symbols or dynamic relocations remain.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

CODE_ADDRESS = 1 << 32
EM_BPF = 247
SYSCALLS = frozenset(
    {
        "abort",
        "sol_get_clock_sysvar",
        "sol_get_rent_sysvar",
        "sol_invoke_signed_c",
        "sol_log_",
        "sol_log_data",
        "sol_memcmp_",
        "sol_memcpy_",
        "sol_memmove_",
        "sol_memset_",
        "sol_sha256",
        "sol_try_find_program_address",
    }
)
_SHF_WRITE, _SHF_ALLOC, _SHF_EXEC = 1, 2, 4
_SYMTAB, _NOBITS, _REL = 2, 8, 9
_STT_SECTION = 3
_R_64_64, _R_ABS64, _R_CALL = 1, 2, 10


class LinkError(ValueError):
    """An object file that cannot become a program; the message says what of it."""


@dataclass(frozen=True)
class _Section:
    name: str
    kind: int
    flags: int
    data: bytes
    size: int
    link: int
    info: int
    align: int


@dataclass(frozen=True)
class _Symbol:
    name: str
    kind: int
    section: int
    value: int


def murmur3(data: bytes) -> int:
    """Return the 32-bit murmur3 hash of `data` with seed 0, by which version 3 calls the system."""
    mask, value = 0xFFFFFFFF, 0

    def rotate(number: int, bits: int) -> int:
        return (number << bits | number >> 32 - bits) & mask

    def mix(block: bytes) -> int:
        return rotate(int.from_bytes(block, "little") * 0xCC9E2D51 & mask, 15) * 0x1B873593 & mask

    whole = len(data) & ~3
    for start in range(0, whole, 4):
        value = (rotate(value ^ mix(data[start : start + 4]), 13) * 5 + 0xE6546B64) & mask
    if whole < len(data):
        value ^= mix(data[whole:])
    value ^= len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & mask
    value = (value ^ value >> 13) * 0xC2B2AE35 & mask
    return value ^ value >> 16


def link(obj: bytes, entry: str = "entrypoint") -> bytes:
    """Return the program that `obj`, a little-endian relocatable BPF object, makes. Raises `LinkError`."""
    sections, symbols = _read(obj)
    kept = [number for number, section in enumerate(sections) if section.flags & _SHF_ALLOC and section.size]
    executable = [number for number in kept if sections[number].flags & _SHF_EXEC]
    if len(executable) != 1:
        raise LinkError(f"one executable section is needed, not {[sections[number].name for number in executable]}")
    text = executable[0]
    rodata, offsets = bytearray(), {}
    for number in kept:
        section = sections[number]
        if number == text:
            continue
        if section.flags & _SHF_WRITE or section.kind == _NOBITS:
            raise LinkError(f"section {section.name} is writable: programs have no writable data")
        rodata += bytes(-len(rodata) % max(8, section.align))
        offsets[number] = len(rodata)
        rodata += section.data
    rodata += bytes(-len(rodata) % 8)
    code = bytearray(sections[text].data)

    def address(symbol: _Symbol, addend: int) -> int:
        if symbol.section == text:
            return CODE_ADDRESS + symbol.value + addend
        if symbol.section in offsets:
            return offsets[symbol.section] + symbol.value + addend
        raise LinkError(f"symbol {symbol.name!r} is not defined")

    for section in sections:
        if section.kind != _REL or section.info not in kept:
            continue
        target, base = (code, 0) if section.info == text else (rodata, offsets[section.info])
        for at, info in struct.iter_unpack("<QQ", section.data):
            _relocate(target, base + at, info & 0xFFFFFFFF, symbols[info >> 32], text, address)
    starts = [symbol.value for symbol in symbols if symbol.name == entry and symbol.section == text]
    if len(starts) != 1:
        raise LinkError(f"there is no function {entry!r}")
    return _image(bytes(rodata), bytes(code), CODE_ADDRESS + starts[0])


def _relocate(target: bytearray, at: int, kind: int, symbol: _Symbol, text: int, address) -> None:  # type: ignore[no-untyped-def]
    if kind == _R_64_64:  # two-slot load of an address
        value = address(symbol, struct.unpack_from("<I", target, at + 4)[0])
        struct.pack_into("<I", target, at + 4, value & 0xFFFFFFFF)
        struct.pack_into("<I", target, at + 12, value >> 32)
    elif kind == _R_ABS64:  # a pointer in read-only data
        struct.pack_into("<Q", target, at, address(symbol, struct.unpack_from("<Q", target, at)[0]))
    elif kind == _R_CALL and symbol.section == text:
        (immediate,) = struct.unpack_from("<i", target, at + 4)
        # Against a section the immediate holds the function's place in it, in slots from the next one.
        start = symbol.value + (immediate + 1) * 8 if symbol.kind == _STT_SECTION else symbol.value
        target[at + 1] = target[at + 1] & 0x0F | 0x10
        struct.pack_into("<i", target, at + 4, start // 8 - at // 8 - 1)
    elif kind == _R_CALL and symbol.name in SYSCALLS:
        target[at + 1] &= 0x0F
        struct.pack_into("<I", target, at + 4, murmur3(symbol.name.encode()))
    else:
        # A misspelt system call would load, and fail when it is called.
        raise LinkError(f"cannot resolve {symbol.name!r} (relocation {kind})")


def _image(rodata: bytes, code: bytes, entry: int) -> bytes:
    segments = ([(4, 0, rodata)] if rodata else []) + [(1, CODE_ADDRESS, code)]  # flags: readable, executable
    offset = 64 + 56 * len(segments)
    image = b"\x7fELF\x02\x01\x01" + bytes(9)
    image += struct.pack("<HHIQQQIHHHHHH", 3, EM_BPF, 1, entry, 64, 0, 3, 64, 56, len(segments), 64, 0, 0)
    for flags, start, data in segments:
        image += struct.pack("<IIQQQQQQ", 1, flags, offset, start, start, len(data), len(data), 0)
        offset += len(data)
    return image + b"".join(data for _, _, data in segments)


def _read(obj: bytes) -> tuple[list[_Section], list[_Symbol]]:
    if obj[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<HH", obj, 16) != (1, EM_BPF):
        raise LinkError("not a little-endian 64-bit relocatable BPF object")
    (table,) = struct.unpack_from("<Q", obj, 40)
    count, names = struct.unpack_from("<HH", obj, 60)
    raw = [struct.unpack_from("<IIQQQQIIQQ", obj, table + 64 * number) for number in range(count)]

    def text(start: int) -> str:
        return obj[start : obj.index(0, start)].decode()

    sections = []
    for name, kind, flags, _, offset, size, to, info, align, _ in raw:
        data = b"" if kind == _NOBITS else obj[offset : offset + size]
        sections.append(_Section(text(raw[names][4] + name), kind, flags, data, size, to, info, align))
    tables = [section for section in sections if section.kind == _SYMTAB]
    if len(tables) != 1:
        raise LinkError("one symbol table is needed")
    strings = raw[tables[0].link][4]
    symbols = []
    for name, info, _, where, value, _ in struct.iter_unpack("<IBBHQQ", tables[0].data):
        symbols.append(_Symbol(text(strings + name), info & 15, where, value))
    return sections, symbols


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(link(Path(sys.argv[1]).read_bytes()))
