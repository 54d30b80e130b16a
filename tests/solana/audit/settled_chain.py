"""A node with the programs, a campus of three meters, and actions that were really carried out on it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from aiohttp.test_utils import TestServer
from solana.rpc.commitment import Confirmed
from solana.rpc.models import TxOpts
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from gridtokenx_pipeline import clock, config
from gridtokenx_pipeline.domain.ids import iso
from gridtokenx_pipeline.domain.settlement.rows import Asked, action_rows
from gridtokenx_pipeline.solana import keys
from gridtokenx_pipeline.solana.actions import Action
from gridtokenx_pipeline.solana.audit import Chain, Known, known_actions
from gridtokenx_pipeline.solana.client import RpcPool
from gridtokenx_pipeline.solana.funding import ensure_funded
from gridtokenx_pipeline.solana.node.bank import Bank
from gridtokenx_pipeline.solana.node.genesis import open_ledger
from gridtokenx_pipeline.solana.node.rpc import application
from gridtokenx_pipeline.solana.profiles.choice import profile_of

SECONDS = 300
ZONE = "stanford"
SOLD, BOUGHT, IDLE = "AMI_METER_STANFORD_ENG_001", "AMI_METER_STANFORD_PHYS_001", "AMI_METER_STANFORD_CHEM_001"


def settings_of(data: Path, url: str = "http://127.0.0.1:1") -> config.Settings:
    return config.load(data=data, settlement={"rpc_url": url, "profile": "gridtokenx"})


class Campus:
    """The chain, and what asks for actions in `start`, an interval that ended an hour ago."""

    def __init__(self, data: Path):
        self.data = data
        self.start = clock.floor(clock.now() - dt.timedelta(hours=1), SECONDS)

    async def __aenter__(self) -> Campus:
        ledger = open_ledger(self.data / "solana" / "node", now_ms=int(clock.now().timestamp() * 1000), slot_ms=10, operator=None)
        self._ledger, self.server = ledger, TestServer(application(Bank(ledger, clock.now)))
        await self.server.start_server()
        self.url = str(self.server.make_url("/"))
        self.settings = settings_of(self.data, self.url)
        self.rpc = RpcPool([self.url], timeout_s=5, patience_s=20)
        self.payer = keys.role_key(self.settings, "fee_payer")
        await ensure_funded(self.rpc, self.payer.pubkey())
        self.profile = profile_of(self.settings, self.payer)
        self.chain = Chain(self.rpc)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.rpc.__aexit__(None, None, None)
        await self.server.close()
        self._ledger.close()

    async def carry_out(self, rows: pl.DataFrame, at_a_time: int = 5) -> pl.DataFrame:
        """Have the chain do `rows` (ACTIONS, one kind), and return them as done, with their transactions."""
        actions = [one.action for one in known_actions(rows)]
        refused = await self.profile.prepare(self.rpc, actions)
        assert refused == {}, refused
        told = {}
        for first in range(0, len(actions), at_a_time):
            part = actions[first : first + at_a_time]
            told |= dict.fromkeys((each.action_id for each in part), await self._land(part))
        return done(rows, told)

    async def _land(self, actions: Sequence[Action]) -> str:
        signers = [self.payer, *self.profile.signers(actions[0].kind)]
        instructions = [one.instruction for one in self.profile.compose(actions)]
        return await self.send(instructions, signers)

    async def send(self, instructions: Sequence[Any], signers: Sequence[Keypair]) -> str:
        blockhash = (await self.rpc.call("get_latest_blockhash", Confirmed)).value.blockhash
        message = MessageV0.try_compile(signers[0].pubkey(), list(instructions), [], blockhash)
        transaction = VersionedTransaction(message, list(signers))
        options = TxOpts(preflight_commitment=Confirmed)
        signature = (await self.rpc.call("send_raw_transaction", bytes(transaction), options)).value
        for _ in range(200):
            status = (await self.chain.statuses([str(signature)]))[str(signature)]
            if status is not None and status.state != "processed":
                assert status.error is None
                return str(signature)
            await asyncio.sleep(0.01)
        raise AssertionError("the transaction never landed")

    def window(self, number: int = 0) -> dt.datetime:
        return self.start + number * dt.timedelta(seconds=SECONDS)

    def ask(self, kind: str, key: str, at: int = 0, batch: str = "batch", **arguments: Any) -> pl.DataFrame:
        """One row of ACTIONS, waiting, of interval `at` after the first."""
        place = (batch, ZONE, self.window(at))
        return action_rows(kind, [Asked(place, key, {**arguments, "duration_s": SECONDS})])

    def reading(self, meter: str, at: int = 0, produced_wh: int = 0, consumed_wh: int = 0) -> pl.DataFrame:
        values = {"meter_id": meter, "produced_wh": produced_wh, "consumed_wh": consumed_wh, "version": 1}
        return self.ask("submit_energy_reading", f"{meter}@{iso(self.window(at))}", at, **values)

    def trade(self, name: str, energy_wh: int, at: int = 0, price: int = 180_000) -> pl.DataFrame:
        values = {"trade_id": name, "seller_meter_id": SOLD, "buyer_meter_id": BOUGHT, "energy_wh": energy_wh}
        amount = (energy_wh * price + 500) // 1000
        return self.ask("execute_trade", name, at, **values, price_micro_per_kwh=price, amount_micro=amount)

    def grid(self, energy_wh: int, at: int = 0) -> pl.DataFrame:
        return self.ask("mint_grid", f"{SOLD}@{iso(self.window(at))}", at, meter_id=SOLD, energy_wh=energy_wh)

    def bundle(self, name: str, energy_wh: int, at: int = 0) -> pl.DataFrame:
        window = iso(self.window(at))
        values = {"bundle_id": name, "meter_id": SOLD, "energy_wh": energy_wh}
        return self.ask("mint_rec", name, at, **values, first_window=window, last_window=window)

    def retirement(self, name: str, energy_wh: int, at: int = 0) -> pl.DataFrame:
        values = {"retirement_id": name, "meter_id": SOLD, "energy_wh": energy_wh}
        return self.ask("retire_rec", name, at, **values, window=iso(self.window(at)))

    def position(self, meter: str, energy_wh: int, amount_micro: int, at: int = 1, number: int = 1) -> pl.DataFrame:
        windows = {"first_window": iso(self.window(0)), "last_window": iso(self.window(at))}
        values = {"meter_id": meter, "energy_wh": energy_wh, "amount_micro": amount_micro, "number": number}
        return self.ask("settle_position", f"{meter}@net-{number}", 0, **values, **windows)

    def root(self, root: str, version: int = 1, leaves: int = 3, at: int = 0, memo: str | None = None) -> pl.DataFrame:
        text = memo or f"gtx1:{ZONE}:{iso(self.window(at))}:v{version}:{leaves}:0:0:0:{root}"
        batch = f"batch-{at}-{version}"
        return self.ask("record_batch", batch, at, batch, version=version, leaves=leaves, root=root, memo=text)


def done(rows: pl.DataFrame, signatures: dict[str, str]) -> pl.DataFrame:
    signature = pl.col("action_id").replace_strict(signatures, return_dtype=pl.String)
    return rows.with_columns(state=pl.lit("done"), signature=signature)


def known(*parts: pl.DataFrame) -> list[Known]:
    return known_actions(pl.concat(parts))
