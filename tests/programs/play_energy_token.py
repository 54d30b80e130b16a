from __future__ import annotations

from dataclasses import replace
from random import Random

from differential import WALLETS, put
from model_common import Meter
from model_energy_token import TokenLedger
from model_oracle import MeterState
from model_tokens import Ring, Token
from play_registry import Registry
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from svm_world import NOW, SYSTEM, TOKEN, WINDOW_S, instruction, key

from gridtokenx_pipeline.solana.programs.addresses import (
    config_address,
    issuer_address,
    ledger_address,
    meter_address,
    mint_address,
    state_address,
)

OWNERS = WALLETS[3:]
HELD = {(token, owner): key(f"{token} {owner}").pubkey() for token in ("grid", "rec") for owner in OWNERS}


class EnergyToken(Registry):
    """Meters of two owners whose generation grows between sequences."""

    def restart(self) -> None:
        super().restart()
        self.now, self.orders = NOW, []
        for number, meter_id in enumerate(self.meters):
            meter = Meter(meter_id, bytes(OWNERS[number % 2]), 0, 5000, 0, 255)
            put(self.world, self.accounts, meter_address(meter_id), meter)
            state = MeterState(meter_id, 4000, 0, 1, self.last, 5000, 0, 255)
            put(self.world, self.accounts, state_address(meter_id), state)
        for (token, owner), address in HELD.items():
            self.approve(token, owner, address, 0)
        if self.rng.random() < 0.7:
            number = self.rng.choice([1, 126, 128, 300])
            entries = {n % 128: (self.last - self.rng.randrange(3), bytes([n % 256]) * 16, b"x" * 8) for n in range(number)}
            ring = Ring(0 if number <= 128 else self.last - 9, number, entries)
            put(self.world, self.accounts, ledger_address(self.meters[0]), TokenLedger(self.meters[0], 10, 20, 5, ring, 255))

    def approve(self, token: str, owner: Pubkey, address: Pubkey, amount: int) -> None:
        """Let the owner of `address`, which holds `amount`, approve the issuer for enough, for little or not at all."""
        approved = [(SYSTEM, 0), (WALLETS[0], 10**9), (issuer_address(), 70), *[(issuer_address(), 10**9)] * 9]
        delegate, delegated = self.rng.choice(approved)
        held = Token(bytes(mint_address(token)), bytes(owner), amount, bytes(delegate), delegated)
        put(self.world, self.accounts, address, held)

    @property
    def last(self) -> int:
        return self.now // WINDOW_S - 1

    def stir(self) -> None:
        super().stir()
        address = state_address(self.rng.choice(self.meters))
        state = self.accounts[bytes(address)]
        if self.rng.random() < 0.3:
            grown = replace(state, produced=state.produced + self.rng.randrange(5000), newest=self.last)
            put(self.world, self.accounts, address, grown)
        if self.rng.random() < 0.1:
            (token, owner), held = self.rng.choice([*HELD.items()])
            found = self.accounts[bytes(held)]
            assert isinstance(found, Token)
            self.approve(token, owner, held, found.amount)

    def draw(self) -> Instruction:
        rng, meter_id = self.rng, self.rng.choice(self.meters)
        if bytes(issuer_address()) not in self.accounts or rng.random() < 0.03:
            keys = [WALLETS[0], config_address(), issuer_address(), mint_address("grid"), mint_address("rec"), TOKEN, SYSTEM]
            return instruction("energy_token", "initialize", keys)
        ledger = self.accounts.get(bytes(ledger_address(meter_id)))
        if ledger is None or rng.random() < 0.05:
            keys = [rng.choice(WALLETS), meter_address(meter_id), ledger_address(meter_id), SYSTEM]
            return instruction("energy_token", "open_ledger", keys)
        if rng.random() < 0.15:
            owner = rng.choice(OWNERS)
            keys = [owner, issuer_address(), mint_address("rec"), HELD["rec", owner], TOKEN]
            return instruction("energy_token", "retire", keys, energy_wh=rng.choice([0, 1, 50, 4000]), purpose=b"p" * 32)
        if self.orders and rng.random() < 0.25:
            order = rng.choice(self.orders[-100:])
            if rng.random() < 0.3:
                order = order | {"energy_wh": 3}
        else:
            last = rng.choice([self.last, self.last, self.last - 1, self.last - 11, self.last + 1])
            token, produced = (
                rng.choice(["grid", "rec", "retired" if ledger.rec_wh > ledger.retired_wh else "rec"]),
                self.accounts[bytes(state_address(meter_id))].produced,
            )
            left = {
                "grid": produced - ledger.grid_wh,
                "rec": produced - ledger.rec_wh,
                "retired": ledger.rec_wh - ledger.retired_wh,
            }
            wh = left[token] + rng.choice([0, 1]) if rng.random() < 0.2 else rng.choice([0, 1, 40, 40, 900])
            if token == "retired" and rng.random() < 0.1:
                last = rng.choice([0, 2**64 - 1])
            order = {"meter": meter_id, "last": last, "energy_wh": wh, "token": token}
            order |= {"bundle_id": rng.randbytes(32), "first": last - rng.choice([0, 0, 1, 11, -1])}
            self.orders.append(order)
        token, meter_id = order["token"], order["meter"]
        owner = OWNERS[self.meters.index(meter_id) % 2]
        signer = self.submitter if token == "grid" else WALLETS[2]
        if token == "retired":
            keys = [signer, config_address(), issuer_address(), meter_address(meter_id), ledger_address(meter_id)]
            keys += [mint_address("rec"), HELD["rec", owner], TOKEN]
            args = {"retirement_id": order["bundle_id"], "window": order["last"], "energy_wh": order["energy_wh"]}
            return instruction("energy_token", "retire_for", keys, **args)
        keys = [signer, config_address(), issuer_address(), meter_address(meter_id), state_address(meter_id)]
        keys += [ledger_address(meter_id), mint_address(token), HELD[token, owner], TOKEN]
        if token == "grid":
            return instruction("energy_token", "mint_grid", keys, window=order["last"], energy_wh=order["energy_wh"])
        args = {"bundle_id": order["bundle_id"], "first_window": order["first"], "last_window": order["last"]}
        return instruction("energy_token", "mint_rec", keys, **args, energy_wh=order["energy_wh"])


def make(rng: Random) -> EnergyToken:
    return EnergyToken(rng)
