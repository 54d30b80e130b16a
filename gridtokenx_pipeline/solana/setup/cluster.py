"""The cluster itself: governance's configuration, the mints, the market and its vaults."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from spl.token.constants import TOKEN_2022_PROGRAM_ID
from spl.token.instructions import create_idempotent_associated_token_account, initialize_mint2
from spl.token.models import InitializeMint2Params

from .. import keys
from ..client import RpcPool
from ..funding import ensure_funded, is_loopback
from ..programs.addresses import config_address, issuer_address, market_address, mint_address, vault_address
from ..programs.contents import Contents
from ..programs.images import PROGRAMS, Ids, program_id
from ..programs.instructions import Programs
from .chain import ACCOUNT_OVERHEAD_BYTES, MINT_BYTES, lamports_per_byte, mint, read_accounts
from .landing import Progress, SetupFailed, Unit, land

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings

Found = Mapping[Pubkey, Any]
CURRENCY_DECIMALS = 6
_COMMAND = "gridtokenx settle setup --authority FILE"
_AUTHORITY_LAMPORTS = 100_000_000  # rent of everything here is below 0.02 SOL


class SetupNeeded(Exception):
    """The cluster lacks something that its authority alone can make or lift. The message says what, and how."""


class ClusterMismatch(Exception):
    """The cluster is set up for somebody else. The message says in what it differs."""


@dataclass(frozen=True)
class Cluster:
    """What a cluster is set up for. `currency` is what its market's trades are paid in."""

    authority: Pubkey
    submitter: Pubkey
    certifier: Pubkey
    window_seconds: int
    currency: Pubkey
    currency_authority: Pubkey | None
    paused: bool


def ids_of(settings: Settings) -> Ids | None:
    """Return the configured ids of the programs. Raises `ClusterMismatch` for an id that is no key or of no program."""
    given = settings.settlement.program_ids
    if strange := sorted(set(given) - set(PROGRAMS)):
        raise ClusterMismatch(
            f"settlement.program_ids: no program is named {', '.join(strange)}; there are {', '.join(PROGRAMS)}"
        )
    try:
        return {name: Pubkey.from_string(text) for name, text in given.items()} or None
    except ValueError:
        raise ClusterMismatch(f"settlement.program_ids: not all are public keys: {given}") from None


def local_currency() -> Keypair:
    """Return the key of the local clusters' currency mint. Anybody can compute it, so who may mint is checked on chain."""
    return Keypair.from_seed(hashlib.sha256(b"gridtokenx-pipeline/currency").digest())


def currency_mint(settings: Settings) -> Pubkey:
    """Return what trades are paid in: `settlement.currency_mint`, or on this machine the local currency.

    Raises `SetupNeeded` where neither is there.
    """
    if settings.settlement.currency_mint:
        try:
            return Pubkey.from_string(settings.settlement.currency_mint)
        except ValueError:
            raise ClusterMismatch(f"settlement.currency_mint: {settings.settlement.currency_mint} is no public key") from None
    if not is_local(settings):
        raise SetupNeeded("settlement.currency_mint must say what trades are paid in on this cluster (Token-2022, 6 decimals)")
    return local_currency().pubkey()


async def ready_cluster(rpc: RpcPool, settings: Settings, *, progress: Progress | None = None, poll_s: float = 0.2) -> Cluster:
    """Return what the cluster is set up for, once it is.

    On this machine, with the node's operator at hand, what is missing is made. Raises `SetupNeeded` where somebody else has to,
    `ClusterMismatch` where governance names another submitter or certifier or the market another currency, `KeyFileError`,
    `SetupFailed`, and what `RpcPool.call` raises.
    """
    ids, currency = ids_of(settings), currency_mint(settings)
    found = await read_accounts(rpc, _addresses(ids, currency))
    if missing := _missing(found, ids, currency):
        # Others' governance is not taken over on the way.
        if (config := _config(found, ids)) is not None:
            check_keys(settings, config)
        authority = local_authority(settings)
        if authority is None:
            raise SetupNeeded(f"{rpc.urls[0]} lacks {', '.join(missing)}; the cluster's authority runs: {_COMMAND}")
        return await prepare_cluster(rpc, settings, authority, progress, poll_s=poll_s)
    cluster = _cluster(settings, found, ids, currency)
    if cluster.paused:
        raise SetupNeeded(
            f"{rpc.urls[0]}: governance is paused, and every program refuses until its authority {cluster.authority} resumes"
        )
    return cluster


async def prepare_cluster(
    rpc: RpcPool, settings: Settings, authority: Keypair, progress: Progress | None = None, *, poll_s: float = 0.2
) -> Cluster:
    """Make what the cluster lacks, signed and paid by its `authority`; the same again changes nothing.

    Governance gets this pipeline's submitter and certifier (also in place of others), and the market interval as the window
    length. The currency is made on this machine alone. Raises as `ready_cluster` does, and `PayerNotFunded`.
    """
    ids, currency = ids_of(settings), currency_mint(settings)
    submitter, certifier = keys.role_key(settings, "submitter").pubkey(), keys.role_key(settings, "certifier").pubkey()
    if certifier == authority.pubkey():
        raise keys.KeyFileError(f"certifier and authority have the same key {certifier}; they must differ")
    found = await read_accounts(rpc, _addresses(ids, currency))
    if absent := [name for name in PROGRAMS if program_id(name, ids) not in found]:
        url = rpc.urls[0]
        raise SetupNeeded(f"{url} has no program {', '.join(absent)}; run: gridtokenx devnet deploy --url {url} --payer FILE")
    unit = _governance(settings, found, ids, authority, submitter, certifier)
    if currency not in found:
        if currency != local_currency().pubkey():
            raise ClusterMismatch(f"settlement.currency_mint: {rpc.urls[0]} has no account {currency}")
        _make_currency(unit, authority, (MINT_BYTES + ACCOUNT_OVERHEAD_BYTES) * await lamports_per_byte(rpc))
    _add_markets(unit, found, ids, authority, currency)
    if unit.instructions:
        await ensure_funded(rpc, authority.pubkey(), floor_lamports=_AUTHORITY_LAMPORTS)
        await land(rpc, authority, [[unit]], poll_s=poll_s, progress=progress, rehearse=True)
        found = await read_accounts(rpc, _addresses(ids, currency))
    return _cluster(settings, found, ids, currency)


def _governance(
    settings: Settings, found: Found, ids: Ids | None, authority: Keypair, submitter: Pubkey, certifier: Pubkey
) -> Unit:
    unit, config, me = Unit(), _config(found, ids), authority.pubkey()
    governance = Programs(ids).governance
    if config is None:
        window = settings.market.interval_s
        unit.add(governance.initialize(me, submitter=submitter, certifier=certifier, window_seconds=window), authority)
    elif config["authority"] != me:
        raise ClusterMismatch(f"governance's authority is {config['authority']}, not {me}")
    elif (config["submitter"], config["certifier"]) != (submitter, certifier):
        unit.add(governance.set_keys(me, submitter=submitter, certifier=certifier), authority)
    return unit


def _make_currency(unit: Unit, authority: Keypair, lamports: int) -> None:
    key = local_currency()
    made = CreateAccountParams(
        from_pubkey=authority.pubkey(),
        to_pubkey=key.pubkey(),
        lamports=lamports,
        space=MINT_BYTES,
        owner=TOKEN_2022_PROGRAM_ID,
    )
    parameters = InitializeMint2Params(
        decimals=CURRENCY_DECIMALS,
        program_id=TOKEN_2022_PROGRAM_ID,
        mint=key.pubkey(),
        mint_authority=authority.pubkey(),
    )
    unit.add(create_account(made), authority, key)
    unit.add(initialize_mint2(parameters))


def _add_markets(unit: Unit, found: Found, ids: Ids | None, authority: Keypair, currency: Pubkey) -> None:
    programs, me = Programs(ids), authority.pubkey()
    if issuer_address(ids) not in found:
        unit.add(programs.energy_token.initialize(me), authority)
    if market_address(ids) not in found:
        unit.add(programs.trading.open_market(me, currency_mint=currency), authority)
    for token in (mint_address("grid", ids), currency):
        if vault_address(token, ids) not in found:
            unit.add(create_idempotent_associated_token_account(me, market_address(ids), token, TOKEN_2022_PROGRAM_ID), authority)


def _addresses(ids: Ids | None, currency: Pubkey) -> list[Pubkey]:
    vaults = [vault_address(token, ids) for token in (mint_address("grid", ids), currency)]
    made = [config_address(ids), issuer_address(ids), market_address(ids), currency, *vaults]
    return [*made, *(program_id(name, ids) for name in PROGRAMS)]


def _missing(found: Found, ids: Ids | None, currency: Pubkey) -> list[str]:
    vaults = [vault_address(token, ids) for token in (mint_address("grid", ids), currency)]
    wanted = {
        "governance's configuration": [config_address(ids)],
        "the currency's mint": [currency],
        "the mints of GRID and REC": [issuer_address(ids)],
        "the market": [market_address(ids)],
        "the market's vaults": vaults,
    }
    return [name for name, addresses in wanted.items() if any(address not in found for address in addresses)]


def _fields(found: Found, ids: Ids | None, address: Pubkey) -> Mapping[str, Any] | None:
    account = found.get(address)
    return None if account is None else Contents(ids).account(account.owner, account.data).fields


def _config(found: Found, ids: Ids | None) -> Mapping[str, Any] | None:
    return _fields(found, ids, config_address(ids))


def _cluster(settings: Settings, found: Found, ids: Ids | None, currency: Pubkey) -> Cluster:
    config, market = _config(found, ids), _fields(found, ids, market_address(ids))
    if config is None or market is None:
        raise SetupFailed("what has landed is not there; the node may have forgotten it, run this again")
    check_keys(settings, config)
    if market["currency_mint"] != currency:
        raise ClusterMismatch(
            f"the market is paid in {market['currency_mint']}, not in {currency}; settlement.currency_mint says which"
        )
    held = mint(found.get(currency))
    return Cluster(
        config["authority"],
        config["submitter"],
        config["certifier"],
        config["window_seconds"],
        currency,
        None if held is None else held.authority,
        config["paused"],
    )


def check_keys(settings: Settings, config: Mapping[str, Any]) -> None:
    """Raise `ClusterMismatch` where governance's configuration names another submitter or certifier than ours."""
    roles: tuple[keys.Role, ...] = ("submitter", "certifier")
    for role in roles:
        ours = keys.role_key(settings, role).pubkey()
        if config[role] != ours:
            raise ClusterMismatch(
                f"governance names the {role} {config[role]}, and ours is {ours}; bring its key, or let the authority name ours: "
                f"{_COMMAND}"
            )


def local_authority(settings: Settings) -> Keypair | None:
    """Return the authority's key where all endpoints are on this machine and the key is at hand. Raises `KeyFileError`."""
    return keys.known_key(settings, "authority") if is_local(settings) else None


def is_local(settings: Settings) -> bool:
    """Return whether every endpoint is a node on this machine, or in this process."""
    return all(map(is_loopback, settings.rpc_urls))
