"""Proving one settled thing: from its payload, over its proof, to the root that the chain has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gridtokenx_pipeline.domain import merkle
from gridtokenx_pipeline.domain.ids import iso
from gridtokenx_pipeline.domain.settlement import parse_memo

from ..programs.addresses import page_address
from ..programs.contents import recorded_batch
from .chain import Chain
from .known import window_number

RECORDED, SAID = "recorded by the oracle", "said in the memo"


@dataclass(frozen=True)
class Proof:
    """What was found. `root_on_chain` is null where the chain has none for the batch; `where` says where it was read."""

    item_id: str
    kind: str
    natural_key: str
    zone: str
    window_start: str
    version: int
    payload: str
    leaf: str
    siblings: tuple[tuple[str, str], ...]
    root_recomputed: str
    root_on_chain: str | None
    where: str | None
    signature: str | None

    @property
    def included(self) -> bool:
        """Whether the payload is under the root that the chain has."""
        return self.root_recomputed == self.root_on_chain


async def prove(chain: Chain, item: dict[str, Any], *, version: int, signature: str | None, duration_s: int | None) -> Proof:
    """Prove `item` (a row of ITEMS) of its batch's `version`; only its payload and proof are believed, and they prove themselves.

    `signature` is the transaction that recorded the root, `duration_s` the length of the interval: where that is given, the
    root that the oracle recorded is read. Where a later version has replaced it there, or the batch is a memo alone, the memo
    of the transaction tells. Raises `ValueError` for a proof that cannot be read.
    """
    leaf = merkle.leaf(item["payload"].encode("ascii"))
    steps = merkle.parse_proof(item["proof"])
    root = leaf
    for side, sibling in steps:
        root = merkle.node(sibling, root) if side == "left" else merkle.node(root, sibling)
    found, where = None, None
    if duration_s is not None:
        found, where = await _recorded(chain, item, version, duration_s), RECORDED
    if found is None and signature is not None:
        found, where = await _said(chain, item, version, signature), SAID
    return Proof(
        item["item_id"],
        item["kind"],
        item["natural_key"],
        item["zone"],
        iso(item["window_start"]),
        version,
        item["payload"],
        leaf.hex(),
        tuple((step.side, step.sibling.hex()) for step in steps),
        root.hex(),
        found,
        where if found is not None else None,
        signature,
    )


async def _recorded(chain: Chain, item: dict[str, Any], version: int, duration_s: int) -> str | None:
    window = window_number(item["window_start"], duration_s)
    page_at = page_address(window, chain.ids)
    await chain.load([page_at])
    page = chain.content(page_at, "BatchPage")
    batch = None if page is None else recorded_batch(page.fields, window)
    return bytes(batch["root"]).hex() if batch is not None and batch["version"] == version else None


async def _said(chain: Chain, item: dict[str, Any], version: int, signature: str) -> str | None:
    landed = (await chain.landed([signature]))[signature]
    if landed is None or landed.error is not None:
        return None
    for text in landed.memos:
        try:
            memo = parse_memo(text)
        except ValueError:
            continue
        if (memo.zone, iso(memo.window_start), memo.version) == (item["zone"], iso(item["window_start"]), version):
            return memo.merkle_root
    return None
