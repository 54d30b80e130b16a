"""`gridtokenx settle status`: how far what is to happen on chain has got, and who pays for it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options, settle_chain

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings

STATES = ("waiting", "sent", "done", "refused", "parked")
_SHOWN = 40
_PATIENCE_S = 3.0


def status(
    idl: Annotated[
        Path | None,
        typer.Option("--idl", help="Say which IDL files of this directory the profile gridtokenx-2026-08 knows."),
    ] = None,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Show actions and batches by state, what waits longest, what was refused or parked and why, balances, and today's fees.

    With --idl, whether the IDL files of GridTokenX's deployed programs are those that are known; exit code 1 where one is not.

    Example: gridtokenx settle status

    Example: gridtokenx settle status --idl ./target/idl

    Example: gridtokenx settle status --json
    """
    settings = options.settings(data, config)
    if idl is not None:
        _idls(settings, idl, json_=json_)
        return
    with settle_chain.explained():
        found = {"profile": settings.settlement.profile, "rpc_url": settings.settlement.rpc_url}
        answer: dict[str, Any] = found | _outbox(settings) | _warehouse(settings) | {"balances": _balances(settings)}
    if json_:
        typer.echo(json.dumps(answer, indent=2, default=str))
        return
    _print(answer, settings.settlement.min_balance_lamports)


def _idls(settings: Settings, directory: Path, *, json_: bool) -> None:
    from gridtokenx_pipeline.solana.gridtokenx.settlement import BOUND, check_idls

    found = check_idls(directory, settings.settlement.program_ids)
    typer.echo(json.dumps(found, indent=2) if json_ else "\n".join(f"{name:<14}{said}" for name, said in found.items()))
    if set(found.values()) != {BOUND}:
        raise typer.Exit(1)


def _outbox(settings: Settings) -> dict[str, Any]:
    """What the outbox says; where there is none, nothing was ever asked for, and none is made."""
    nothing: dict[str, Any] = {"actions": dict.fromkeys(STATES, 0), "oldest_waiting": None, "stopped": []}
    with settle_chain.outbox(settings) as outbox:
        if outbox is None:
            return nothing
        on_the_way = outbox.outcomes(states=["waiting", "sent"])
        stopped = outbox.outcomes(states=["refused", "parked"])
        oldest = min(on_the_way, key=lambda one: one.action.window_start, default=None)
        return {
            "actions": dict.fromkeys(STATES, 0) | {str(state): count for state, count in outbox.counts().items()},
            "oldest_waiting": None
            if oldest is None
            else {
                "window_start": oldest.action.window_start.isoformat(),
                "action_id": oldest.action.action_id,
                "kind": oldest.action.kind,
                "natural_key": oldest.action.natural_key,
            },
            "stopped": [
                {
                    "action_id": one.action.action_id,
                    "batch_id": one.action.batch_id,
                    "kind": one.action.kind,
                    "natural_key": one.action.natural_key,
                    "window_start": one.action.window_start.isoformat(),
                    "state": one.state,
                    "error_code": one.error_code,
                    "error": one.error,
                }
                for one in sorted(stopped, key=lambda one: (one.action.window_start, one.action.kind, one.action.natural_key))
            ],
        }


def _warehouse(settings: Settings) -> dict[str, Any]:
    from gridtokenx_pipeline import clock
    from gridtokenx_pipeline.warehouse import Warehouse, WarehouseMissing

    midnight = clock.now().astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        with Warehouse(settings.warehouse_dir, read_only=True) as warehouse:
            batches = warehouse.query("SELECT state, count(*) FROM settlement.batches GROUP BY state ORDER BY state")
            paid = warehouse.query(
                "SELECT count(*) AS transactions, coalesce(sum(fee_lamports), 0)::BIGINT AS fee_lamports "
                "FROM settlement.transactions WHERE window_start >= ?",
                (midnight,),
            )
    except WarehouseMissing:
        return {"batches": {}, "today": {"transactions": 0, "fee_lamports": 0}}
    return {"batches": dict(batches.iter_rows()), "today": paid.row(0, named=True)}


def _balances(settings: Settings) -> dict[str, Any]:
    """Address and lamports of each role that has a key; null lamports where no endpoint answers."""
    from gridtokenx_pipeline.solana.audit.payers import payers, signers
    from gridtokenx_pipeline.solana.client import RpcRefused, RpcUnavailable

    addresses, paying = signers(settings), payers(settings)

    async def read() -> Mapping[Any, int]:
        async with settle_chain.opened(settings, patience_s=_PATIENCE_S) as chain:
            return await chain.balances(addresses.values())

    try:
        found = asyncio.run(read()) if addresses else {}
    except (RpcUnavailable, RpcRefused) as error:
        typer.echo(f"gridtokenx: balances cannot be read: {error}", err=True)
        found = {}
    floor = settings.settlement.min_balance_lamports
    return {
        role: {
            "address": str(address),
            "lamports": (lamports := found.get(address)),
            "too_low": role in paying and lamports is not None and lamports < floor,
        }
        for role, address in addresses.items()
    }


def _print(answer: dict[str, Any], floor_lamports: int) -> None:
    typer.echo(f"profile    {answer['profile']} at {answer['rpc_url']}")
    typer.echo("actions    " + ", ".join(f"{count:,} {state}" for state, count in answer["actions"].items()))
    batches = ", ".join(f"{count:,} {state}" for state, count in answer["batches"].items())
    typer.echo(f"batches    {batches or 'none'}")
    oldest = answer["oldest_waiting"]
    if oldest is not None:
        typer.echo(f"waiting    since {oldest['window_start']}: {oldest['kind']} {oldest['natural_key']}")
    today = answer["today"]
    typer.echo(
        f"today      {today['transactions']:,} transactions for intervals since 00:00 UTC, "
        f"fees {settle_chain.sol(today['fee_lamports'])}"
    )
    for role, one in answer["balances"].items():
        lamports = one["lamports"]
        shown = "not known" if lamports is None else settle_chain.sol(lamports)
        low = f", less than {settle_chain.sol(floor_lamports)}" if one["too_low"] else ""
        typer.echo(f"{role:10} {one['address']}  {shown}{low}")
    stopped = answer["stopped"]
    for one in stopped[:_SHOWN]:
        code = "" if one["error_code"] is None else f" {one['error_code']}"
        typer.echo(
            f"{one['state']:10} {one['action_id']}  {one['kind']} {one['natural_key']}:{code} {one['error'] or ''}".rstrip()
        )
    if len(stopped) > _SHOWN:
        typer.echo(f"and {len(stopped) - _SHOWN} more: --json has all")
    if stopped:
        typer.echo("Once the reason is gone: gridtokenx settle retry ID ... (or --all)")
