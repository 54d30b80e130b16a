"""A real SVM with the programs in it, and instructions built from their IDL."""

from __future__ import annotations

import base64
import hashlib
import struct
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata
from solders.transaction_status import InstructionErrorCustom

from gridtokenx_pipeline.solana.programs.addresses import config_address, meter_address, state_address
from gridtokenx_pipeline.solana.programs.images import PROGRAMS, ROOT, idl, image, program_id

SYSTEM = Pubkey.default()
LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
TOKEN = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
WINDOW_S = 300
NOW = 1_800_000_000
NOW_WINDOW = NOW // WINDOW_S
_FORMATS = {"u64": "<Q", "i64": "<q", "u32": "<I", "u16": "<H", "u8": "<B", "bool": "<B"}


def key(name: str) -> Keypair:
    return Keypair.from_seed(hashlib.sha256(name.encode()).digest())


def encode(program: str, name: str, args: dict[str, Any]) -> bytes:
    described = next(ix for ix in idl(program)["instructions"] if ix["name"] == name)
    assert [argument["name"] for argument in described["args"]] == list(args)
    parts = [value(argument["type"], args[argument["name"]]) for argument in described["args"]]
    return bytes(described["discriminator"]) + b"".join(parts)


def value(kind: Any, given: Any) -> bytes:
    if kind == "pubkey" or (isinstance(kind, dict) and "array" in kind):
        return bytes(given)
    if isinstance(kind, dict):  # the one vector here: pairs of u32
        return struct.pack("<I", len(given)) + b"".join(struct.pack("<II", *pair) for pair in given)
    return struct.pack(_FORMATS[kind], given)


def instruction(program: str, name: str, keys: Sequence[Pubkey], **args: Any) -> Instruction:
    """The instruction with signer and writable as its IDL says; accounts beyond are writable."""
    described = next(ix for ix in idl(program)["instructions"] if ix["name"] == name)["accounts"]
    flags = [(bool(a.get("signer")), bool(a.get("writable"))) for a in described]
    flags += [(False, True)] * (len(keys) - len(flags))
    metas = [AccountMeta(each, *flag) for each, flag in zip(keys, flags, strict=True)]
    return Instruction(program_id(program), encode(program, name, args), metas)


class Outcome:
    """What a transaction did. `error` is None, (index, custom code), or (index, name of a runtime's error)."""

    def __init__(self, result: Any):
        failed = isinstance(result, FailedTransactionMetadata)
        meta = result.meta() if failed else result
        self.logs, self.units, self.error = meta.logs(), meta.compute_units_consumed(), None
        if failed:
            error = result.err()
            kind = getattr(error, "err", error)
            code = kind.code if isinstance(kind, InstructionErrorCustom) else str(kind)
            self.error = (getattr(error, "index", -1), code)

    @property
    def code(self) -> int | str | None:
        return self.error and self.error[1]

    def events(self, program: str) -> list[tuple[str, bytes]]:
        """(name, fields) of the events of `program` in the logs."""
        names = {bytes(event["discriminator"]): event["name"] for event in idl(program)["events"]}
        data = [base64.b64decode(line.split()[2]) for line in self.logs if line.startswith("Program data: ")]
        return [(names[each[:8]], each[8:]) for each in data if each[:8] in names]


class World:
    """LiteSVM with every program that is built, and the keys of the parts."""

    def __init__(self) -> None:
        # Signatures are the runtime's affair: without their check a transaction takes a third of the time.
        self.svm = LiteSVM().with_sigverify(False).with_blockhash_check(False).with_transaction_history(0)
        self.built = [name for name in PROGRAMS if (ROOT / name / "idl.json").exists()]
        for name in self.built:
            self.svm.add_program(program_id(name), image(name))
        self.payer, self.authority, self.submitter = key("payer"), key("authority"), key("submitter")
        self.certifier, self.stranger = key("certifier"), key("stranger")
        for each in (self.payer, self.authority, self.submitter, self.certifier, self.stranger):
            self.fund(each.pubkey())
        self._numbers = count(1)
        self._owners = {TOKEN, *map(program_id, self.built)}
        self.at(NOW)

    def at(self, unix_s: int) -> None:
        self.svm.set_clock(Clock(1, 0, 0, 0, unix_s))

    def fund(self, address: Pubkey) -> None:
        self.svm.set_account(address, Account(10**15, b"", SYSTEM))

    def message(self, instructions: Sequence[Instruction], payer: Pubkey | None = None) -> Message:
        # Another blockhash each time, so that equal instructions are another transaction.
        blockhash = Hash(next(self._numbers).to_bytes(32, "little"))
        return Message.new_with_blockhash(list(instructions), payer or self.payer.pubkey(), blockhash)

    def execute(self, message: Message) -> Outcome:
        return Outcome(self.svm.send_transaction(Transaction.new_unsigned(message)))

    def send(self, *instructions: Instruction) -> Outcome:
        return self.execute(self.message(instructions))

    def data(self, address: Pubkey) -> bytes | None:
        account = self.svm.get_account(address)
        return bytes(account.data) if account is not None and account.data else None

    def held(self, address: Pubkey) -> bytes | None:
        """The data at `address` where one of the programs or Token-2022 owns it."""
        account = self.svm.get_account(address)
        return bytes(account.data) if account is not None and account.owner in self._owners else None

    def initialize(self) -> None:
        assert self.send(self.initialize_ix()).error is None

    def initialize_ix(self, **args: Any) -> Instruction:
        program = program_id("governance")
        keys = [self.authority.pubkey(), config_address(), program, program_data(program), SYSTEM]
        given = {"submitter": self.submitter.pubkey(), "certifier": self.certifier.pubkey(), "window_seconds": WINDOW_S}
        return instruction("governance", "initialize", keys, **(given | args))

    def govern(self, name: str, signer: Keypair | None = None, **args: Any) -> Outcome:
        return self.send(instruction("governance", name, [(signer or self.authority).pubkey(), config_address()], **args))

    def register_ix(self, meter_id: bytes, owner: Pubkey | None = None, limit_wh: int = 5000) -> Instruction:
        keys = [self.submitter.pubkey(), config_address(), meter_address(meter_id), SYSTEM]
        args = {"meter_id": meter_id, "owner": owner or self.stranger.pubkey(), "limit_wh": limit_wh}
        return instruction("registry", "register_meter", keys, **args)

    def status_ix(self, meter_id: bytes, status: int, changed_at: int) -> Instruction:
        keys = [self.submitter.pubkey(), config_address(), meter_address(meter_id)]
        return instruction("registry", "update_meter_status", keys, status=status, changed_at=changed_at)

    def sync_ix(self, meter_id: bytes) -> Instruction:
        keys = [self.stranger.pubkey(), meter_address(meter_id), state_address(meter_id), SYSTEM]
        return instruction("oracle", "sync_meter", keys)


def program_data(program: Pubkey) -> Pubkey:
    return Pubkey.find_program_address([bytes(program)], LOADER)[0]


def altered(ix: Instruction, place: int, **changes: Any) -> Instruction:
    """`ix` with another key or other flags (`key`, `signer`, `writable`) in place `place`."""
    metas = list(ix.accounts)
    old = metas[place]
    metas[place] = AccountMeta(
        changes.get("key", old.pubkey), changes.get("signer", old.is_signer), changes.get("writable", old.is_writable)
    )
    return Instruction(ix.program_id, bytes(ix.data), metas)
