"""The campus on a real local node, with as little of a submitter as brings a profile's instructions on chain."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp.test_utils import TestServer
from solana.rpc.commitment import Confirmed
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.config import Settings, load
from gridtokenx_pipeline.solana import keys
from gridtokenx_pipeline.solana.actions import Action, Composed, Refusal, in_order
from gridtokenx_pipeline.solana.client import RpcPool
from gridtokenx_pipeline.solana.node.bank import Bank
from gridtokenx_pipeline.solana.node.genesis import open_ledger
from gridtokenx_pipeline.solana.node.rpc import application
from gridtokenx_pipeline.solana.profiles.choice import profile_of
from gridtokenx_pipeline.solana.programs.addresses import mint_address, token_address
from gridtokenx_pipeline.solana.programs.contents import Contents
from gridtokenx_pipeline.solana.programs.landing import Landing, Signed
from gridtokenx_pipeline.solana.setup.chain import token_account
from gridtokenx_pipeline.solana.setup.cluster import currency_mint
from gridtokenx_pipeline.solana.wallets import wallets_of

T0 = dt.datetime(2026, 11, 22, 20, 5, tzinfo=dt.UTC)
START = T0 - dt.timedelta(minutes=5)
DURATION_S = 300


def action(kind: str, key: str, start: dt.datetime = START, batch: str = "batch", **values: Any) -> Action:
    given = {"duration_s": DURATION_S} | values
    text = json.dumps(given, sort_keys=True, separators=(",", ":"))
    return Action(f"{kind}:{key}", batch, "stanford", start, kind, key, text)


def reading(meter: str, produced_wh: int = 1000, start: dt.datetime = START, **values: Any) -> Action:
    given = {"meter_id": meter, "produced_wh": produced_wh, "consumed_wh": 50, "version": 1} | values
    return action("submit_energy_reading", f"{meter}@{start.isoformat()}", start, **given)


def trade(seller: str, buyer: str, energy_wh: int, price: int = 150_000, key: str = "t1", **values: Any) -> Action:
    given = {
        "trade_id": key,
        "seller_meter_id": seller,
        "buyer_meter_id": buyer,
        "energy_wh": energy_wh,
        "price_micro_per_kwh": price,
        "amount_micro": (energy_wh * price + 500) // 1000,
    }
    return action("execute_trade", key, **(given | values))


def mint_grid(meter: str, energy_wh: int, **values: Any) -> Action:
    return action("mint_grid", f"{meter}@{START.isoformat()}", meter_id=meter, energy_wh=energy_wh, **values)


def mint_rec(meter: str, energy_wh: int, key: str = "b1") -> Action:
    windows = {"first_window": START.isoformat(), "last_window": START.isoformat()}
    return action("mint_rec", key, bundle_id=key, meter_id=meter, energy_wh=energy_wh, **windows)


def retire_rec(meter: str, energy_wh: int, key: str = "r1") -> Action:
    return action("retire_rec", key, retirement_id=key, meter_id=meter, energy_wh=energy_wh, window=START.isoformat())


def root(version: int = 1, content: str = "ab", key: str = "batch") -> Action:
    values = {"version": version, "leaves": 3, "root": content * 32, "memo": f"gtx1:stanford:v{version}"}
    return action("record_batch", key, batch=key, **values)


class Refused(Exception):
    """The chain refused a transaction: `code` of the program, `error` as text."""

    def __init__(self, code: int | None, error: str):
        super().__init__(error)
        self.code, self.error = code, error


class Campus:
    """`settings` name the node; `bank` is the node itself, whose clock starts at T0."""

    def __init__(self, directory: Path):
        self.directory = directory

    async def __aenter__(self) -> Campus:
        started = clock.now()
        node = self.directory / "solana" / "node"
        self.ledger = open_ledger(node, now_ms=int(T0.timestamp() * 1000), slot_ms=10, operator=None)
        self.bank = Bank(self.ledger, lambda: T0 + (clock.now() - started))
        self.server = TestServer(application(self.bank))
        await self.server.start_server()
        self.url = str(self.server.make_url("/"))
        self.rpc = RpcPool([self.url], timeout_s=5, patience_s=10)
        self.settings = self.configured()
        self.payer = keys.role_key(self.settings, "fee_payer")
        self.wallets = wallets_of(self.settings)
        self.meters = [meter.id for meter in self.settings.meters]
        self.bank.airdrop(self.payer.pubkey(), 10**10)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.rpc.__aexit__(None, None, None)
        await self.server.close()
        self.ledger.close()

    def configured(self, **settlement: Any) -> Settings:
        return load(data=self.directory, settlement={"rpc_url": self.url, "profile": "gridtokenx"} | settlement)

    def with_wallets(self, own: dict[str, Pubkey]) -> Settings:
        """The settings with owners' own wallets."""
        meters = tuple(
            meter.model_copy(update={"wallet": str(own[meter.id])}) if meter.id in own else meter
            for meter in self.settings.meters
        )
        return self.settings.model_copy(update={"meters": meters})

    def profile(self, settings: Settings | None = None, **options: Any) -> Any:
        return profile_of(settings or self.settings, self.payer, poll_s=0.02, **options)

    async def settle(self, profile: Any, actions: Sequence[Action]) -> dict[str, Refusal]:
        """Bring `actions` on chain, stage by stage; return what was parked. Raises `Refused`."""
        parked: dict[str, Refusal] = {}
        for _, stage in itertools.groupby(in_order(actions), lambda each: each.stage):
            listed = list(stage)
            parked |= await profile.prepare(self.rpc, listed)
            left = [each for each in listed if each.action_id not in parked]
            for (_, kind), group in itertools.groupby(left, lambda each: (each.batch_id, each.kind)):
                await self.send(profile, kind, profile.compose(list(group)))
        return parked

    async def send(self, profile: Any, kind: str, composed: Sequence[Composed]) -> int:
        """Send instructions in one transaction; return its compute units. Raises `Refused`."""
        return await self.transact([each.instruction for each in composed], profile.signers(kind))

    async def transact(self, instructions: Sequence[Any], signers: Sequence[Keypair]) -> int:
        blockhash = (await self.rpc.call("get_latest_blockhash", Confirmed)).value.blockhash
        others = [key for key in signers if key.pubkey() != self.payer.pubkey()]
        message = MessageV0.try_compile(self.payer.pubkey(), list(instructions), [], blockhash)
        transaction = VersionedTransaction(message, [self.payer, *others])
        outcome = self.bank.simulate(transaction)
        if outcome.err is not None:
            what = outcome.err["InstructionError"][1]
            raise Refused(what.get("Custom") if isinstance(what, dict) else None, json.dumps(outcome.err))
        await Landing(self.rpc, self.payer, poll_s=0.02).land([Signed(instructions, others)], lambda: None)
        return outcome.compute_units

    def held(self, meter: str, token: str) -> int | None:
        """Units of GRID, REC or currency that the wallet of `meter` holds; `None` without an account."""
        return self.units(self.wallets.address(meter), token)

    def units(self, wallet: Pubkey, token: str) -> int | None:
        mint = currency_mint(self.settings) if token == "currency" else mint_address(token)
        account = token_account(self.bank.account(token_address(wallet, mint)))
        return account and account.amount

    def fields(self, address: Pubkey) -> dict[str, Any]:
        account = self.bank.account(address)
        return dict(Contents().account(account.owner, bytes(account.data)).fields)

    def contents(self) -> dict[Pubkey, bytes]:
        """Every account of programs and tokens as it is now."""
        from spl.token.constants import TOKEN_2022_PROGRAM_ID

        from gridtokenx_pipeline.solana.programs.images import PROGRAMS, program_id

        owners = [*map(program_id, PROGRAMS), TOKEN_2022_PROGRAM_ID]
        return {address: bytes(account.data) for owner in owners for address, account in self.bank.program_accounts(owner)}
