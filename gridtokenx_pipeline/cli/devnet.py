"""`gridtokenx devnet`: the local Solana node alone, and the project's programs on any cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options

if TYPE_CHECKING:
    from solders.keypair import Keypair

    from gridtokenx_pipeline.solana.programs.deployment import Work

_WALLET_BYTES = 0


app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def run(
    context: typer.Context,
    data: options.Data = None,
    config: options.Config = None,
    rpc_port: options.RpcPort = 8899,
    ws_port: Annotated[
        int | None, typer.Option("--ws-port", help="Port of the websocket (default: one above --rpc-port, where clients look).")
    ] = None,
) -> None:
    """Run the local Solana node (LiteSVM behind JSON-RPC, durable, programs in it) until Ctrl-C, or deploy the programs.

    It listens on http://127.0.0.1:8899 and ws://127.0.0.1:8900; its ledger is in DATA/solana/node.

    Example: gridtokenx devnet --rpc-port 8899, then solana -u http://127.0.0.1:8899 slot
    """
    if context.invoked_subcommand is not None:
        context.obj = (data, config)
        return
    from gridtokenx_pipeline.solana.node.serve import main

    directory = options.settings(data, config).solana_dir / "node"
    arguments = ["--dir", str(directory), "--port", str(rpc_port)]
    raise typer.Exit(main(arguments if ws_port is None else [*arguments, "--ws-port", str(ws_port)]))


@app.command()
def deploy(
    context: typer.Context,
    url: Annotated[str, typer.Option("--url", help="RPC of the cluster.")],
    payer: Annotated[Path, typer.Option("--payer", help="Keypair file of who pays and may upgrade the programs.")],
    program: Annotated[
        list[str] | None, typer.Option("--program", help="This program alone; repeat for more (default: all).")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            help="Directory of the programs' keypairs, NAME.json, made where missing "
            "(default: DATA/solana/programs; on this machine the well-known local ones).",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    i_know: Annotated[bool, typer.Option("--i-know", help="To mainnet-beta too, unaudited as the programs are.")] = False,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Put the programs on a cluster through the upgradeable loader, or bring them up to date there.

    The cost is said first and asked about. A run that was interrupted is taken up by the next, and what is there already
    costs nothing. The payer becomes the upgrade authority; the keypairs of the programs are their addresses, so keep both.

    Example: gridtokenx devnet deploy --url https://api.devnet.solana.com --payer ~/.config/solana/id.json

    Example: gridtokenx devnet deploy --url http://127.0.0.1:8899 --payer data/solana/node/operator.json --program registry
    """
    before = context.obj  # options may stand before the word deploy, too
    settings = options.settings(data or before[0], config or before[1])
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
