"""A thousand intervals through an RPC that fails in every way known, with crashes and a lost outbox: all is on chain, once."""

from __future__ import annotations

import datetime as dt
import random
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from drill_campus import BUYER, METERS, DrillCampus
from faulty_chain import URL, Crash, CrashingOutbox, FaultyChain
from solders.pubkey import Pubkey

from gridtokenx_pipeline import config
from gridtokenx_pipeline.solana import keys
from gridtokenx_pipeline.solana.actions import Action
from gridtokenx_pipeline.solana.broadcast import Pace
from gridtokenx_pipeline.solana.node.genesis import open_ledger
from gridtokenx_pipeline.solana.outbox import Outcome
from gridtokenx_pipeline.solana.profiles.choice import profile_of
from gridtokenx_pipeline.solana.programs.addresses import (
    identifier,
    ledger_address,
    mint_address,
    page_address,
    state_address,
    token_address,
)
from gridtokenx_pipeline.solana.programs.contents import Contents, recorded_batch, window_counted
from gridtokenx_pipeline.solana.sender import Sender
from gridtokenx_pipeline.solana.setup.chain import token_account
from gridtokenx_pipeline.solana.setup.cluster import currency_mint
from gridtokenx_pipeline.solana.wallets import wallets_of

END = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
AT_ONCE = Pace(poll_s=0, rebroadcast_s=0, wait_s=30, lease_s=5)
INTERVALS, PORTION, LOST_OUTBOXES = 1000, 50, (100, 250)


class Drill:
    """One pipeline, however often it dies."""

    def __init__(self, directory: Path, seed: int) -> None:
        self._directory = directory
        self.settings = config.load(data=directory, settlement={"rpc_url": URL, "profile": "gridtokenx"})
        self._ledger = open_ledger(directory / "solana" / "node", now_ms=int(END.timestamp() * 1000), slot_ms=10, operator=None)
        self.chain = FaultyChain(self._ledger, END + dt.timedelta(minutes=2), seed)
        for role in ("fee_payer", "submitter"):
            self.chain.bank.airdrop(keys.role_key(self.settings, role).pubkey(), 10**12)
        self._pool = self.chain.pool()
        self.crashes, self._expired = 0, 0
        self.outcomes: dict[str, Outcome] = {}
        self._start()

    def _start(self) -> None:
        payer = keys.role_key(self.settings, "fee_payer")
        self.outbox = CrashingOutbox(f"sqlite:///{self._directory / 'outbox.sqlite'}", self.chain)
        profile = profile_of(self.settings, payer, poll_s=0)
        self._sender = Sender(self._pool, self.outbox, payer, profile, pace=AT_ONCE, signatures_per_action=30)

    async def close(self) -> None:
        await self._pool.__aexit__(None, None, None)
        self.outbox.close()
        self._ledger.close()

    async def settle(self, actions: list[Action]) -> None:
        """Submit, and start again after every crash, until it ends."""
        while True:
            try:
                report = await self._sender.submit(actions)
                break
            except Crash:
                self.crashes += 1
                self.outbox.close()
                self._start()
        self.outcomes |= {outcome.action.action_id: outcome for outcome in report.outcomes}

    def expired(self) -> int:
        """Transactions that never landed, so that their actions were signed again."""
        return self._expired + len(self.outbox.attempts(state="expired"))

    async def lose_outbox(self) -> None:
        self._expired = self.expired()
        self.outbox.close()
        for file in self._directory.glob("outbox.sqlite*"):
            file.unlink()
        self._start()

    def held(self, meter: str, mint: Any) -> int:
        address = token_address(wallets_of(self.settings).address(meter), mint)
        account = token_account(self.chain.bank.account(address))
        return account.amount if account else 0

    def money(self, meter: str) -> int:
        return self.held(meter, currency_mint(self.settings))

    def given(self) -> int:
        """What setting up has given buyers to pay with: all of the currency there is. Bytes 36 to 44 of a mint (SPL Token)."""
        return int.from_bytes(bytes(self.chain.bank.account(currency_mint(self.settings)).data)[36:44], "little")

    def fields(self, address: Pubkey) -> Mapping[str, Any]:
        account = self.chain.bank.account(address)
        return Contents().account(account.owner, bytes(account.data)).fields if account else {}

    def state(self, meter: str) -> Mapping[str, Any]:
        return self.fields(state_address(identifier("meter", meter)))

    def root(self, window: int) -> bytes | None:
        recorded = recorded_batch(self.fields(page_address(window)), window)
        return recorded and bytes(recorded["root"])

    def sums(self) -> Counter[tuple[str, str]]:
        """What the chain's accounts say, by meter."""
        found: Counter[tuple[str, str]] = Counter()
        for meter in METERS:
            state, ledger = self.state(meter), self.fields(ledger_address(identifier("meter", meter)))
            found.update({(meter, name): state[name] for name in ("produced_wh", "consumed_wh", "readings")})
            found.update({(meter, name): ledger.get(name, 0) for name in ("grid_wh", "rec_wh", "retired_wh")})
            found.update({(meter, token): self.held(meter, mint_address(token)) for token in ("grid", "rec")})
            found[meter, "money"] = self.money(meter)
        return found


@pytest.mark.parametrize("seed", [20261122])
async def test_a_thousand_intervals_are_settled_exactly_once(tmp_path, seed):
    rng = random.Random(seed)
    campus, drill = DrillCampus(rng, END, INTERVALS, trading_every=15), Drill(tmp_path, seed)
    try:
        # The first interval sets up, in calm.
        await drill.settle(campus.intervals[0])
        drill.chain.calm = False
        for at in range(0, INTERVALS, PORTION):
            again = 5
            if at in LOST_OUTBOXES:
                await drill.lose_outbox()
                again = at
            # Upstream asks again for some of what was asked for, for all of it where that was lost, and for some of it twice.
            asked = [action for interval in campus.intervals[max(0, at - again) : at + PORTION] for action in interval]
            await drill.settle(asked + rng.sample(asked, len(asked) // 10))
        drill.chain.calm = True
        sums = drill.sums()
        sums[BUYER, "money"] -= drill.given()
        assert {key: value for key, value in sums.items() if value} == {k: v for k, v in campus.expected.items() if v}
        states = {meter: drill.state(meter) for meter in METERS}
        windows = [(meter, window) for meter in METERS for window in campus.roots]
        assert {(meter, window) for meter, window in windows if window_counted(states[meter], window)} == campus.counted
        assert {window: drill.root(window) for window in campus.roots} == campus.roots
        ends = {action: outcome.state for action, outcome in drill.outcomes.items()}
        assert {action: state for action, state in ends.items() if state != "done"} == campus.poison
        assert len(ends) == sum(map(len, campus.intervals))
        # It was a drill: everything happened, and often.
        assert drill.crashes > 10
        assert drill.expired() > 10
        faults = ("busy", "lost reply", "behind", "swallowed", "false expiry")
        crashes = ("crash after persist", "crash after send", "crash before ack")
        assert all(drill.chain.seen[what] > 0 for what in faults + crashes)
        assert {"parked", "refused"} == set(campus.poison.values())
        # Whatever was settled is never sent again.
        calls = drill.chain.seen["sent"]
        await drill.settle([action for interval in campus.intervals[-50:] for action in interval])
        assert drill.chain.seen["sent"] == calls
    finally:
        await drill.close()
