"""The upgradeable loader: instructions that put a program on a cluster, and the accounts that hold it.

Source of layouts: `UpgradeableLoaderState` and `UpgradeableLoaderInstruction` of the Solana SDK, in bincode.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.sysvar import CLOCK, RENT

LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
SYSTEM_PROGRAM = Pubkey.default()
BUFFER_HEADER = 37
PROGRAM_BYTES = 36
DATA_HEADER = 45
_BUFFER, _PROGRAM, _PROGRAM_DATA = 1, 2, 3


@dataclass(frozen=True)
class Buffer:
    """A buffer's content: who may write to it (`None`: nobody), and the bytes written so far, zeros elsewhere."""

    authority: Pubkey | None
    image: bytes


@dataclass(frozen=True)
class ProgramData:
    """A deployed program: the slot it was deployed in, who may upgrade it (`None`: nobody), its image and zeros after it."""

    slot: int
    authority: Pubkey | None
    image: bytes


def program_data_address(program: Pubkey) -> Pubkey:
    """Return the address of the account that holds the image of `program`."""
    return Pubkey.find_program_address([bytes(program)], LOADER)[0]


def program_account(program: Pubkey) -> bytes:
    """Return the content of the account at the id of `program`."""
    return struct.pack("<I", _PROGRAM) + bytes(program_data_address(program))


def program_data_account(image: bytes, authority: Pubkey, slot: int = 0) -> bytes:
    """Return the content of the account that holds `image`, upgradeable by `authority`."""
    return struct.pack("<IQB", _PROGRAM_DATA, slot, 1) + bytes(authority) + image


def read_buffer(data: bytes) -> Buffer | None:
    """Return what a buffer holds, or `None` where `data` is no buffer."""
    if len(data) < BUFFER_HEADER or struct.unpack_from("<I", data)[0] != _BUFFER:
        return None
    return Buffer(_authority(data, 4), data[BUFFER_HEADER:])


def read_program(data: bytes) -> Pubkey | None:
    """Return the address of a program's data account, or `None` where `data` is no program of this loader."""
    if len(data) != PROGRAM_BYTES or struct.unpack_from("<I", data)[0] != _PROGRAM:
        return None
    return Pubkey.from_bytes(data[4:])


def read_program_data(data: bytes) -> ProgramData | None:
    """Return what a program's data account holds, or `None` where `data` is none."""
    if len(data) < DATA_HEADER or struct.unpack_from("<I", data)[0] != _PROGRAM_DATA:
        return None
    return ProgramData(struct.unpack_from("<Q", data, 4)[0], _authority(data, 12), data[DATA_HEADER:])


def initialize_buffer(buffer: Pubkey, authority: Pubkey) -> Instruction:
    """Make the account `buffer`, which the loader owns already, a buffer of `authority`."""
    return Instruction(LOADER, struct.pack("<I", 0), [_meta(buffer, "w"), _meta(authority)])


def write(buffer: Pubkey, authority: Pubkey, offset: int, part: bytes) -> Instruction:
    """Write `part` at `offset` of the buffer's image. `authority` signs."""
    data = struct.pack("<IIQ", 1, offset, len(part)) + part
    return Instruction(LOADER, data, [_meta(buffer, "w"), _meta(authority, "s")])


def deploy(payer: Pubkey, program: Pubkey, buffer: Pubkey, authority: Pubkey, max_data_len: int) -> Instruction:
    """Make the buffer's image the program at `program`, with room for `max_data_len` bytes of image.

    The buffer ends and its lamports go to `payer`, who pays for the data account. Both sign. The loader verifies the image.
    """
    metas = [
        _meta(payer, "sw"),
        _meta(program_data_address(program), "w"),
        _meta(program, "w"),
        _meta(buffer, "w"),
        _meta(RENT),
        _meta(CLOCK),
        _meta(SYSTEM_PROGRAM),
        _meta(authority, "s"),
    ]
    return Instruction(LOADER, struct.pack("<IQ", 2, max_data_len), metas)


def upgrade(program: Pubkey, buffer: Pubkey, authority: Pubkey, spill: Pubkey) -> Instruction:
    """Replace the image at `program` by the buffer's. The buffer ends and its lamports go to `spill`. `authority` signs."""
    metas = [
        _meta(program_data_address(program), "w"),
        _meta(program, "w"),
        _meta(buffer, "w"),
        _meta(spill, "w"),
        _meta(RENT),
        _meta(CLOCK),
        _meta(authority, "s"),
    ]
    return Instruction(LOADER, struct.pack("<I", 3), metas)


def _meta(key: Pubkey, flags: str = "") -> AccountMeta:
    return AccountMeta(key, is_signer="s" in flags, is_writable="w" in flags)


def _authority(data: bytes, at: int) -> Pubkey | None:
    return Pubkey.from_bytes(data[at + 1 : at + 33]) if data[at] else None
