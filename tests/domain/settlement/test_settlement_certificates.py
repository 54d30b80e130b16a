"""On chain, a meter's certificates are those that are active or locked in the ledger, whatever happened to the others."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from settled_examples import settled_campuses
from settled_registry import certified


@settings(max_examples=15)
@given(settled_campuses())
def test_minted_less_retired_is_what_is_active_or_locked(campus):
    assert certified(campus.actions, campus.late) == campus.live
    ids = pl.concat([campus.actions, campus.late])["action_id"]
    assert ids.is_unique().all()
    assert campus.actions_again().sort("action_id").equals(campus.actions.sort("action_id"))
