"""Instructions that belong together, packed into few transactions and landed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey

from ..client import RpcPool
from ..packing.message import within_limits
from ..programs.landing import Landing, LandingFailed, Signed
from .chain import ACCOUNT_OVERHEAD_BYTES

Progress = Callable[[int, int], None]
"""Called with the transactions of a setup that have landed, and all of them."""

_AT_ONCE = 100  # so that each of them is sent well within the life of its blockhash


class SetupFailed(Exception):
    """The chain did not take what was to be set up. The message says what it answered; running again goes on from there."""


@dataclass
class Unit:
    """Instructions that land together, in their order, and who signs them besides the payer.

    `payer_bytes` and `submitter_bytes` are what rent is for, of accounts that these make at the cost of payer or submitter.
    """

    instructions: list[Instruction] = field(default_factory=list)
    signers: list[Keypair] = field(default_factory=list, repr=False)  # a keypair's repr is its secret
    payer_bytes: int = 0
    submitter_bytes: int = 0

    def add(self, instruction: Instruction, *signers: Keypair, payer_makes: int = 0, submitter_makes: int = 0) -> None:
        """Append `instruction`, which makes an account of `payer_makes` or `submitter_makes` bytes at the cost of either."""
        self.instructions.append(instruction)
        self.signers.extend(signers)
        self.payer_bytes += payer_makes + ACCOUNT_OVERHEAD_BYTES if payer_makes else 0
        self.submitter_bytes += submitter_makes + ACCOUNT_OVERHEAD_BYTES if submitter_makes else 0


def pack(units: Iterable[Unit], payer: Pubkey) -> list[Signed]:
    """Return `units` in as few transactions as taking them in order gives, each within 1,232 bytes and 64 accounts."""
    packed: list[Signed] = []
    open_: tuple[list[Instruction], list[Keypair]] = ([], [])
    for unit in units:
        if not unit.instructions:
            continue
        together = ([*open_[0], *unit.instructions], [*open_[1], *unit.signers])
        if open_[0] and not _fits(together[0], payer):
            packed.append(_signed(open_, payer))
            together = (unit.instructions, unit.signers)
        open_ = together
    return [*packed, _signed(open_, payer)] if open_[0] else packed


def _fits(instructions: Sequence[Instruction], payer: Pubkey) -> bool:
    return within_limits(MessageV0.try_compile(payer, list(instructions), [], Hash.default()))


def _signed(content: tuple[list[Instruction], list[Keypair]], payer: Pubkey) -> Signed:
    instructions, signers = content
    distinct = {signer.pubkey(): signer for signer in signers if signer.pubkey() != payer}
    return Signed(instructions, tuple(distinct.values()))


async def land(
    rpc: RpcPool,
    payer: Keypair,
    stages: Sequence[Sequence[Unit]],
    *,
    poll_s: float,
    progress: Progress | None = None,
    rehearse: bool = False,
) -> int:
    """Land `stages` one after the other, each in several transactions at a time; return the number of transactions.

    `rehearse` simulates each stage's first transaction before, for the program's own words. Raises `SetupFailed`, and what
    `RpcPool.call` raises.
    """
    landing = Landing(rpc, payer, poll_s=poll_s)
    packed = [pack(units, payer.pubkey()) for units in stages]
    total = sum(map(len, packed))
    done = 0

    def landed() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    try:
        for transactions in packed:
            if rehearse and transactions:
                await landing.rehearse(transactions[0])
            for start in range(0, len(transactions), _AT_ONCE):
                await landing.land(transactions[start : start + _AT_ONCE], landed)
    except LandingFailed as error:
        raise SetupFailed(str(error)) from error
    return total
