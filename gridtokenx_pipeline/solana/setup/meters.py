"""Meters and their owners on chain: registration, status, accounts, approvals, and money to pay with on local clusters."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from gridtokenx_pipeline.domain.settlement import kinds

from ..actions import Action, Refusal
from ..client import RpcPool
from ..funding import FLOOR_LAMPORTS, TARGET_LAMPORTS, ensure_funded
from ..programs import addresses
from ..programs.addresses import PAGE_WINDOWS, identifier
from ..programs.contents import Contents
from ..programs.instructions import MeterStatus, Programs
from ..wallets import Wallets
from .chain import (
    ACCOUNT_OVERHEAD_BYTES,
    BOOK_BYTES,
    LEDGER_BYTES,
    METER_BYTES,
    PAGE_BYTES,
    POSITION_BYTES,
    STATE_BYTES,
    balance_of,
    lamports_per_byte,
    read_accounts,
)
from .cluster import Cluster
from .holdings import Holdings
from .landing import Progress, Unit, land
from .needs import Needs, meters_of, needs_of
from .registered import Change, Registered

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings

Statuses = Mapping[str, Change]
"""Status of meters in the device registry, and the Unix second in which it was decided; a meter that is missing is active."""

LIMIT_FACTOR = 2
_U32 = (1 << 32) - 1
_WALLET_BYTES = ACCOUNT_OVERHEAD_BYTES  # what an account of lamports alone is exempt with


def limits_wh(settings: Settings, window_seconds: int) -> dict[str, int]:
    """Return the most that a register of each configured meter may advance in a window, for the registry, Wh.

    Twice what validation lets through (`domain.thresholds.meter_bounds`: generation and discharge together, or load and charge
    together): a limit cannot be changed on chain, and ratings may be corrected.
    """
    import polars as pl

    from gridtokenx_pipeline.domain.thresholds import meter_bounds
    from gridtokenx_pipeline.ratings import meters_frame

    bounds = meter_bounds(meters_frame(settings)).filter(pl.col("channel").is_in(["import", "export"]))
    watts = bounds.group_by("meter_id").agg(pl.col("limit_w").max()).iter_rows()
    return {meter: max(1, min(_U32, -(-w * window_seconds * LIMIT_FACTOR // 3600))) for meter, w in watts}


class MeterSetup:
    """Sets up what actions need, on a cluster that is set up itself. Accounts that were seen are not asked for again."""

    def __init__(
        self,
        cluster: Cluster,
        programs: Programs,
        wallets: Wallets,
        *,
        payer: Keypair,
        submitter: Keypair,
        limits: Mapping[str, int],
        currency_authority: Keypair | None = None,
        statuses: Statuses | None = None,
        poll_s: float = 0.2,
        progress: Progress | None = None,
    ) -> None:
        """`limits` as of `limits_wh`. `currency_authority` mints the currency that is missing; without it nobody does."""
        self._programs, self._ids, self._wallets = programs, programs.ids, wallets
        self._payer, self._submitter = payer, submitter
        self._pays, self._submits = payer.pubkey(), submitter.pubkey()
        self._limits, self._statuses = limits, statuses or {}
        self._poll_s, self._progress = poll_s, progress
        self._contents = Contents(programs.ids)
        self._holdings = Holdings(cluster, wallets, payer.pubkey(), currency_authority, programs.ids)
        self._seen: set[Pubkey] = set()
        self._settled: dict[str, Registered] = {}

    async def prepare(self, rpc: RpcPool, actions: Sequence[Action]) -> dict[str, Refusal]:
        """Set up what `actions` need; return which of them would be refused all the same, and why, by action id.

        Raises `SetupFailed`, `PayerNotFunded`, and what `RpcPool.call` raises.
        """
        needs = needs_of(actions)
        meters = sorted(needs.meters | {meter for meter, (status, _) in self._statuses.items() if status != MeterStatus.ACTIVE})
        # The oracle's state moves with readings; of everything else it is enough to have seen that the meter is there.
        read = {action.values["meter_id"] for action in actions if action.kind == kinds.SUBMIT_ENERGY_READING}
        asked = [meter for meter in meters if meter in read or meter not in self._settled]
        found, absent, held = await asyncio.gather(
            self._registered(rpc, asked), self._absent(rpc, needs), self._holdings.read(rpc, needs)
        )
        registered = {meter: found.get(meter) or self._settled[meter] for meter in meters}
        units = [self._meter(meter, registered[meter], needs, absent) for meter in meters]
        units += self._books_and_positions(needs, absent)
        units += self._holdings.units(needs, held)
        pages = sum(addresses.page_address(page * PAGE_WINDOWS, self._ids) in absent for page in needs.pages)
        await self._fund_and_land(rpc, [unit for unit in units if unit.instructions], pages)
        self._settled |= {
            meter: each for meter, each in found.items() if each.synced and each.change(self._statuses.get(meter)) is None
        }
        return self._holdings.refusals(needs, held) | self._refusals(actions, registered)

    async def _registered(self, rpc: RpcPool, meters: Sequence[str]) -> dict[str, Registered]:
        ids = [identifier("meter", meter) for meter in meters]
        entries = [addresses.meter_address(id_, self._ids) for id_ in ids]
        states = [addresses.state_address(id_, self._ids) for id_ in ids]
        found = await read_accounts(rpc, [*entries, *states])
        places = zip(meters, entries, states, strict=True)
        return {meter: Registered(self._fields(found, entry), self._fields(found, state)) for meter, entry, state in places}

    def _fields(self, found: Mapping[Pubkey, Any], address: Pubkey) -> Mapping[str, Any] | None:
        account = found.get(address)
        return None if account is None else self._contents.account(account.owner, account.data).fields

    async def _absent(self, rpc: RpcPool, needs: Needs) -> set[Pubkey]:
        """Return which ledgers, books, positions and pages are not there."""
        wanted = {self._ledger(meter) for meter in needs.ledgers}
        wanted |= {addresses.book_address(self._wallets.address(meter), self._ids) for meter in needs.books}
        wanted |= {addresses.position_address(self._wallets.address(meter), self._ids) for meter in needs.positions}
        wanted |= {addresses.page_address(page * PAGE_WINDOWS, self._ids) for page in needs.pages}
        asked = wanted - self._seen
        found = await read_accounts(rpc, sorted(asked, key=bytes), whole=False)
        self._seen |= found.keys()
        return asked - found.keys()

    def _ledger(self, meter: str) -> Pubkey:
        return addresses.ledger_address(identifier("meter", meter), self._ids)

    def _meter(self, meter: str, known: Registered, needs: Needs, absent: set[Pubkey]) -> Unit:
        """Return what registers a meter, brings its status up to date, and opens its ledger."""
        programs, submitter, payer, unit = self._programs, self._submitter, self._pays, Unit()
        id_, change = identifier("meter", meter), known.change(self._statuses.get(meter))
        if known.entry is None:
            if meter not in needs.meters or meter not in self._limits:
                return unit
            owner, limit = self._wallets.address(meter), self._limits[meter]
            register = programs.registry.register_meter(self._submits, meter_id=id_, owner=owner, limit_wh=limit)
            unit.add(register, submitter, submitter_makes=METER_BYTES)
        if change is not None:
            status, at = change
            update = programs.registry.update_meter_status(self._submits, meter_id=id_, status=status, changed_at=at)
            unit.add(update, submitter)
        if change is not None or not known.synced:
            made = STATE_BYTES if known.state is None else 0
            unit.add(programs.oracle.sync_meter(payer, meter_id=id_), payer_makes=made)
        if meter in needs.ledgers and self._ledger(meter) in absent:
            unit.add(programs.energy_token.open_ledger(payer, meter_id=id_), payer_makes=LEDGER_BYTES)
        return unit

    def _books_and_positions(self, needs: Needs, absent: set[Pubkey]) -> list[Unit]:
        units, trading, submitter = [], self._programs.trading, self._submitter
        sellers = {self._wallets.address(meter) for meter in needs.books}
        parties = {self._wallets.address(meter) for meter in needs.positions}
        for wallet in sorted(sellers | parties, key=bytes):
            unit = Unit()
            if wallet in sellers and addresses.book_address(wallet, self._ids) in absent:
                unit.add(trading.open_book(self._submits, seller=wallet), submitter, submitter_makes=BOOK_BYTES)
            if wallet in parties and addresses.position_address(wallet, self._ids) in absent:
                unit.add(trading.open_position(self._submits, wallet=wallet), submitter, submitter_makes=POSITION_BYTES)
            units.append(unit)
        return units

    async def _fund_and_land(self, rpc: RpcPool, units: Sequence[Unit], pages: int) -> None:
        """Land `units`, after the submitter has the rent that it pays, of `pages` of roots too."""
        if not units and not pages:
            return
        per_byte = await lamports_per_byte(rpc)
        own = (sum(unit.submitter_bytes for unit in units) + pages * (PAGE_BYTES + ACCOUNT_OVERHEAD_BYTES)) * per_byte
        paid = sum(unit.payer_bytes for unit in units) * per_byte
        first = Unit()
        payer, submitter = self._pays, self._submits
        if submitter == payer:
            paid += own
        elif own and (shortage := own + _WALLET_BYTES * per_byte - await balance_of(rpc, submitter)) > 0:
            first.add(transfer(TransferParams(from_pubkey=payer, to_pubkey=submitter, lamports=shortage)))
            paid += shortage
        if paid:
            floor = FLOOR_LAMPORTS + paid
            await ensure_funded(rpc, payer, floor_lamports=floor, target_lamports=TARGET_LAMPORTS + floor)
        await land(rpc, self._payer, [[first], units], poll_s=self._poll_s, progress=self._progress)

    def _refusals(self, actions: Sequence[Action], registered: Mapping[str, Registered]) -> dict[str, Refusal]:
        found = {action.action_id: self._refusal(action, registered) for action in actions}
        return {action_id: refusal for action_id, refusal in found.items() if refusal is not None}

    def _refusal(self, action: Action, registered: Mapping[str, Registered]) -> Refusal | None:
        meters = meters_of(action)
        for meter in meters:
            entry, wallet = registered[meter].entry, self._wallets.address(meter)
            if entry is None and meter not in self._limits:
                return Refusal(None, f"{meter} is neither configured nor registered on chain")
            if action.kind == kinds.SUBMIT_ENERGY_READING:
                status, _ = registered[meter].change(self._statuses.get(meter)) or (entry["status"] if entry else 0, 0)
                limit = entry["limit_wh"] if entry else self._limits[meter]
                return registered[meter].refusal(action, status, limit)
            if entry is not None and entry["owner"] != wallet:
                return Refusal(
                    None, f"{meter} is registered for the wallet {entry['owner']}, not {wallet}; the registry keeps what it has"
                )
        if action.kind == kinds.SETTLE_POSITION and self._wallets.shared(meters[0]):
            return Refusal(None, f"{meters[0]} shares its wallet with another meter; a position is one wallet's")
        if action.kind == kinds.EXECUTE_TRADE and self._wallets.address(meters[0]) == self._wallets.address(meters[1]):
            return Refusal(None, f"{meters[0]} and {meters[1]} have one wallet, which cannot trade with itself")
        return None
