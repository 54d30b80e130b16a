from __future__ import annotations

import hashlib
from dataclasses import replace
from random import Random

from differential import WALLETS, put
from model_common import NULL, Accounts, Config, Meter
from solders.account import Account
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from svm_world import NOW, SYSTEM, WINDOW_S, World, instruction

from gridtokenx_pipeline.solana.programs.addresses import config_address, meter_address


class Registry:
    """Four meters an episode, and a configuration that pauses at times."""

    def __init__(self, rng: Random):
        self.rng, self.world, self.accounts, self.now, self.episode = rng, World(), Accounts(), NOW, 0
        for wallet in WALLETS:
            self.world.fund(wallet)

    def restart(self) -> None:
        self.episode += 1
        self.meters = [hashlib.sha256(f"{self.episode} {number}".encode()).digest() for number in range(4)]
        for address in self.accounts:
            self.world.svm.set_account(Pubkey.from_bytes(address), Account(0, b"", SYSTEM))
        self.accounts.clear()
        keys = [bytes(wallet) for wallet in WALLETS]
        put(self.world, self.accounts, config_address(), Config(keys[0], NULL, keys[1], keys[2], WINDOW_S, 0, 255))

    def stir(self) -> None:
        self.now += self.rng.choice([0, 0, 1, 30, 300])
        self.world.at(self.now)
        config = self.accounts[bytes(config_address())]
        paused = int(self.rng.random() < 0.03)
        if paused != config.paused:
            put(self.world, self.accounts, config_address(), replace(config, paused=paused))

    @property
    def submitter(self) -> Pubkey:
        return WALLETS[1] if self.rng.random() < 0.95 else self.rng.choice(WALLETS)

    def draw(self) -> Instruction:
        rng, meter_id = self.rng, self.rng.choice(self.meters)
        address = meter_address(meter_id)
        found = self.accounts.get(bytes(address))
        if found is None or rng.random() < 0.2:
            keys = [self.submitter, config_address(), address, SYSTEM]
            owner = WALLETS[3] if rng.random() < 0.8 else rng.choice([*WALLETS, SYSTEM])
            limit_wh = 5000 if rng.random() < 0.8 else rng.choice([0, 1, 2**32 - 1])
            return instruction("registry", "register_meter", keys, meter_id=meter_id, owner=owner, limit_wh=limit_wh)
        assert isinstance(found, Meter)
        if rng.random() < 0.15:
            status, changed_at = found.status, found.changed_at
        else:
            status = rng.choice([0, 0, 1, 1, 2, 2, 3, 4, 255]) if rng.random() < 0.3 else rng.choice([0, 1, 2])
            changed_at = self.now + rng.choice([60, 61, -1, 0, -300, 2**40]) if rng.random() < 0.4 else found.changed_at + 1
        keys = [self.submitter, config_address(), address]
        return instruction("registry", "update_meter_status", keys, status=status, changed_at=changed_at)


def make(rng: Random) -> Registry:
    return Registry(rng)
