from __future__ import annotations

from dataclasses import replace
from random import Random

from differential import WALLETS, put
from model_common import Meter
from play_registry import Registry
from solders.instruction import Instruction
from svm_world import NOW, SYSTEM, WINDOW_S, instruction

from gridtokenx_pipeline.solana.programs.addresses import config_address, meter_address, page_address, state_address


class Oracle(Registry):
    """Meters whose status and limit change in the registry, late and repeated windows, and long silences."""

    def restart(self) -> None:
        super().restart()
        self.now = NOW  # an episode may move years ahead
        for meter_id in self.meters:
            put(self.world, self.accounts, meter_address(meter_id), Meter(meter_id, bytes(WALLETS[3]), 0, 5000, 0, 255))

    def stir(self) -> None:
        super().stir()
        rng, meter_id = self.rng, self.rng.choice(self.meters)
        if rng.random() < 0.02:
            self.now += WINDOW_S * rng.randrange(5000)
            self.world.at(self.now)
        if rng.random() < 0.1:
            meter = self.accounts[bytes(meter_address(meter_id))]
            changed = replace(meter, status=rng.choice([0, 0, 0, 1, 2, 3]), limit_wh=rng.choice([5000, 1, 2**32 - 1]))
            put(self.world, self.accounts, meter_address(meter_id), changed)
        state = self.accounts.get(bytes(state_address(meter_id)))
        if state is not None and rng.random() < 0.01:
            put(self.world, self.accounts, state_address(meter_id), replace(state, produced=2**64 - rng.randrange(1, 4000)))

    def window(self) -> int:
        last = self.now // WINDOW_S - 1
        match self.rng.randrange(8):
            case 0:
                return last + self.rng.choice([1, 2, 2**63])
            case 1 | 2:
                return max(0, last - self.rng.randrange(2200))
            case 3:
                return max(0, last - self.rng.choice([63, 64, 65, 2046, 2047, 2048, 2049]))
        return last - self.rng.randrange(4)

    def draw(self) -> Instruction:
        rng, meter_id = self.rng, self.rng.choice(self.meters)
        wh = lambda: rng.choice([0, 1, 2, 777, 5000, 5001])  # noqa: E731
        missing = bytes(state_address(meter_id)) not in self.accounts
        choice = rng.random()
        if choice < 0.1 or (missing and choice < 0.9):
            keys = [rng.choice(WALLETS), meter_address(meter_id), state_address(meter_id), SYSTEM]
            return instruction("oracle", "sync_meter", keys)
        window, first = self.window(), [self.submitter, config_address()]
        if choice < 0.45:
            keys = [*first, state_address(meter_id)]
            produced = wh() if rng.random() < 0.97 else 2**64 - 1
            return instruction("oracle", "submit_energy_reading", keys, window=window, produced_wh=produced, consumed_wh=wh())
        if choice < 0.8:
            meters = rng.sample(self.meters, rng.randrange(1, 5))
            readings = [(wh() % 5001, wh() % 5001) for _ in meters]
            if rng.random() < 0.05:
                readings.append((0, 0))
            keys = [*first, *map(state_address, meters)]
            return instruction("oracle", "submit_energy_readings", keys, window=window, readings=readings)
        page = page_address(window if rng.random() < 0.95 else window + 256)
        version = rng.choice([0, 1, 1, 1, 2, 3, 65535])
        args = {
            "window": window,
            "version": version,
            "leaves": rng.choice([4, 4, 5]),
            "root": rng.choice([b"a", b"a", b"b"]) * 32,
        }
        return instruction("oracle", "record_batch", [*first, page, SYSTEM], **args)


def make(rng: Random) -> Oracle:
    return Oracle(rng)
