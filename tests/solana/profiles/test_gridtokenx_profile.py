"""The profile on the real programs: setting up, readings, mints, trades, certificates, each once."""

from __future__ import annotations

import datetime as dt

import pytest
from small_campus import START, Campus, Refused, action, mint_grid, mint_rec, reading, retire_rec, root, trade
from solders.keypair import Keypair

from gridtokenx_pipeline.solana.actions import ActionsRefused
from gridtokenx_pipeline.solana.profiles.memo import MemoProfile
from gridtokenx_pipeline.solana.programs.addresses import identifier, ledger_address, page_address, state_address
from gridtokenx_pipeline.solana.programs.contents import recorded_batch
from gridtokenx_pipeline.solana.setup.holdings import FLOAT_MICRO

WINDOW = int(START.timestamp()) // 300


async def test_an_interval_settles_and_settling_again_changes_nothing(campus: Campus):
    seller, buyer, third = campus.meters[:3]
    actions = [
        *(reading(meter, produced_wh=1000 + place) for place, meter in enumerate(campus.meters[:3])),
        root(),
        mint_grid(seller, 700),
        trade(seller, buyer, 400, key="t1"),
        trade(seller, third, 300, price=99_999, key="t2"),
        mint_rec(seller, 900),
        retire_rec(seller, 250),
    ]
    profile = campus.profile()

    assert await campus.settle(profile, actions) == {}

    state = campus.fields(state_address(identifier("meter", seller)))
    assert (state["produced_wh"], state["consumed_wh"], state["readings"]) == (1000, 50, 1)
    assert recorded_batch(campus.fields(page_address(WINDOW)), WINDOW)["root"] == bytes.fromhex("ab" * 32)
    assert [campus.held(meter, "grid") for meter in (seller, buyer, third)] == [0, 400, 300]
    assert campus.held(seller, "currency") == 60_000 + 30_000
    assert [campus.held(meter, "currency") for meter in (buyer, third)] == [FLOAT_MICRO, FLOAT_MICRO]
    assert (campus.held(seller, "rec"), campus.held(buyer, "rec")) == (650, None)
    ledger = campus.fields(ledger_address(identifier("meter", seller)))
    assert (ledger["grid_wh"], ledger["rec_wh"], ledger["retired_wh"]) == (700, 900, 250)

    before, landed = campus.contents(), campus.bank.transaction_count
    again = campus.profile()
    for each in actions:
        await again.prepare(campus.rpc, [each])
    assert campus.bank.transaction_count == landed
    assert await campus.settle(again, actions) == {}
    assert campus.contents() == before


async def test_net_positions_move_what_trades_come_to(campus: Campus):
    seller, buyer = campus.meters[:2]
    windows = {"first_window": START.isoformat(), "last_window": START.isoformat()}

    def position(meter: str, energy_wh: int, amount_micro: int):
        values = {"meter_id": meter, "number": 1, "energy_wh": energy_wh, "amount_micro": amount_micro}
        return action("settle_position", f"{meter}@net", **values, **windows)

    actions = [
        reading(seller),
        mint_grid(seller, 600, **windows),
        position(seller, -600, 90_000),
        position(buyer, 600, -90_000),
    ]
    profile = campus.profile()
    assert await campus.settle(profile, actions) == {}
    assert [campus.held(seller, token) for token in ("grid", "currency")] == [0, 90_000]
    assert [campus.held(buyer, token) for token in ("grid", "currency")] == [600, FLOAT_MICRO]
    before = campus.contents()
    assert await campus.settle(campus.profile(), actions) == {}
    assert campus.contents() == before


async def test_intervals_of_another_length_than_the_clusters_windows_are_parked(campus: Campus):
    profile = campus.profile()
    parked = await campus.settle(profile, [reading(campus.meters[0], duration_s=900), reading(campus.meters[1])])
    assert [refusal.reason for refusal in parked.values()] == [
        "an interval of 900 s is no window of the cluster, whose windows last 300 s"
    ]


async def refusal(campus: Campus, profile, *actions) -> tuple:
    await profile.prepare(campus.rpc, actions)
    with pytest.raises(Refused) as caught:
        await campus.send(profile, actions[0].kind, profile.compose(actions))
    given = (actions[0], caught.value.code, caught.value.error)
    return caught.value.code, profile.judge(*given), profile.explain(*given)


async def test_refusals_of_the_chain_are_judged_and_named(campus: Campus):
    seller, buyer = campus.meters[:2]
    profile = campus.profile()
    await campus.settle(profile, [reading(seller), root(2), mint_grid(seller, 700), trade(seller, buyer, 400)])

    assert await refusal(campus, profile, root(1)) == (
        6008,
        "done",
        "oracle 6008 BatchSuperseded: A higher version of this window is recorded",
    )
    assert (await refusal(campus, profile, root(2, "cd")))[:2] == (6009, "refused")
    code, verdict, text = await refusal(campus, profile, trade(seller, buyer, 399))
    assert (code, verdict, text) == (
        6008,
        "refused",
        "trading 6008 TradeConflict: The id belongs to a trade with another content",
    )
    assert (await refusal(campus, profile, mint_grid(seller, 699)))[:2] == (6008, "refused")
    code, verdict, text = await refusal(campus, profile, trade(seller, buyer, 301, key="more"))
    assert (code, verdict, text) == (1, "refused", "token-2022 1 InsufficientFunds: the account holds too little")
    exceeding = await refusal(campus, profile, mint_rec(seller, 1001))
    assert (exceeding[0], exceeding[1], "ExceedsGeneration" in exceeding[2]) == (6009, "refused", True)


async def test_what_the_chain_forgot_is_refused_and_what_passes_is_tried_again(campus: Campus):
    profile = campus.profile()
    late = trade("A", "B", 5)
    assert profile.judge(late, 6007, "") == "refused"
    assert "the chain no longer remembers, so it is never done again" in profile.explain(late, 6007, "")
    assert (profile.judge(late, 6006, ""), profile.judge(mint_rec("A", 1), 6011, "")) == ("again", "again")
    assert profile.judge(reading("A"), 6001, "") == "again"
    assert (profile.judge(late, None, "ProgramFailedToComplete"), profile.explain(late, None, "Whatever")) == (
        "refused",
        "Whatever",
    )
    assert profile.explain(late, 3007, "") == (
        "trading 3007 AccountOwnedByWrongProgram: an account that is needed does not exist"
    )


async def test_what_fits_no_instruction_is_refused_before(campus: Campus):
    profile = campus.profile()
    wrong = [
        action("memo", "batch", memo="text"),
        trade("A", "B", 400, amount_micro=59_999),
        reading("A", produced_wh=1 << 32),
        trade("A", "A", 1, key="self"),
        reading("B", start=START.replace(second=7)),
    ]
    reasons = []
    for each in wrong:
        with pytest.raises(ActionsRefused) as caught:
            profile.compose([each])
        reasons.append(caught.value.refusals[each.action_id].reason)
    assert "no memo" in reasons[0]
    assert "move 60000 micro, but 59999 were settled" in reasons[1]
    assert "no energies" in reasons[2]
    assert "the same account as seller" in reasons[3]
    assert "no window of 300 s begins" in reasons[4]


async def test_readings_of_a_window_share_an_instruction_that_is_always_the_same(campus: Campus):
    profile = campus.profile()
    actions = [reading(meter) for meter in campus.meters]
    earlier = reading(campus.meters[0], start=START - dt.timedelta(minutes=5))
    composed = profile.compose([*actions, earlier])
    assert [len(each.actions) for each in composed] == [25, 1]
    assert composed == profile.compose([*actions, earlier])
    memo, recorded = profile.compose([root()])
    assert (memo.actions, len(recorded.actions), bytes(memo.instruction.data)) == ((), 1, b"gtx1:stanford:v1")


async def test_the_settings_choose_the_profile_and_who_signs(campus: Campus):
    assert isinstance(campus.profile(campus.configured(profile="memo")), MemoProfile)
    settings = campus.configured(fee_payer="submitter")
    campus.payer = Keypair.from_bytes(bytes(campus.profile().signers("mint_grid")[0]))
    profile = campus.profile(settings)
    assert profile.signers("execute_trade")[0] is campus.payer
    assert profile.signers("mint_rec")[0].pubkey() != campus.payer.pubkey()
    assert profile.signers("retire_rec") == profile.signers("mint_rec")
    # And so it settles, the submitter paying what it makes.
    assert await campus.settle(profile, [reading(campus.meters[0]), root(), mint_grid(campus.meters[0], 5)]) == {}
    assert campus.held(campus.meters[0], "grid") == 5
