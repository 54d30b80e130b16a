from __future__ import annotations

from random import Random

from differential import WALLETS
from model_common import NULL, Accounts, Config
from solders.account import Account
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from svm_world import NOW, SYSTEM, World, instruction, program_data

from gridtokenx_pipeline.solana.programs.addresses import config_address
from gridtokenx_pipeline.solana.programs.images import program_id


class Governance:
    def __init__(self, rng: Random):
        self.rng, self.world, self.accounts, self.now = rng, World(), Accounts(), NOW
        for wallet in WALLETS:
            self.world.fund(wallet)

    def restart(self) -> None:
        self.accounts.clear()
        self.world.svm.set_account(config_address(), Account(0, b"", SYSTEM))

    def stir(self) -> None:
        # Lamports at the address before there is a configuration must not be in its way.
        if not self.accounts and self.rng.random() < 0.3:
            self.world.svm.set_account(config_address(), Account(self.rng.choice([1, 10**6, 10**10]), b"", SYSTEM))

    def draw(self) -> Instruction:
        rng, config = self.rng, self.accounts.get(bytes(config_address()))
        wallet = lambda: rng.choice([*WALLETS, *([SYSTEM] if rng.random() < 0.2 else [])])  # noqa: E731
        if config is None or rng.random() < 0.05:
            program = program_id("governance")
            keys = [rng.choice(WALLETS), config_address(), program, program_data(program), SYSTEM]
            args = {"submitter": wallet(), "certifier": wallet(), "window_seconds": rng.choice([300, 900, 86400, 0, 7])}
            return instruction("governance", "initialize", keys, **args)
        assert isinstance(config, Config)
        name = rng.choice(["set_keys", "set_paused", "propose_authority", "accept_authority"])
        role = config.pending if name == "accept_authority" and config.pending != NULL else config.authority
        signer = Pubkey.from_bytes(role) if rng.random() < 0.8 else rng.choice(WALLETS)
        args = {
            "set_keys": lambda: {"submitter": wallet(), "certifier": wallet()},
            "set_paused": lambda: {"paused": rng.choice([0, 1, 1, 0, 2])},
            "propose_authority": lambda: {"authority": wallet()},
            "accept_authority": dict,
        }[name]()
        return instruction("governance", name, [signer, config_address()], **args)


def make(rng: Random) -> Governance:
    return Governance(rng)
