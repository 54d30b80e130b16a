"""Setting up: what exists is left alone, what is missing is made, what somebody else has to do is said."""

from __future__ import annotations

import datetime as dt

import pytest
from small_campus import START, T0, Campus, mint_grid, mint_rec, reading, retire_rec, root, trade
from solana.rpc.commitment import Confirmed
from solders.keypair import Keypair
from spl.token.constants import TOKEN_2022_PROGRAM_ID
from spl.token.instructions import approve_checked
from spl.token.models import ApproveCheckedParams

from gridtokenx_pipeline.config import load
from gridtokenx_pipeline.solana import keys
from gridtokenx_pipeline.solana.client import RpcPool
from gridtokenx_pipeline.solana.funding import PayerNotFunded
from gridtokenx_pipeline.solana.profiles.choice import profile_of
from gridtokenx_pipeline.solana.programs import addresses
from gridtokenx_pipeline.solana.programs.addresses import identifier
from gridtokenx_pipeline.solana.programs.instructions import MeterStatus, Programs
from gridtokenx_pipeline.solana.setup import (
    ClusterMismatch,
    SetupFailed,
    SetupNeeded,
    currency_mint,
    limits_wh,
    prepare_cluster,
    ready_cluster,
)
from gridtokenx_pipeline.solana.setup import chain as layouts
from gridtokenx_pipeline.solana.setup.registered import Registered


async def test_a_campus_is_set_up_in_few_transactions_and_only_once(campus: Campus):
    told: list[tuple[int, int]] = []
    profile = campus.profile(progress=lambda done, total: told.append((done, total)))
    readings = [reading(meter) for meter in campus.meters]
    trading = [
        trade(seller, buyer, 100, key=seller) for seller, buyer in zip(campus.meters[:12], campus.meters[12:24], strict=True)
    ]
    minting = [step for meter in campus.meters[:12] for step in (mint_grid(meter, 100), mint_rec(meter, 50, key=meter))]
    for stage in (readings, minting, trading):
        assert await profile.prepare(campus.rpc, stage) == {}
    # One for the cluster, the rest for 25 meters, 12 sellers and 12 buyers.
    landed = len(told)
    assert 1 < landed <= 20
    assert told[0] == (1, 1)
    assert told[-1][0] == told[-1][1]
    again = campus.profile(progress=lambda done, total: told.append((done, total)))
    for stage in (readings, minting, trading):
        await again.prepare(campus.rpc, stage)
    assert len(told) == landed


async def test_rent_is_what_the_accounts_need_and_the_submitter_keeps_nothing(campus: Campus):
    seller, buyer = campus.meters[:2]
    submitter = keys.role_key(campus.settings, "submitter").pubkey()
    actions = [reading(seller), root(), mint_grid(seller, 10), trade(seller, buyer, 10)]
    assert await campus.settle(campus.profile(), actions) == {}
    id_ = identifier("meter", seller)
    sizes = {
        addresses.meter_address(id_): layouts.METER_BYTES,
        addresses.state_address(id_): layouts.STATE_BYTES,
        addresses.page_address(int(START.timestamp()) // 300): layouts.PAGE_BYTES,
        addresses.book_address(campus.wallets.address(seller)): layouts.BOOK_BYTES,
        addresses.ledger_address(id_): layouts.LEDGER_BYTES,
        addresses.token_address(campus.wallets.address(seller), addresses.mint_address("grid")): layouts.TOKEN_ACCOUNT_BYTES,
    }
    for address, size in sizes.items():
        assert len(campus.bank.account(address).data) == size
        assert campus.bank.balance(address) == campus.bank.rent_exemption(size)
    assert campus.bank.balance(submitter) == campus.bank.rent_exemption(0)
    campus.bank.airdrop(submitter, 10**9)
    opened = Programs().trading.open_position(submitter, wallet=campus.payer.pubkey())
    await campus.transact([opened], [keys.role_key(campus.settings, "submitter")])
    assert len(campus.bank.account(addresses.position_address(campus.payer.pubkey())).data) == layouts.POSITION_BYTES


async def test_limits_leave_room_above_what_validation_lets_through(campus: Campus):
    limits = limits_wh(campus.settings, 300)
    meter = campus.settings.meters[0]
    # Generation and discharge at 1.2 of the rating (the battery's in an hour, where more), twice, for 300 s.
    store = max(meter.rated_kw, meter.battery_kwh)
    produced, consumed = 1.2 * (meter.rated_kw + store), 4 * meter.baseline_kw + 1.2 * store
    assert limits[meter.id] == round(max(produced, consumed) * 1000 * 2 / 12)
    assert set(limits) == set(campus.meters)
    profile = campus.profile()
    ok, above = reading(campus.meters[0], limits[campus.meters[0]]), reading(campus.meters[1], limits[campus.meters[1]] + 1)
    parked = await campus.settle(profile, [ok, above])
    assert parked[above.action_id].code == 6003
    assert list(parked) == [above.action_id]


async def test_owners_of_their_own_wallets_are_told_what_to_approve(campus: Campus):
    seller, buyer = campus.meters[:2]
    own = {seller: Keypair(), buyer: Keypair()}
    settings = campus.with_wallets({meter: key.pubkey() for meter, key in own.items()})
    sold = [trade(seller, buyer, 300, key="t1"), trade(seller, buyer, 200, key="t2")]
    actions = [reading(seller), mint_grid(seller, 500), mint_rec(seller, 40), *sold, retire_rec(seller, 15)]
    parked = await campus.settle(campus.profile(settings), actions)
    assert set(parked) == {each.action_id for each in (*sold, actions[-1])}
    assert {refusal.code for refusal in parked.values()} == {4}
    wallet = own[seller].pubkey()
    rec = addresses.token_address(wallet, addresses.mint_address("rec"))
    assert parked[actions[-1].action_id].reason == (
        f"the owner of {seller}, wallet {wallet}, has to approve {addresses.issuer_address()} "
        f"as the delegate of the REC account {rec} for at least 15 Wh"
    )
    assert (campus.units(wallet, "grid"), campus.units(wallet, "rec")) == (500, 40)

    async def approve(meter: str, mint, decimals: int, delegate, amount: int) -> None:
        key = own[meter]
        source = addresses.token_address(key.pubkey(), mint)
        params = ApproveCheckedParams(
            program_id=TOKEN_2022_PROGRAM_ID,
            source=source,
            mint=mint,
            delegate=delegate,
            owner=key.pubkey(),
            amount=amount,
            decimals=decimals,
        )
        await campus.transact([approve_checked(params)], [key])

    # Enough for one trade of the two, and for the retirement.
    await approve(seller, addresses.mint_address("grid"), 3, addresses.market_address(), 300)
    await approve(buyer, currency_mint(settings), 6, addresses.market_address(), 10**9)
    await approve(seller, addresses.mint_address("rec"), 6, addresses.issuer_address(), 15)
    parked = await campus.settle(campus.profile(settings), [*sold, actions[-1]])
    assert set(parked) == {sold[1].action_id}
    assert [campus.units(key.pubkey(), "grid") for key in own.values()] == [200, 300]
    assert campus.units(wallet, "rec") == 25


async def test_what_belongs_to_one_wallet_twice_is_parked(campus: Campus):
    first, second = campus.meters[:2]
    shared = Keypair().pubkey()
    profile = campus.profile(campus.with_wallets({first: shared, second: shared}))
    within = trade(first, second, 10)
    refused = await profile.prepare(campus.rpc, [reading(first), reading(second), within])
    assert "one wallet" in refused[within.action_id].reason
    assert list(refused) == [within.action_id]


async def test_a_meter_keeps_the_wallet_it_was_registered_for(campus: Campus):
    meter = campus.meters[0]
    await campus.settle(campus.profile(), [reading(meter)])
    later = campus.profile(campus.with_wallets({meter: Keypair().pubkey()}))
    mint, fresh = mint_grid(meter, 5), reading(meter, start=START - dt.timedelta(minutes=5))
    parked = await campus.settle(later, [mint, fresh])
    assert f"registered for the wallet {campus.wallets.address(meter)}" in parked[mint.action_id].reason
    assert list(parked) == [mint.action_id]


async def test_status_follows_the_device_registry_on_change_only(campus: Campus):
    first, second, unknown = *campus.meters[:2], "NOT_OF_THE_CAMPUS"
    await campus.settle(campus.profile(), [reading(first), reading(second)])
    suspended = {first: (MeterStatus.SUSPENDED, int(T0.timestamp()) - 60), second: (MeterStatus.ACTIVE, 5)}
    earlier = START - dt.timedelta(minutes=5)
    late, again, strange = reading(first, start=earlier), reading(first), reading(unknown)

    profile = campus.profile(statuses=suspended)
    parked = await campus.settle(profile, [late, again, reading(second, start=earlier), strange])
    # What counted before is a repetition, which the oracle takes from any meter.
    assert {key: refusal.code for key, refusal in parked.items()} == {late.action_id: 6002, strange.action_id: None}
    id_ = identifier("meter", first)

    def recorded() -> tuple[int, int, int]:
        entry, state = campus.fields(addresses.meter_address(id_)), campus.fields(addresses.state_address(id_))
        return entry["status"], state["status"], entry["status_changed_at"]

    assert recorded() == (2, 2, int(T0.timestamp()) - 60)
    landed = campus.bank.transaction_count
    await campus.profile(statuses=suspended).prepare(campus.rpc, [reading(second)])
    assert campus.bank.transaction_count == landed

    assert await campus.settle(campus.profile(), [late]) == {}
    assert recorded() == (0, 0, int(T0.timestamp()) - 59)
    await campus.profile(statuses={first: (MeterStatus.REVOKED, int(T0.timestamp()) - 30)}).prepare(campus.rpc, [])
    assert recorded() == (3, 3, int(T0.timestamp()) - 30)
    parked = await campus.settle(campus.profile(), [reading(first, start=earlier - dt.timedelta(minutes=5))])
    assert [refusal.reason for refusal in parked.values()] == ["the meter is revoked"]
    assert recorded()[0] == 3


def test_windows_that_the_oracle_forgot_are_parked():
    state = {"newest_window": 5_000_000_000, "accepted": bytes(256)}
    refusal = Registered({"status": 0}, state).refusal(reading("A"), MeterStatus.ACTIVE, 5000)
    assert (refusal.code, "no longer remembers" in refusal.reason) == (6005, True)


async def test_a_cluster_of_other_keys_is_refused_and_its_authority_may_name_ours(campus: Campus, tmp_path, monkeypatch):
    await campus.settle(campus.profile(), [reading(campus.meters[0])])
    ours = keys.role_key(campus.settings, "submitter").pubkey()
    monkeypatch.setenv("GRIDTOKENX_SUBMITTER_KEY", str(list(bytes(Keypair()))))
    theirs = keys.role_key(campus.settings, "submitter").pubkey()
    with pytest.raises(ClusterMismatch, match=rf"the submitter {ours}, and ours is {theirs}.*settle setup --authority FILE"):
        await campus.profile().prepare(campus.rpc, [reading(campus.meters[1])])
    with pytest.raises(ClusterMismatch, match="authority is"):
        await prepare_cluster(campus.rpc, campus.settings, Keypair(), poll_s=0.02)
    cluster = await prepare_cluster(campus.rpc, campus.settings, keys.load(campus.settings.authority_key), poll_s=0.02)
    assert cluster.submitter == theirs
    assert await campus.settle(campus.profile(), [reading(campus.meters[1])]) == {}


async def test_without_the_authority_the_command_is_named(campus: Campus):
    operator = keys.load(campus.settings.authority_key)
    campus.settings.authority_key.unlink()
    with pytest.raises(SetupNeeded, match=r"lacks governance's configuration, .* runs: gridtokenx settle setup --authority FILE"):
        await campus.profile().prepare(campus.rpc, [reading(campus.meters[0])])
    with pytest.raises(SetupFailed, match="6000"):
        await prepare_cluster(campus.rpc, campus.settings, Keypair(), poll_s=0.02)
    done: list[tuple[int, int]] = []
    first = await prepare_cluster(campus.rpc, campus.settings, operator, lambda *told: done.append(told), poll_s=0.02)
    second = await prepare_cluster(campus.rpc, campus.settings, operator, lambda *told: done.append(told), poll_s=0.02)
    assert (first == second, done) == (True, [(1, 1)])
    assert (first.authority, first.window_seconds) == (operator.pubkey(), 300)
    assert first == await ready_cluster(campus.rpc, campus.settings)
    # Nobody can mint here, so buyers who hold nothing are the program's to refuse.
    seller, buyer = campus.meters[:2]
    assert await campus.settle(campus.profile(), [reading(seller), mint_grid(seller, 5)]) == {}
    await campus.profile().prepare(campus.rpc, [trade(seller, buyer, 5)])
    assert campus.held(buyer, "currency") == 0


async def test_nothing_is_tried_while_governance_is_paused(campus: Campus):
    await campus.settle(campus.profile(), [reading(campus.meters[0])])
    operator = keys.load(campus.settings.authority_key)

    async def pause(paused: bool) -> None:
        await campus.transact([Programs().governance.set_paused(operator.pubkey(), paused)], [operator])

    await pause(True)
    with pytest.raises(SetupNeeded, match="governance is paused"):
        await campus.profile().prepare(campus.rpc, [reading(campus.meters[1])])
    await pause(False)
    assert await campus.settle(campus.profile(), [reading(campus.meters[1])]) == {}


async def test_a_node_in_this_process_is_set_up_as_any_other(tmp_path):
    settings = load(data=tmp_path, settlement={"rpc_url": "inprocess", "profile": "gridtokenx"})
    profile = profile_of(settings, keys.role_key(settings, "fee_payer"), poll_s=0.02)
    meter = settings.meters[0].id
    async with RpcPool(settings.rpc_urls) as rpc:
        assert await profile.prepare(rpc, [reading(meter)]) == {}
        state = (await rpc.call("get_account_info", addresses.state_address(identifier("meter", meter)), Confirmed)).value
    assert len(state.data) == layouts.STATE_BYTES


async def test_another_currency_and_missing_programs_are_said(campus: Campus):
    await campus.settle(campus.profile(), [reading(campus.meters[0])])
    other = campus.configured(currency_mint=str(addresses.mint_address("rec")))
    with pytest.raises(ClusterMismatch, match="is paid in"):
        await ready_cluster(campus.rpc, other)
    elsewhere = campus.configured(program_ids={"governance": str(Keypair().pubkey())})
    with pytest.raises(SetupNeeded, match="has no program governance; run: gridtokenx devnet deploy"):
        await ready_cluster(campus.rpc, elsewhere)
    for wrong in ({"governance": "x"}, {"goverment": str(Keypair().pubkey())}):
        with pytest.raises(ClusterMismatch, match=r"settlement\.program_ids"):
            await ready_cluster(campus.rpc, campus.configured(program_ids=wrong))


def test_other_clusters_name_their_currency(tmp_path):
    far = load(data=tmp_path, settlement={"rpc_url": "https://api.devnet.solana.com"})
    with pytest.raises(SetupNeeded, match=r"settlement\.currency_mint must say"):
        currency_mint(far)
    mint = Keypair().pubkey()
    named = load(data=tmp_path, settlement={"rpc_url": "https://api.devnet.solana.com", "currency_mint": str(mint)})
    assert currency_mint(named) == mint
    with pytest.raises(ClusterMismatch, match="no public key"):
        currency_mint(load(data=tmp_path, settlement={"currency_mint": "money"}))


async def test_a_payer_who_cannot_pay_the_rent_is_told_before_anything_is_sent(campus: Campus, monkeypatch):
    await campus.settle(campus.profile(), [reading(campus.meters[0])])
    monkeypatch.setattr("gridtokenx_pipeline.solana.funding.is_loopback", lambda url: False)
    landed = campus.bank.transaction_count
    poor = Keypair()
    campus.bank.airdrop(poor.pubkey(), 10**8)
    campus.payer = poor
    with pytest.raises(PayerNotFunded, match="fewer than"):
        await campus.profile().prepare(campus.rpc, [reading(campus.meters[1])])
    assert campus.bank.transaction_count == landed + 1
