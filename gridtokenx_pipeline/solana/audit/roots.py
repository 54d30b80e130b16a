"""Roots and memos: what each interval's batch says on chain."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection

from gridtokenx_pipeline.domain.ids import iso
from gridtokenx_pipeline.domain.settlement import MEMO, RECORD_BATCH

from ..programs.addresses import page_address
from ..programs.contents import recorded_batch
from .chain import Chain
from .compared import Compared
from .known import Known, of_kinds


async def compare_roots(chain: Chain, actions: Collection[Known]) -> Compared:
    """Compare the root recorded for each interval with the highest version among `record_batch` of `actions` that is done.

    All versions of an interval have to be among `actions`.
    """
    versions: defaultdict[tuple[str, dt.datetime], list[Known]] = defaultdict(list)
    for one in of_kinds(actions, RECORD_BATCH):
        versions[one.action.zone, one.action.window_start].append(one)
    pages = {key: page_address(found[0].window, chain.ids) for key, found in versions.items()}
    await chain.load(pages.values())
    problems = []
    for (zone, start), found in sorted(versions.items()):
        page = chain.content(pages[zone, start], "BatchPage")
        recorded = None if page is None else recorded_batch(page.fields, found[0].window)
        on_chain = None if recorded is None else (recorded["version"], recorded["leaves"], bytes(recorded["root"]).hex())
        done = max((_told(one) for one in found if one.done), default=None)
        # A newer version may be on its way, and there before the warehouse knows.
        if on_chain == done or on_chain in [_told(one) for one in found if not one.done and (done is None or _told(one) > done)]:
            continue
        problems.append(f"{zone} {iso(start)}: the chain has {_shown(on_chain)}, the warehouse {_shown(done)}")
    numbers = {"not_done": sum(not one.done for found in versions.values() for one in found)}
    return Compared("roots", len(versions), tuple(problems), numbers)


async def compare_memos(chain: Chain, actions: Collection[Known], *, recorded: bool = False) -> Compared:
    """Compare the memo that each batch among `actions` has with what its transaction says.

    With `recorded` roots, as `compare_roots` finds them, a batch may be done by a transaction that nobody knows any more (an
    outbox was lost, and the chain had it already): such are counted.
    """
    told = [one for one in of_kinds(actions, RECORD_BATCH, MEMO) if one.done]
    landed = await chain.landed(one.signature for one in told if one.signature)
    problems, elsewhere = [], 0
    for one in told:
        name, memo = f"batch {one.action.batch_id} of {iso(one.action.window_start)}", one.action.values["memo"]
        found = landed[one.signature] if one.signature else None
        if recorded and one.action.kind == RECORD_BATCH and (one.signature is None or (found is not None and found.error)):
            elsewhere += 1
        elif one.signature is None:
            problems.append(f"{name}: is done, and no transaction of it is known")
        elif found is None:
            problems.append(f"{name}: the node does not have transaction {one.signature}")
        elif found.error is not None:
            problems.append(f"{name}: transaction {one.signature} failed: {found.error}")
        elif memo not in found.memos:
            problems.append(f"{name}: transaction {one.signature} says {list(found.memos)}, not {memo!r}")
    return Compared("memos", len(told), tuple(problems), {"by_unknown_transactions": elsewhere})


def _told(one: Known) -> tuple[int, int, str]:
    values = one.action.values
    return values["version"], values["leaves"], values["root"]


def _shown(found: tuple[int, int, str] | None) -> str:
    return "no root" if found is None else f"version {found[0]} of {found[1]} leaves with root {found[2]}"
