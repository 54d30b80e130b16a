"""`gridtokenx devnet`: the local Solana node alone, and the project's programs on any cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options

if TYPE_CHECKING:
    from solders.keypair import Keypair

    from gridtokenx_pipeline.solana.programs.deployment import Work

_WALLET_BYTES = 0


class Action(StrEnum):
    """What to do: run a node, or deploy the programs to one."""

    RUN = "run"
    DEPLOY = "deploy"


def devnet(
    action: Annotated[Action, typer.Argument(help="run: the local node; deploy: put the programs on a cluster.")] = Action.RUN,
    data: options.Data = None,
    config: options.Config = None,
    rpc_port: options.RpcPort = 8899,
    url: Annotated[str | None, typer.Option("--url", help="deploy: RPC of the cluster.")] = None,
    payer: Annotated[
        Path | None, typer.Option("--payer", help="deploy: keypair file of who pays and may upgrade the programs.")
    ] = None,
    program: Annotated[
        list[str] | None, typer.Option("--program", help="deploy: this program alone; repeat for more (default: all).")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            help="deploy: directory of the programs' keypairs, NAME.json, made where missing "
            "(default: <data>/solana/programs; on this machine the well-known local ones).",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="deploy: do not ask.")] = False,
    i_know: Annotated[bool, typer.Option("--i-know", help="deploy: to mainnet-beta too, unaudited as the programs are.")] = False,
) -> None:
    """Run the local Solana node (LiteSVM behind JSON-RPC, durable, programs in it) until Ctrl-C, or deploy the programs.

    Deploying says the cost first and asks. A run that was interrupted is taken up by the next.

    Example: gridtokenx devnet --rpc-port 8899, then solana -u http://127.0.0.1:8899 slot

    Example: gridtokenx devnet deploy --url https://api.devnet.solana.com --payer ~/.config/solana/id.json
    """
    settings = options.settings(data, config)
    if action is Action.RUN:
        if url or payer or program or keys or yes or i_know:
            raise typer.BadParameter("--url, --payer, --program, --keys, --yes and --i-know go with: gridtokenx devnet deploy")
        from gridtokenx_pipeline.solana.node.serve import main

        raise typer.Exit(main(["--dir", str(settings.solana_dir / "node"), "--port", str(rpc_port)]))
    if url is None or payer is None:
        raise typer.BadParameter("deploy needs --url and --payer")
    _deploy(url, payer, program, keys, settings.solana_dir / "programs", yes=yes, i_know=i_know)


def _deploy(url: str, payer: Path, chosen: list[str] | None, keys: Path | None, own: Path, *, yes: bool, i_know: bool) -> None:
    from gridtokenx_pipeline.solana.client import RpcRefused, RpcUnavailable
    from gridtokenx_pipeline.solana.funding import PayerNotFunded, is_loopback
    from gridtokenx_pipeline.solana.keys import load, load_or_create
    from gridtokenx_pipeline.solana.programs.deployment import DeployFailed, DeployRefused
    from gridtokenx_pipeline.solana.programs.images import PROGRAMS, ProgramError, local_keypair

    if unknown := set(chosen or ()) - set(PROGRAMS):
        raise typer.BadParameter(f"no program is named {', '.join(sorted(unknown))}; there are {', '.join(PROGRAMS)}")
    payer_key = load(payer)
    if keys is None and is_loopback(url):
        program_keys = {name: local_keypair(name) for name in PROGRAMS}
    else:
        # All of them, whichever are deployed now: programs know each other by id.
        program_keys = {name: load_or_create((keys or own) / f"{name}.json") for name in PROGRAMS}
    names = [name for name in PROGRAMS if chosen is None or name in chosen]
    try:
        asyncio.run(_deploy_all(url, payer_key, names, program_keys, yes=yes, i_know=i_know))
    except (DeployRefused, DeployFailed, PayerNotFunded, ProgramError, RpcRefused, RpcUnavailable) as error:
        typer.echo(f"gridtokenx: {error}", err=True)
        raise typer.Exit(1) from error


async def _deploy_all(
    url: str, payer: Keypair, names: list[str], keys: Mapping[str, Keypair], *, yes: bool, i_know: bool
) -> None:
    from gridtokenx_pipeline.solana.client import RpcPool
    from gridtokenx_pipeline.solana.funding import ensure_funded
    from gridtokenx_pipeline.solana.programs.deployment import Deployer, check_cluster
    from gridtokenx_pipeline.solana.programs.images import image

    ids = {name: key.pubkey() for name, key in keys.items()}
    async with RpcPool([url]) as rpc:
        await check_cluster(rpc, allow_mainnet=i_know)
        deployer = Deployer(rpc, payer)
        works = [await deployer.survey(name, keys[name], image(name, ids)) for name in names]
        for work in works:
            typer.echo(_line(work))
        paid = sum(work.fee_lamports + work.rent_lamports for work in works)
        # Buffers are lent one after the other.
        lent = max(work.lent_lamports for work in works)
        if any(work.transactions for work in works):
            typer.echo(
                f"{_sol(paid)} SOL for {sum(work.transactions for work in works)} transactions and rent, "
                f"at most {_sol(lent)} SOL at a time for buffers, which come back"
            )
            if not yes:
                typer.confirm(f"Deploy to {url}, paid by {payer.pubkey()}?", abort=True)
            wallet = (await rpc.call("get_minimum_balance_for_rent_exemption", _WALLET_BYTES)).value
            await ensure_funded(rpc, payer.pubkey(), floor_lamports=paid + lent + wallet)
        for work in works:
            with typer.progressbar(length=work.transactions, label=work.program) as bar:
                digest = await deployer.carry_out(work, lambda bar=bar: bar.update(1))  # type: ignore[misc]
            typer.echo(f"{work.program} {work.program_id} sha256 {digest}")


def _line(work: Work) -> str:
    if work.action == "none":
        return f"{work.program} {work.program_id}: is there"
    had = "" if work.new_buffer else ", the buffer of an earlier run is taken up"
    return (
        f"{work.program} {work.program_id}: {work.action}, {len(work.image)} bytes, {work.transactions} transactions, "
        f"rent {_sol(work.rent_lamports)} SOL{had}"
    )


def _sol(lamports: int) -> str:
    return f"{lamports // 10**9}.{lamports % 10**9:09d}"
