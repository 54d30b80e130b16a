"""Random instruction sequences on the real SVM and in a model: the same refusals, the same bytes afterwards.

A sequence is one transaction of one to five instructions: where one is refused, all are undone. A quarter of the
instructions is spoiled: a flag taken away, an account replaced, repeated, missing or added, data cut or lengthened.
Run by itself for many: `python tests/programs/differential.py PROGRAM SEQUENCES [SEED]`.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).parent))

from model_common import Accounts, Record, Ref, Refused
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.message import Message
from solders.pubkey import Pubkey
from svm_world import SYSTEM, World, key

WALLETS = [key(f"wallet {number}").pubkey() for number in range(5)]
EPISODE = 250  # sequences until the accounts are others


class Play(Protocol):
    """What a program's part of the fuzz offers."""

    world: World
    accounts: Accounts
    now: int

    def restart(self) -> None:
        """Begin an episode: other accounts, the old ones of no interest."""

    def stir(self) -> None:
        """Change what the program does not change itself, between sequences."""

    def draw(self) -> Instruction:
        """Return an instruction, sensible or nearly so."""


def put(world: World, accounts: Accounts, address: Pubkey, record: Record) -> None:
    """Place `record` on the chain and in the model."""
    accounts[bytes(address)] = record
    world.svm.set_account(address, Account(10**9, record.encode(), record.owner_id))


def spoil(rng: Random, ix: Instruction, pool: Sequence[Pubkey]) -> Instruction:
    metas, data = list(ix.accounts), bytes(ix.data)
    place = rng.randrange(len(metas))
    old = metas[place]
    match rng.randrange(10):
        case 0:
            metas[place] = AccountMeta(old.pubkey, False, old.is_writable)
        case 1 | 2:
            metas[place] = AccountMeta(old.pubkey, old.is_signer, False)
        case 3 | 4 | 5:
            # Only wallets sign: nothing can sign for the address of an account with data.
            metas[place] = AccountMeta(rng.choice(WALLETS if old.is_signer else pool), old.is_signer, old.is_writable)
        case 6:
            metas[place] = metas[rng.randrange(len(metas))]
        case 7:
            del metas[-1]
        case 8:
            metas.append(AccountMeta(rng.choice(pool), False, rng.random() < 0.5))
        case 9:
            data = rng.choice([data[:-1], data + b"\0", data[:7], b"", bytes(8) + data[8:], data[:8]])
    return Instruction(ix.program_id, data, metas)


def refs_of(message: Message, ix: Instruction) -> list[Ref]:
    header, count = message.header, len(message.account_keys)
    signers = header.num_required_signatures
    writable = {*range(signers - header.num_readonly_signed_accounts)}
    writable |= {*range(signers, count - header.num_readonly_unsigned_accounts)}
    places = {each: place for place, each in enumerate(message.account_keys)}
    # The runtime never lets a transaction write to the system program.
    return [
        Ref(bytes(meta.pubkey), places[meta.pubkey] < signers, places[meta.pubkey] in writable and meta.pubkey != SYSTEM)
        for meta in ix.accounts
    ]


def expected(model: Any, accounts: Accounts, message: Message, instructions: Sequence[Instruction], now: int) -> Any:
    """Change `accounts` as the transaction should; return its error."""
    tried = Accounts(accounts)
    for index, ix in enumerate(instructions):
        try:
            model.apply(tried, refs_of(message, ix), bytes(ix.data), now)
        except Refused as refused:
            return (index, refused.code)
    accounts.update(tried)
    return None


def run(program: str, sequences: int, seed: int) -> Counter[Any]:
    """Return how often sequences ended how (code, or None). Raises `AssertionError` at the first difference."""
    rng, model = Random(seed), importlib.import_module(f"model_{program}")
    play: Play = importlib.import_module(f"play_{program}").make(rng)
    outcomes: Counter[Any] = Counter()
    for number in range(sequences):
        if number % EPISODE == 0:
            play.restart()
        play.stir()
        instructions = [play.draw() for _ in range(rng.choice([1, 1, 1, 2, 3, 5]))]
        pool = [*map(Pubkey.from_bytes, play.accounts), *WALLETS[:2], SYSTEM]
        instructions = [spoil(rng, ix, pool) if rng.random() < 0.2 else ix for ix in instructions]
        message = play.world.message(instructions)
        error = expected(model, play.accounts, message, instructions, play.now)
        outcome = play.world.execute(message)
        where = f"{program}, seed {seed}, sequence {number}"
        assert outcome.error == error, f"{where}: {outcome.error}, not {error}: {outcome.logs}"
        for address in {meta.pubkey for ix in instructions for meta in ix.accounts}:
            record = play.accounts.get(bytes(address))
            held = play.world.held(address)
            assert record.matches(held) if record else held is None, f"{where}: {address}"
        outcomes[error and error[1]] += 1
    return outcomes


if __name__ == "__main__":
    seen = run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    sys.stdout.write(f"{sys.argv[1]}: {sys.argv[2]} sequences, no difference: {dict(seen.most_common())}\n")
