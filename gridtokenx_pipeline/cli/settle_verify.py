"""`gridtokenx settle verify`: the chain against the warehouse, or one settled item against its root."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options, settle_chain

if TYPE_CHECKING:
    import datetime as dt

    from gridtokenx_pipeline.config import Settings
    from gridtokenx_pipeline.solana.audit import Compared, Proof
    from gridtokenx_pipeline.warehouse import Warehouse

_SHOWN = 50
_PREFIX = 8


def verify(
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="[METER WINDOW | ITEM_ID]", help="With --proof: a meter and its interval's start, or an item."),
    ] = None,
    proof: Annotated[bool, typer.Option("--proof", help="Prove that one settled item is under the root on chain.")] = False,
    from_: Annotated[str, typer.Option("--from", help="Compare one by one from this interval, ISO 8601; UTC.")] = "",
    to: Annotated[str, typer.Option("--to", help="Until before this interval.")] = "",
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Compare the chain with the warehouse: every meter, trade, bundle, root and transaction, supply, finality, balances.

    Only an RPC and the warehouse are needed. --from and --to bound what is compared one by one; sums are always of everything.
    Exit code 1 where anything differs. With --proof, print an item's payload, its leaf and siblings, the root they lead to and
    the root on chain; exit code 1 where it is not included.

    Example: gridtokenx settle verify --from 2026-11-20 --to 2026-11-21

    Example: gridtokenx settle verify --proof AMI_METER_STANFORD_ENG_001 2026-11-20T18:00:00Z

    Example: gridtokenx settle verify --json
    """
    from gridtokenx_pipeline.warehouse import Warehouse

    if bool(what) != proof:
        raise typer.BadParameter("--proof and METER WINDOW, or ITEM_ID, go together")
    start, end = (options.moment(text) if text else None for text in (from_, to))
    if start is not None and end is not None and not start < end:
        raise typer.BadParameter("--from must be before --to")
    settings = options.settings(data, config)
    with Warehouse(settings.warehouse_dir, read_only=True) as warehouse, settle_chain.explained():
        if what:
            _prove(settings, warehouse, what, json_=json_)
        else:
            _compare(settings, warehouse, start, end, json_=json_)


def _compare(
    settings: Settings, warehouse: Warehouse, start: dt.datetime | None, end: dt.datetime | None, *, json_: bool
) -> None:
    from gridtokenx_pipeline import clock
    from gridtokenx_pipeline.solana.audit import verify

    async def run() -> list[Compared]:
        with settle_chain.bar(shown=not json_) as progress:
            async with settle_chain.opened(settings) as chain:
                rules = settle_chain.rules(settings)
                return await verify(chain, warehouse, rules, start=start, end=end, now=clock.now(), progress=progress)

    found = asyncio.run(run())
    agrees = all(one.agrees for one in found)
    if json_:
        typer.echo(json.dumps({"agrees": agrees, "compared": [one.as_json() for one in found]}, indent=2))
    else:
        _print(found)
    if not agrees:
        raise typer.Exit(1)


def _print(found: list[Compared]) -> None:
    width = max(len(one.name) for one in found)
    for one in found:
        numbers = ", ".join(f"{name} {value}" for name, value in one.numbers.items() if value)
        verdict = "agree" if one.agrees else f"{len(one.problems)} DIFFER"
        typer.echo(f"{one.name:{width}}  {one.compared:>9,}  {verdict}" + (f"  ({numbers})" if numbers else ""))
    problems = [problem for one in found for problem in one.problems]
    for problem in problems[:_SHOWN]:
        typer.echo(f"  {problem}")
    if len(problems) > _SHOWN:
        typer.echo(f"  and {len(problems) - _SHOWN} more: --json has all")


def _prove(settings: Settings, warehouse: Warehouse, what: list[str], *, json_: bool) -> None:
    from gridtokenx_pipeline.solana.audit import prove

    item = _item(warehouse, what)
    batch, version, signature, duration_s = _batch(warehouse, settings, item)

    async def run() -> Proof:
        async with settle_chain.opened(settings) as chain:
            return await prove(chain, item, version=version, signature=signature, duration_s=duration_s)

    found = asyncio.run(run())
    if json_:
        typer.echo(json.dumps(vars(found) | {"batch_id": batch, "included": found.included}, indent=2))
    else:
        for name, value in _lines(found, batch):
            typer.echo(f"{name:16}  {value}")
        typer.echo("included" if found.included else "not included")
    if not found.included:
        raise typer.Exit(1)


def _lines(found: Proof, batch: str) -> list[tuple[str, str]]:
    siblings = [(f"sibling {side}", digest) for side, digest in found.siblings] or [("siblings", "none: it is the only leaf")]
    return [
        ("item", f"{found.item_id}: {found.kind} {found.natural_key}"),
        ("batch", f"{batch}: {found.zone} {found.window_start} version {found.version}"),
        ("payload", found.payload),
        ("leaf", f"{found.leaf} = sha256(00 || payload)"),
        *siblings,
        ("root recomputed", found.root_recomputed),
        ("root on chain", f"{found.root_on_chain}, {found.where}" if found.root_on_chain else "none"),
        ("transaction", found.signature or "none known"),
    ]


def _item(warehouse: Warehouse, what: list[str]) -> dict[str, Any]:
    """The item that is meant: of a meter's interval the one settled last."""
    from gridtokenx_pipeline.contracts import settlement
    from gridtokenx_pipeline.domain.settlement import ENERGY_READING

    if len(what) == 2:
        meter, start = what[0], options.moment(what[1])
        where = (
            "kind = ? AND natural_key = ? AND window_start = ? AND batch_id = (SELECT n.batch_id FROM settlement.batches AS n "
            "JOIN settlement.items AS i ON i.batch_id = n.batch_id WHERE i.kind = ? AND i.natural_key = ? AND i.window_start = ? "
            "ORDER BY n.version DESC LIMIT 1)"
        )
        found = warehouse.read(settlement.ITEMS, where, (ENERGY_READING, meter, start) * 2)
        missing = f"no settled energy of meter {meter} in the interval that begins at {what[1]}"
    elif len(what) == 1 and len(what[0]) >= _PREFIX:
        found = warehouse.read(settlement.ITEMS, "starts_with(item_id, ?)", (what[0].lower(),))
        missing = f"no settlement item has the id {what[0]}"
    else:
        raise typer.BadParameter(f"--proof takes METER WINDOW, or ITEM_ID of {_PREFIX} characters or more")
    if found.is_empty():
        settle_chain.end(missing)
    if len(found) > 1:
        settle_chain.end(f"{len(found)} items begin with {what[0]}: give more of the id")
    return found.row(0, named=True)


def _batch(warehouse: Warehouse, settings: Settings, item: dict[str, Any]) -> tuple[str, int, str | None, int | None]:
    """Id and version of an item's batch, the transaction of its root, and the interval's length where the oracle has the root."""
    from gridtokenx_pipeline.contracts import settlement
    from gridtokenx_pipeline.solana.audit import OWN_PROFILE

    batch = warehouse.read(settlement.BATCHES, "batch_id = ?", (item["batch_id"],)).row(0, named=True)
    actions = warehouse.read(
        settlement.ACTIONS, "batch_id = ? AND kind IN ('record_batch', 'memo')", (item["batch_id"],)
    ).to_dicts()
    signature = next((one["signature"] for one in actions if one["signature"]), None)
    recorded = next((one for one in actions if one["kind"] == "record_batch"), None)
    duration_s = None
    if recorded is not None and settings.settlement.profile == OWN_PROFILE:
        duration_s = int(json.loads(recorded["arguments"])["duration_s"])
    return batch["batch_id"], batch["version"], signature, duration_s
