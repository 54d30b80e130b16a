"""Settling on chain: how many transactions an interval takes, what they cost, and how fast they are built and executed."""

from __future__ import annotations

import asyncio
import datetime as dt
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings
    from gridtokenx_pipeline.solana.actions import Action
    from gridtokenx_pipeline.solana.client import RpcPool
    from gridtokenx_pipeline.solana.profiles import SettlementProfile

CAMPUS, FLEET = 25, 10_000
BATCHES_A_DAY = 288
LAMPORTS = 1_000_000_000
_FIRST = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
_DAY = dt.timedelta(days=1)
_SLOT_MS = 20


@dataclass(frozen=True)
class Submitted:
    """What one interval of a campus that is set up took."""

    seconds: float
    transactions: int
    fee_lamports: int
    compute_units: int


def run(campus: int = CAMPUS, fleet: int = FLEET) -> dict[str, Any]:
    """Settle intervals of `campus` meters one by one, and of `fleet` meters with a day netted, on the local node.

    Setting a campus up, and making its lookup tables, is done once and not counted; `setup_s_N` is what it took. Returns for
    N = `campus`: tx_N and settle_s_N, transactions of an interval and seconds of the engine from planned actions to confirmed
    (with slots of 20 ms), and sol_per_day_N. For N = `fleet`, whose fee payer is the submitter: actions_N that an interval and
    actions_net_N that a day's net has; tx_window_N and tx_net_N, their transactions; tx_N, the transactions of a batch with its
    share of the net; sol_per_day_N, fees of 288 batches and the net; build_s_N, packing and signing an interval; execute_s_N and
    execute_net_s_N, sending them to the local node one after the other; cu_reading, compute units of a reading in its batch;
    rss_mb, the most memory the process ever had, setting up included.
    """
    small = asyncio.run(_campus(campus))
    large = asyncio.run(_fleet(fleet))
    return {**small, **large, "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


async def _campus(meters: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        place = _Place(Path(directory), meters, "own", 0)
        async with place.pool() as rpc:
            began = time.perf_counter()
            await place.submit(rpc, place.interval(0)[0])
            setup_s = time.perf_counter() - began
            later = [await place.submit(rpc, place.interval(number)[0]) for number in (1, 2, 3)]
        best = min(later, key=lambda one: one.seconds)
    return {
        f"tx_{meters}": max(one.transactions for one in later),
        f"settle_s_{meters}": round(best.seconds, 2),
        f"sol_per_day_{meters}": BATCHES_A_DAY * max(one.fee_lamports for one in later) / LAMPORTS,
        f"setup_s_{meters}": round(setup_s, 1),
    }


async def _fleet(meters: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        place = _Place(Path(directory), meters, "submitter", 24)
        async with place.pool() as rpc:
            began = time.perf_counter()
            for actions in place.interval(0):
                await place.submit(rpc, actions)
            setup_s = time.perf_counter() - began
            window, of_net = place.interval(1)
            sent = await place.send(rpc, window)
            net = await place.send(rpc, of_net)
    readings = sum(action.kind == "submit_energy_reading" for action in window)
    transactions = sent.transactions + -(-net.transactions // BATCHES_A_DAY)
    return {
        f"actions_{meters}": len(window),
        f"actions_net_{meters}": len(of_net),
        f"tx_window_{meters}": sent.transactions,
        f"tx_net_{meters}": net.transactions,
        f"tx_{meters}": transactions,
        f"sol_per_day_{meters}": (BATCHES_A_DAY * sent.fee_lamports + net.fee_lamports) / LAMPORTS,
        f"build_s_{meters}": round(sent.build_s, 2),
        f"build_net_s_{meters}": round(net.build_s, 2),
        f"execute_s_{meters}": round(sent.seconds, 2),
        f"execute_net_s_{meters}": round(net.seconds, 2),
        "cu_reading": round(sent.compute_units / readings),
        f"setup_s_{meters}": round(setup_s),
    }


@dataclass(frozen=True)
class Sent(Submitted):
    """What was built here and sent without the engine; `build_s` is packing and signing."""

    build_s: float


class _Place:
    """A data directory with its own node, and a campus of synthetic meters."""

    def __init__(self, directory: Path, meters: int, fee_payer: str, netting_hours: int) -> None:
        from gridtokenx_pipeline.solana.keys import role_key
        from gridtokenx_pipeline.solana.outbox import Outbox
        from gridtokenx_pipeline.solana.profiles.choice import profile_of

        self.meters, self.settings = meters, _settings(directory, meters, fee_payer, netting_hours)
        self.outbox = Outbox(self.settings.operational_url)
        self.payer = role_key(self.settings, "fee_payer")
        self.profile: SettlementProfile = profile_of(self.settings, self.payer, progress=_Said("setting up"), poll_s=0.05)

    def pool(self) -> RpcPool:
        from gridtokenx_pipeline.solana.client import RpcPool

        return RpcPool(self.settings.rpc_urls)

    def interval(self, number: int) -> tuple[list[Action], list[Action]]:
        """Return the actions of an interval that go on chain at once, and those of the net of a day that consists of it."""
        import polars as pl

        from gridtokenx_pipeline.defs.settlement.submission import actions_from
        from gridtokenx_pipeline.domain.settlement import NETTED_KINDS, net

        from .chain_actions import STEP_S, interval

        netted = self.settings.settlement.netting_hours > 0
        start = _FIRST + number * (_DAY if netted else dt.timedelta(seconds=STEP_S))
        made = interval(self.meters, start)
        if not netted:
            return actions_from(made.actions), []
        day = start.replace(hour=0)
        nets = net(made.batches, made.actions, zone="bench", period_start=day, period_end=day + _DAY, number=1)
        at_once = made.actions.filter(~pl.col("kind").is_in(NETTED_KINDS))
        return actions_from(at_once), actions_from(nets.actions)

    async def submit(self, rpc: RpcPool, actions: Sequence[Action]) -> Submitted:
        """Settle `actions` by the engine. Raises `RuntimeError` where one was not done."""
        from gridtokenx_pipeline.solana.sender import Pace, Sender

        sender = Sender(rpc, self.outbox, self.payer, self.profile, pace=Pace(poll_s=0.05))
        began = time.perf_counter()
        report = await sender.submit(actions, _Said("settling"))
        seconds = time.perf_counter() - began
        undone = [outcome for outcome in report.outcomes if outcome.state != "done"]
        if undone:
            raise RuntimeError(f"{len(undone)} actions were not done; {undone[0].action.kind}: {undone[0].error}")
        counts = report.counts
        return Submitted(seconds, counts.transactions, counts.fee_lamports, counts.compute_units)

    async def send(self, rpc: RpcPool, actions: Sequence[Action]) -> Sent:
        """Pack, sign and send `actions`, stage by stage. Raises `RuntimeError` where a transaction failed."""
        from solana.rpc.commitment import Confirmed, Processed
        from solana.rpc.models import TxOpts
        from solders.hash import Hash
        from solders.signature import Signature

        from gridtokenx_pipeline.solana.packing import MAX_COMPUTE_UNITS, Draft, pack
        from gridtokenx_pipeline.solana.tables import LookupTables

        await self.profile.prepare(rpc, actions)
        tables = await LookupTables(rpc, self.outbox, self.payer, mode="auto").known()
        began = time.perf_counter()
        drafts: list[Draft] = []
        for stage in sorted({action.stage for action in actions}):
            packed = pack([a for a in actions if a.stage == stage], self.profile, self.payer.pubkey(), tables)
            if packed.refused:
                raise RuntimeError(f"{len(packed.refused)} actions fit in no transaction")
            drafts += packed.drafts
        for draft in drafts:
            draft.signed(self.payer, MAX_COMPUTE_UNITS, 0, Hash.default())
        build_s, seconds = time.perf_counter() - began, 0.0
        signatures: list[Signature] = []
        for draft in drafts:
            blockhash = (await rpc.call("get_latest_blockhash", Processed)).value.blockhash
            raw = bytes(draft.signed(self.payer, MAX_COMPUTE_UNITS, 0, blockhash))
            began = time.perf_counter()
            found = await rpc.call("send_raw_transaction", raw, TxOpts(skip_preflight=True, max_retries=0))
            seconds += time.perf_counter() - began
            signatures.append(found.value)
        await asyncio.sleep(4 * _SLOT_MS / 1000)
        fees = units = 0
        for signature in signatures:
            landed = (await rpc.call("get_transaction", signature, "base64", Confirmed, 0)).value
            if landed is None or landed.transaction.meta.err is not None:
                raise RuntimeError(f"{signature} did not land: {landed and landed.transaction.meta.err}")
            fees, units = fees + landed.transaction.meta.fee, units + (landed.transaction.meta.compute_units_consumed or 0)
        return Sent(seconds, len(drafts), fees, units, build_s)


class _Said:
    """Progress on standard error, where somebody looks."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __call__(self, done: int, total: int, what: str = "") -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{what or self._what}: {done} of {total}    ")


def _settings(directory: Path, meters: int, fee_payer: str, netting_hours: int) -> Settings:
    from gridtokenx_pipeline import config

    from .chain_actions import meter_ids

    base = config.load(data=directory)
    one = base.meters[0].model_copy(update={"rated_kw": 100, "baseline_kw": 100, "wallet": None})
    chosen = {"profile": "gridtokenx", "fee_payer": fee_payer, "netting_hours": netting_hours}
    chosen["rpc_url"] = f"inprocess?slot_ms={_SLOT_MS}"
    return base.model_copy(
        update={
            "meters": tuple(one.model_copy(update={"id": meter}) for meter in meter_ids(meters)),
            "settlement": base.settlement.model_copy(update=chosen),
        }
    )
