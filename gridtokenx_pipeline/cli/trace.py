"""`gridtokenx trace`: from any id to everything behind it and in front of it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from . import options

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from gridtokenx_pipeline.tracing import Node

DOES_NOT_ADD_UP = 4
_WIDE = 200
# Their ids say what their titles say.
_NAMED_BY_TITLE = ("channel", "reading", "estimate", "counts", "readings", "items")


def trace(
    id_: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Id (or 8 of its first characters) of a bundle, certificate event, trade, grid settlement, settlement item, "
            "batch, transaction, agreement, offer, edit or raw message; or METER@2026-11-25T18:05Z; with #WH after a meter, "
            "an interval or a bundle the certificate of that Wh.",
        ),
    ],
    depth: Annotated[int, typer.Option("--depth", min=1, help="Levels shown; what is deeper is checked too.")] = 12,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of a list of alike things are shown.")] = 3,
    xml: Annotated[bool, typer.Option("--xml", help="Show the XML of the messages, as far as it is about it.")] = False,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Show what is behind a thing, down to raw messages, and in front of it, up to the chain, with everything that must add up.

    Exit code 1 where nothing has the id, 4 where a check fails.

    Example: gridtokenx trace AMI_METER_STANFORD_ENG_001@2026-11-25T18:05Z

    Example: gridtokenx trace 3f1c9a52 --xml
    """
    from gridtokenx_pipeline import tracing
    from gridtokenx_pipeline.warehouse import Warehouse

    with Warehouse(options.settings(data, config).warehouse_dir, read_only=True) as warehouse:
        try:
            tree = tracing.trace(warehouse, id_, limit=limit, xml=xml)
        except tracing.NotFound as missing:
            typer.echo(f"gridtokenx: {missing}", err=True)
            raise typer.Exit(1) from None
        except tracing.Ambiguous as several:
            typer.echo(f"gridtokenx: {several}", err=True)
            for candidate in several.candidates:
                typer.echo(f"  {candidate}", err=True)
            raise typer.Exit(1) from None
    checks, failed = tracing.failures(tree)
    shown = tracing.pruned(tree, depth)
    if json_:
        typer.echo(
            json.dumps({"checks": checks, "failed": [one.title for one in failed], "tree": tracing.as_dict(shown)}, indent=2)
        )
    else:
        _print(shown, checks, failed)
    if failed:
        raise typer.Exit(DOES_NOT_ADD_UP)


def _print(tree: Node, checks: int, failed: list[Node]) -> None:
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
    console.print(_branch(tree))
    if failed:
        console.print(f"{len(failed)} of {checks} checks fail:")
        for one in failed:
            console.print(_label(one))
    else:
        console.print(f"{checks} checks hold")


def _branch(node: Node) -> Tree:
    from rich.tree import Tree

    tree = Tree(_label(node), guide_style="dim")
    for child in node.children:
        tree.children.append(_branch(child))
    return tree


def _label(node: Node) -> Text:
    from rich.text import Text

    if node.ok is not None:
        mark, style = ("✓ ", "green") if node.ok else ("✗ ", "bold red")
        return Text(mark, style).append(node.title, "" if node.ok else "red")
    if node.kind == "more":
        return Text(f"… {node.title}", "dim")
    if node.kind in ("behind", "in front"):
        return Text(node.title, "bold cyan")
    if node.kind == "xml":
        return Text(node.title, "dim")
    text = Text(f"{node.kind} ", "bold")
    if node.id and node.id not in node.title and node.kind not in _NAMED_BY_TITLE:
        text.append(f"{node.id} ", "cyan")
    return text.append(node.title)
