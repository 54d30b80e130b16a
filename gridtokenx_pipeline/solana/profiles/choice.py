"""Which profile the settings ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from solders.keypair import Keypair

from ..client import RpcPool
from ..keys import role_key
from ..programs.instructions import Programs
from ..wallets import wallets_of
from . import SettlementProfile
from .memo import MemoProfile

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings

    from ..setup import Cluster, MeterSetup, Progress, Statuses


def profile_of(
    settings: Settings,
    payer: Keypair,
    *,
    statuses: Statuses | None = None,
    progress: Progress | None = None,
    poll_s: float = 0.2,
) -> SettlementProfile:
    """Return the profile of `settings.settlement.profile`, whose transactions `payer` pays.

    `statuses` of meters go to the registry on chain; `progress` is told what setting up has landed, which is asked for every
    `poll_s` seconds. Nothing is asked of the chain yet. Raises `KeyFileError`, `SetupNeeded` where a cluster's currency is not
    configured, `ClusterMismatch` where ids are no keys, and for `gridtokenx-2026-08` what `DeployedProfile` raises.
    """
    name = settings.settlement.profile
    if name == "memo":
        return MemoProfile(payer.pubkey())
    if name == "gridtokenx-2026-08":
        from ..gridtokenx.settlement import DeployedProfile

        return DeployedProfile(settings, payer)
    return _own_programs(settings, payer, statuses, progress, poll_s)


def _own_programs(
    settings: Settings, payer: Keypair, statuses: Statuses | None, progress: Progress | None, poll_s: float
) -> SettlementProfile:
    from ..setup import MeterSetup, currency_mint, limits_wh, ready_cluster
    from ..setup.cluster import ids_of, local_authority
    from .gridtokenx import GridTokenXProfile

    submitter, certifier = role_key(settings, "submitter"), role_key(settings, "certifier")
    if submitter.pubkey() == payer.pubkey():
        # One object, so that a transaction has its signature once.
        submitter = payer
    programs, wallets = Programs(ids_of(settings)), wallets_of(settings)

    async def ready(rpc: RpcPool) -> tuple[Cluster, MeterSetup]:
        cluster = await ready_cluster(rpc, settings, progress=progress, poll_s=poll_s)
        setup = MeterSetup(
            cluster,
            programs,
            wallets,
            payer=payer,
            submitter=submitter,
            limits=limits_wh(settings, cluster.window_seconds),
            currency_authority=local_authority(settings),
            statuses=statuses,
            poll_s=poll_s,
            progress=progress,
        )
        return cluster, setup

    return GridTokenXProfile(
        programs, wallets, submitter=submitter, certifier=certifier, currency=currency_mint(settings), ready=ready
    )
