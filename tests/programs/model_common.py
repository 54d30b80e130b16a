"""What the models of the programs share: accounts as records, and Anchor's codes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from solders.pubkey import Pubkey
from svm_world import SYSTEM

from gridtokenx_pipeline.solana.programs.images import idl, program_id

NULL = bytes(SYSTEM)


class Refused(Exception):
    """An instruction ends with `code`, and its transaction with it."""

    def __init__(self, code: int):
        super().__init__(code)
        self.code = code


def need(condition: Any, code: int) -> None:
    if not condition:
        raise Refused(code)


@dataclass(frozen=True)
class Ref:
    """An account as an instruction names it, with the flags of its transaction."""

    key: bytes
    signer: bool
    writable: bool


@dataclass(frozen=True)
class Record:
    """An account that holds data. Subclasses name the owner and encode themselves."""

    program = ""

    @property
    def owner_id(self) -> Pubkey:
        return program_id(self.program)

    def matches(self, data: bytes | None) -> bool:
        return data == self.encode()

    def encode(self) -> bytes:
        kind = type(self).__name__
        described = next(account for account in idl(self.program)["accounts"] if account["name"] == kind)
        return bytes(described["discriminator"]) + self.fields()

    def fields(self) -> bytes:
        raise NotImplementedError


@dataclass(frozen=True)
class Config(Record):
    authority: bytes
    pending: bytes
    submitter: bytes
    certifier: bytes
    window_s: int
    paused: int
    bump: int
    program = "governance"

    def fields(self) -> bytes:
        keys = self.authority + self.pending + self.submitter + self.certifier
        return keys + struct.pack("<IBB", self.window_s, self.paused, self.bump)


@dataclass(frozen=True)
class Meter(Record):
    meter_id: bytes
    owner: bytes
    changed_at: int
    limit_wh: int
    status: int
    bump: int
    program = "registry"

    def fields(self) -> bytes:
        return self.meter_id + self.owner + struct.pack("<qIBB", self.changed_at, self.limit_wh, self.status, self.bump)


class Accounts(dict[bytes, Record]):
    """Records by address; what is absent is a wallet or nothing."""

    def holds(self, ref: Ref, kind: type, code: int = 3007) -> Any:
        record = self.get(ref.key)
        need(record is not None and record.program == kind.program, code)
        need(type(record) is kind, 3002)
        return record

    def owned_by(self, ref: Ref, program: str) -> bool:
        record = self.get(ref.key)
        return record is not None and record.program == program

    def may_create(self, ref: Ref, system: Ref, program: str, *seeds: bytes) -> int:
        """The bump of the address that `seeds` give."""
        need(system.key == NULL, 3008)
        address, bump = Pubkey.find_program_address(list(seeds), program_id(program))
        need(bytes(address) == ref.key, 2006)
        return bump

    def authorized(self, signer: Ref, config: Ref, role: str = "submitter") -> Config:
        need(signer.signer, 3010)
        found = self.holds(config, Config)
        need(signer.key == getattr(found, role), 6000)
        need(not found.paused, 6001)
        return found


Handler = Callable[[Accounts, Sequence[Ref], bytes, int], None]


def dispatch(program: str, handlers: dict[str, Handler], accounts: Accounts, refs: Sequence[Ref], data: bytes, now: int) -> None:
    """One instruction: change `accounts` or raise `Refused`."""
    need(len({ref.key for ref in refs}) == len(refs), 2040)
    need(len(data) >= 8, 100)
    names = {bytes(ix["discriminator"]): ix["name"] for ix in idl(program)["instructions"]}
    need(data[:8] in names, 101)
    handlers[names[data[:8]]](accounts, refs, data[8:], now)


def expect(refs: Sequence[Ref], count: int, args: bytes, layout: str) -> tuple[Any, ...]:
    need(len(refs) == count, 3005)
    need(len(args) == struct.calcsize(layout), 102)
    return struct.unpack(layout, args)


__all__ = ["NULL", "Accounts", "Config", "Handler", "Meter", "Record", "Ref", "Refused", "dispatch", "expect", "need", "replace"]
