"""The memo profile: a batch's memo text, with its Merkle root, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.memo.instructions import create_memo
from spl.memo.models import MemoParams

from ..actions import Action, ActionsRefused, Composed, Refusal, Verdict
from ..client import RpcPool


class MemoProfile:
    """The text of a `memo` action in one SPL Memo instruction that the payer signs, so the chain shows who wrote it."""

    name = "memo"

    def __init__(self, payer: Pubkey):
        self._payer = payer

    async def prepare(self, rpc: RpcPool, actions: Sequence[Action]) -> Mapping[str, Refusal]:
        """Every cluster has the memo program, so nothing is to be done."""
        return {}

    def compose(self, actions: Sequence[Action]) -> list[Composed]:
        """Return one memo instruction for each of `actions`. Raises `ActionsRefused` for another kind than `memo`."""
        others = {a.action_id: Refusal(None, f"the memo profile has no {a.kind}") for a in actions if a.kind != "memo"}
        if others:
            raise ActionsRefused(others)
        return [Composed(memo_instruction(action.values["memo"], self._payer), (action,)) for action in actions]

    def signers(self, kind: str) -> Sequence[Keypair]:
        """Nobody but the payer signs."""
        return ()

    def judge(self, action: Action, code: int | None, error: str) -> Verdict:
        """A memo that is refused was never there."""
        return "refused"


def memo_instruction(text: str, signer: Pubkey) -> Instruction:
    """Return the SPL Memo instruction of `text` that `signer` signs."""
    return create_memo(MemoParams(program_id=MEMO_PROGRAM_ID, signer=signer, message=text.encode()))


def memo_of(transaction: VersionedTransaction) -> str | None:
    """Return the UTF-8 text of the first SPL Memo instruction of `transaction`, or `None` where it has none."""
    keys = transaction.message.account_keys
    for instruction in transaction.message.instructions:
        # A program id always is a static key: lookup tables cannot supply programs.
        if keys[instruction.program_id_index] == MEMO_PROGRAM_ID:
            return bytes(instruction.data).decode("utf-8", errors="replace")
    return None
