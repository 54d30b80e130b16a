"""What the commands about settlement on chain share: who pays, the rules, a reader of the chain, known failures."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings
    from gridtokenx_pipeline.solana.audit import Chain, Rules
    from gridtokenx_pipeline.solana.outbox import Outbox


def rules(settings: Settings) -> Rules:
    """Return what the settings expect of the chain."""
    from gridtokenx_pipeline.solana.audit import Rules
    from gridtokenx_pipeline.solana.audit.payers import payers

    chosen = settings.settlement
    within = dt.timedelta(minutes=chosen.finalized_within_min)
    return Rules(chosen.profile, payers(settings), chosen.min_balance_lamports, within)


@contextlib.asynccontextmanager
async def opened(settings: Settings, *, patience_s: float = 60.0) -> AsyncIterator[Chain]:
    """Yield a reader of the configured chain."""
    from gridtokenx_pipeline.solana.audit import Chain
    from gridtokenx_pipeline.solana.client import RpcPool
    from gridtokenx_pipeline.solana.setup.cluster import ids_of

    async with RpcPool(settings.rpc_urls, patience_s=patience_s) as rpc:
        yield Chain(rpc, ids_of(settings))


@contextlib.contextmanager
def outbox(settings: Settings) -> Iterator[Outbox | None]:
    """Yield the outbox, or `None` where nothing was ever put into one: none is made by looking."""
    from gridtokenx_pipeline.solana.outbox import Outbox

    if not (settings.data / "operational.sqlite").exists():
        yield None
        return
    found = Outbox(settings.operational_url)
    try:
        yield found
    finally:
        found.close()


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """End the command with one line and exit code 1 for what a chain, a key file or a setup may say."""
    from gridtokenx_pipeline.solana.audit import NotReadable
    from gridtokenx_pipeline.solana.client import BadRpcUrl, RpcRefused, RpcUnavailable
    from gridtokenx_pipeline.solana.funding import PayerNotFunded
    from gridtokenx_pipeline.solana.keys import KeyFileError
    from gridtokenx_pipeline.solana.setup import ClusterMismatch, SetupFailed, SetupNeeded

    chain = (BadRpcUrl, RpcRefused, RpcUnavailable, NotReadable)
    known = (*chain, PayerNotFunded, KeyFileError, ClusterMismatch, SetupFailed, SetupNeeded)
    try:
        yield
    except known as error:
        end(str(error))


def end(text: str, code: int = 1) -> Any:
    """Say `text` on standard error and end with `code`."""
    typer.echo(f"gridtokenx: {text}", err=True)
    raise typer.Exit(code)


def sol(lamports: int) -> str:
    """Return lamports as SOL, exactly."""
    return f"{lamports // 10**9}.{lamports % 10**9:09d} SOL"


@contextlib.contextmanager
def bar(*, shown: bool) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a progress bar on standard error, told of done, total and what; nothing is shown where output is for a program."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True) as progress:
        task = progress.add_task("comparing", total=None)
        yield lambda done, total, what: progress.update(task, completed=done, total=total, description=f"comparing {what}")
