"""`gridtokenx settle setup`: what a cluster needs once before anything is settled on it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options, settle_chain

if TYPE_CHECKING:
    from solders.keypair import Keypair

    from gridtokenx_pipeline.config import Settings
    from gridtokenx_pipeline.solana.setup import Cluster


def setup(
    authority: Annotated[Path, typer.Option("--authority", help="Keypair file of governance's authority, which signs and pays.")],
    url: Annotated[str | None, typer.Option("--url", help="RPC of the cluster (default: settlement.rpc_url).")] = None,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Initialize governance, the mints and the market on a cluster that has the programs; doing it again changes nothing.

    Submitter and certifier become this pipeline's. On this machine settlement does it by itself.

    Example: gridtokenx settle setup --authority ~/.config/solana/authority.json --url https://api.devnet.solana.com
    """
    from gridtokenx_pipeline.solana.keys import load

    settings = options.settings(data, config)
    if url is not None:
        chosen = settings.settlement.model_copy(update={"rpc_url": url, "more_rpc_urls": ()})
        settings = settings.model_copy(update={"settlement": chosen})
    with settle_chain.explained():
        cluster = asyncio.run(_prepare(settings, load(authority)))
    for name, value in vars(cluster).items():
        typer.echo(f"{name:16} {value}")


async def _prepare(settings: Settings, authority: Keypair) -> Cluster:
    from gridtokenx_pipeline.solana.client import RpcPool
    from gridtokenx_pipeline.solana.setup import prepare_cluster

    async with RpcPool(settings.rpc_urls) as rpc:
        return await prepare_cluster(
            rpc, settings, authority, lambda landed, all_: typer.echo(f"{landed} of {all_} transactions", err=True)
        )
