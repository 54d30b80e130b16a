"""Campuses that were settled, drawn by hypothesis: first versions, corrections and what people decided, in any order."""

from __future__ import annotations

import datetime as dt

import polars as pl
from certificate_registry import CHANNELS, START, STEP, energy_rows
from hypothesis import strategies as st
from settled_registry import LATER, Settled

from gridtokenx_pipeline.domain.certificates import CertificateError, Selection, expire, retire, withdraw

METERS = ("M1", "M2", "M3")
_ENERGY = st.integers(0, 60)
_INTERVAL = st.fixed_dictionaries(
    {"generation": _ENERGY, "load": _ENERGY, "charge": st.integers(0, 30), "discharge": st.integers(0, 30)}
)
_FLAGS = st.sampled_from([1, 1, 1, 9])
_ACTS = ("retire", "withdraw", "withdraw_bundle", "expire")


@st.composite
def settled_campuses(draw) -> Settled:
    """Three meters for up to four intervals, settled in parts, corrected up to twice, with acts in between."""
    count = draw(st.integers(1, 4))
    rows = _rows(draw, count)
    campus = Settled()
    cut = draw(st.integers(1, count))
    for numbers in filter(None, (range(cut), range(cut, count))):
        campus.settle(energy_rows(rows), numbers)
        _decisions(draw, campus)
    for version in range(2, 2 + draw(st.integers(0, 2))):
        campus.correct(energy_rows([_corrected(draw, row) for row in rows]), range(count), version)
        _decisions(draw, campus)
    return campus


def _rows(draw, count: int):
    rows = []
    for meter in METERS:
        at = dict.fromkeys(CHANNELS, 0)
        for number in range(count):
            energies = draw(_INTERVAL)
            rows.append((meter, number, {n: (at[n], energies[n]) for n in CHANNELS}, {"quality_flags": draw(_FLAGS)}))
            at = {n: at[n] + energies[n] for n in CHANNELS}
    return rows


def _corrected(draw, row):
    meter, number, channels, _ = row
    changed = channels | {"generation": (channels["generation"][0], draw(_ENERGY))} if draw(st.booleans()) else channels
    return meter, number, changed, {"quality_flags": draw(_FLAGS)}


def _decisions(draw, campus: Settled) -> None:
    for act in draw(st.lists(st.sampled_from(_ACTS), max_size=2)):
        held = campus.registry.holdings if len(campus.registry.bundles) else None
        if held is None:
            continue
        common = {"actor": "ana", "at": LATER + draw(st.sampled_from([0, 1])) * STEP, "market_interval_s": 300}
        wh, owner = draw(st.integers(1, 30)), draw(st.sampled_from(METERS))
        try:
            campus.decide(_act(act, held, owner, wh, common))
        except CertificateError:
            # fewer certificates than asked for
            continue


def _act(act: str, held: pl.DataFrame, owner: str, wh: int, common) -> pl.DataFrame:
    if act == "expire":
        return expire(held.filter(owner=owner), validity_days=2, **common)
    if act == "retire":
        period = {"period_start": START, "period_end": START + dt.timedelta(days=1)}
        use = {"beneficiary": owner, "purpose": "scope 2", "consumption_wh": None}
        return retire(held, Selection(owner=owner), energy_wh=wh, **use, **period, **common)
    if act == "withdraw":
        return withdraw(held, Selection(owner=owner), energy_wh=wh, reason="fraud", **common)
    bundles = sorted(held.filter(state="pending")["bundle_id"]) or sorted(held["bundle_id"])
    return withdraw(held, Selection(bundle_ids=bundles[:1]), reason="fraud", **common)
