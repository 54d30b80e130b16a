"""What a settlement batch becomes on chain. A profile is the seam where programs of our own take the memo's place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.memo.instructions import create_memo
from spl.memo.models import MemoParams

if TYPE_CHECKING:
    from .outbox import Batch


class SettlementProfile(Protocol):
    """Maps one batch to the instructions of one transaction, and back to the text it put on chain."""

    @property
    def name(self) -> str:
        """Name in the configuration and in the `kind` of a recorded transaction."""

    def instructions(self, batch: Batch, payer: Pubkey) -> list[Instruction]:
        """Return the batch's instructions, without compute budget. Equal arguments give equal instructions."""

    def read(self, transaction: VersionedTransaction) -> str | None:
        """Return what the transaction says on chain, or `None` where it is not of this profile."""


class MemoProfile:
    """The batch's memo text in one SPL Memo instruction that the payer signs, so the chain shows who wrote it."""

    name = "memo"

    def instructions(self, batch: Batch, payer: Pubkey) -> list[Instruction]:
        """Return the one memo instruction of `batch`."""
        return [create_memo(MemoParams(program_id=MEMO_PROGRAM_ID, signer=payer, message=batch.memo.encode()))]

    def read(self, transaction: VersionedTransaction) -> str | None:
        """Return the text of the transaction's first memo instruction, or `None`."""
        return memo_of(transaction)


def memo_of(transaction: VersionedTransaction) -> str | None:
    """Return the UTF-8 text of the first SPL Memo instruction of `transaction`, or `None` where it has none."""
    keys = transaction.message.account_keys
    for instruction in transaction.message.instructions:
        # A program id always is a static key: lookup tables cannot supply programs.
        if keys[instruction.program_id_index] == MEMO_PROGRAM_ID:
            return bytes(instruction.data).decode("utf-8", errors="replace")
    return None


PROFILES: dict[str, SettlementProfile] = {MemoProfile.name: MemoProfile()}
