"""The sender and the project's own programs on a node in this process: who spoils a transaction goes alone."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import pytest

from gridtokenx_pipeline import clock, config
from gridtokenx_pipeline.solana import keys
from gridtokenx_pipeline.solana.actions import Action
from gridtokenx_pipeline.solana.client import RpcPool
from gridtokenx_pipeline.solana.profiles.choice import profile_of
from gridtokenx_pipeline.solana.programs.addresses import identifier, state_address
from gridtokenx_pipeline.solana.programs.contents import Contents
from gridtokenx_pipeline.solana.sender import Sender

SECONDS, METERS, SPOILT = 300, 60, 37


def readings(ids, at):
    """A batch of one window, in which the meter at SPOILT is said to have produced more than it can."""
    actions = []
    for number, meter in enumerate(ids):
        values = {"duration_s": SECONDS, "meter_id": meter, "produced_wh": 100 + number, "consumed_wh": 7, "version": 1}
        values["produced_wh"] += 10**9 * (number == SPOILT)
        text, key = json.dumps(values, sort_keys=True, separators=(",", ":")), f"{meter}@{at.isoformat()}"
        actions.append(Action(f"reading:{key}", "batch", "stanford", at, "submit_energy_reading", key, text))
    return actions


@pytest.fixture
def settings(tmp_path, monkeypatch):
    for variable in keys.VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    base = config.load(data=tmp_path, settlement={"profile": "gridtokenx", "rpc_url": "inprocess?slot_ms=20"})
    one = base.meters[0].model_copy(update={"wallet": None})
    return base.model_copy(update={"meters": tuple(one.model_copy(update={"id": f"M{n:03}"}) for n in range(METERS))})


@pytest.mark.parametrize("foreseen", [True, False])
async def test_one_bad_reading_of_sixty_goes_alone(settings, outbox, fast, foreseen):
    """The profile knows the limit and parks it; where it did not, the chain refuses the transaction, and halving finds whom."""
    payer = keys.role_key(settings, "fee_payer")
    profile = profile_of(settings, payer, poll_s=0.02)
    if not foreseen:
        prepare = profile.prepare

        async def blind(rpc, actions):
            await prepare(rpc, actions)
            return {}

        profile.prepare = blind
    now = clock.now().timestamp()
    at = dt.datetime.fromtimestamp(now - now % SECONDS - 2 * SECONDS, dt.UTC)
    actions = readings([meter.id for meter in settings.meters], at)
    async with RpcPool(settings.rpc_urls) as rpc:
        report = await Sender(rpc, outbox, payer, profile, pace=fast).submit(actions)
        undone = [outcome for outcome in report.outcomes if outcome.state != "done"]
        assert [outcome.action for outcome in undone] == [actions[SPOILT]]
        assert (undone[0].state, undone[0].signature) == ("parked" if foreseen else "refused", None)
        assert foreseen or (undone[0].error_code is not None and "ImplausibleReading" in undone[0].error)
        assert (report.counts.retries > 0) != foreseen
        for number, meter in enumerate(settings.meters):
            account = (await rpc.call("get_account_info", state_address(identifier("meter", meter.id)))).value
            state = Contents().account(account.owner, bytes(account.data)).fields
            expected = (0, 0) if number == SPOILT else (1, 100 + number)
            assert (state["readings"], state["produced_wh"]) == expected
        # Once it is put right under another key, its meter's window is still free.
        values = actions[SPOILT].values | {"produced_wh": 5}
        right = dataclasses.replace(actions[SPOILT], action_id="right", natural_key="right", arguments=json.dumps(values))
        report = await Sender(rpc, outbox, payer, profile, pace=fast).submit([right])
        assert [outcome.state for outcome in report.outcomes] == ["done"]
