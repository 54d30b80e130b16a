"""`gridtokenx settle retry` and `park`: what the operator decides about actions that do not land."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from . import options, settle_chain

if TYPE_CHECKING:
    from gridtokenx_pipeline.solana.outbox import ActionState, Outcome

_PREFIX = 8
_RETRIED: tuple[ActionState, ...] = ("refused", "parked")
_PARKED: tuple[ActionState, ...] = ("waiting", "refused")

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help=f"Ids of actions, batches or transactions; {_PREFIX} characters are enough."),
]


def retry(
    ids: Ids = None,
    all_: Annotated[bool, typer.Option("--all", help="Everything that was refused or parked.")] = False,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Let actions that were refused or parked be tried again, after the reason was removed; the next settlement sends them.

    Example: gridtokenx settle retry 5f0c2a9e

    Example: gridtokenx settle retry --all
    """
    if bool(ids) == all_:
        raise typer.BadParameter("name ids, or --all")
    with settle_chain.outbox(options.settings(data, config)) as outbox:
        known = [] if outbox is None else outbox.outcomes(states=_RETRIED)
        chosen = [one.action.action_id for one in known] if all_ else _chosen(ids or [], known, "refused or parked")
        changed = 0 if outbox is None else outbox.retry(chosen)
    typer.echo(f"{changed} actions wait again; the next settlement sends them")


def park(
    ids: Annotated[
        list[str], typer.Argument(metavar="ID", help=f"Ids of actions, batches or transactions; {_PREFIX} characters are enough.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the actions.")],
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Keep actions that wait, or were refused, from being sent until they are retried. What was sent already cannot be parked.

    Example: gridtokenx settle park 5f0c2a9e --reason "meter is being replaced"
    """
    if not reason.strip():
        raise typer.BadParameter("say why", param_hint="--reason")
    with settle_chain.outbox(options.settings(data, config)) as outbox:
        known = [] if outbox is None else outbox.outcomes(states=_PARKED)
        chosen = _chosen(ids, known, "waiting or refused")
        changed = 0 if outbox is None else outbox.park(chosen, reason.strip())
    typer.echo(f"{changed} actions are parked: {reason.strip()}")


def _chosen(ids: Sequence[str], known: Sequence[Outcome], what: str) -> list[str]:
    """Ids of the actions that `ids` name: by themselves, by their batch, or by the transaction that carried them."""
    chosen: dict[str, None] = {}
    for id_ in ids:
        if len(id_) < _PREFIX:
            settle_chain.end(f"{id_}: {_PREFIX} characters or more are needed")
        named: dict[str, list[str]] = {}
        for one in known:
            for name in (one.action.action_id, one.action.batch_id, one.signature):
                if name is not None and name.startswith(id_):
                    named.setdefault(name, []).append(one.action.action_id)
        if not named:
            settle_chain.end(f"{id_}: no action, batch or transaction with anything that is {what} begins so")
        if len(named) > 1:
            settle_chain.end(f"{id_}: {len(named)} ids begin so: {', '.join(sorted(named)[:5])}")
        chosen.update(dict.fromkeys(action for actions in named.values() for action in actions))
    return list(chosen)
