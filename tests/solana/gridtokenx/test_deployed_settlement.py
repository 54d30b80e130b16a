"""Actions on the deployed programs: what is sent byte for byte, and what is parked with the code it would get."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from typing import Any

import pytest
from deployed_chain import DeployedChain
from deployed_idls import deployed_idls
from solders.hash import Hash
from solders.pubkey import Pubkey
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.token.constants import TOKEN_2022_PROGRAM_ID
from typer.testing import CliRunner

from gridtokenx_pipeline import config
from gridtokenx_pipeline.cli import app
from gridtokenx_pipeline.domain.ids import iso
from gridtokenx_pipeline.solana.actions import Action, ActionsRefused
from gridtokenx_pipeline.solana.gridtokenx.settlement import DeployedProfile, check_idls
from gridtokenx_pipeline.solana.gridtokenx.terms import certificate_id
from gridtokenx_pipeline.solana.idl import BindingError
from gridtokenx_pipeline.solana.keys import role_key
from gridtokenx_pipeline.solana.outbox import Outbox
from gridtokenx_pipeline.solana.packing import Tables, pack
from gridtokenx_pipeline.solana.profiles.choice import profile_of
from gridtokenx_pipeline.solana.programs.addresses import identifier
from gridtokenx_pipeline.solana.sender import Pace, submit_actions
from gridtokenx_pipeline.solana.wallets import wallets_of

START = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
SECONDS = 900
METERS = [f"AMI_METER_STANFORD_ENG_{number:03d}" for number in range(30)]


@pytest.fixture
def settings(tmp_path):
    base = config.load(data=tmp_path)
    chosen = {"profile": "gridtokenx-2026-08", "idl_dir": deployed_idls(), "rpc_url": "inprocess?slot_ms=20"}
    return base.model_copy(update={"settlement": base.settlement.model_copy(update=chosen)})


@pytest.fixture
def profile(settings) -> DeployedProfile:
    found = profile_of(settings, role_key(settings, "fee_payer"))
    assert isinstance(found, DeployedProfile)
    return found


def deployed(profile: DeployedProfile, settings: Any, now: dt.datetime, **oracle: int) -> DeployedChain:
    bridge, validator = (role_key(settings, name).pubkey() for name in ("submitter", "certifier"))
    return DeployedChain(profile._profile, bridge, validator, now, **oracle)


def action(kind: str, key: str, at: dt.datetime = START, **values: Any) -> Action:
    told = json.dumps(values | {"duration_s": SECONDS}, sort_keys=True)
    return Action(f"{kind}/{key}/{iso(at)}", f"batch-{iso(at)}", "stanford", at, kind, key, told)


def reading(meter: str, at: dt.datetime = START, produced: int = 1200, consumed: int = 900) -> Action:
    return action("submit_energy_reading", meter, at, meter_id=meter, produced_wh=produced, consumed_wh=consumed, version=1)


def mint(meter: str, at: dt.datetime = START, **more: Any) -> Action:
    return action("mint_grid", meter, at, meter_id=meter, energy_wh=300, **more)


def certificate(bundle: str, meter: str, energy_wh: int) -> Action:
    return action("mint_rec", bundle, bundle_id=bundle, meter_id=meter, energy_wh=energy_wh)


def wallet_of(settings: Any, meter: str) -> Pubkey:
    return wallets_of(settings).address(meter)


def codes(refusals: Any) -> dict[str, tuple[int | None, str]]:
    return {name: (found.code, found.reason.partition(":")[0]) for name, found in refusals.items()}


async def test_readings_and_mints_are_what_the_idl_says(profile, settings):
    (first, second) = profile.compose([reading(METERS[0])]) + profile.compose([mint(METERS[0])])
    oracle, token = (profile._profile.programs[name] for name in ("oracle", "energy_token"))
    at_end = int((START + dt.timedelta(seconds=SECONDS)).timestamp())
    assert first.instruction.data == oracle.coder.encode_instruction(
        "submit_meter_reading",
        {"meter_id": METERS[0], "energy_produced": 1200, "energy_consumed": 900, "reading_timestamp": at_end, "zone_id": 0},
    )
    bridge = role_key(settings, "submitter").pubkey()
    state = Pubkey.find_program_address([b"meter", METERS[0].encode()], oracle.program_id)[0]
    assert [meta.pubkey for meta in first.instruction.accounts[1:3]] == [state, bridge]
    assert second.instruction.data == token.coder.encode_instruction(
        "mint_generation",
        {
            "meter_id": identifier("meter", METERS[0])[:16],
            "window_start_ms": int(START.timestamp()) * 1000,
            "amount": 300_000_000,
        },
    )
    signers = {meta.pubkey for meta in second.instruction.accounts if meta.is_signer}
    assert signers == {role_key(settings, name).pubkey() for name in ("submitter", "certifier", "fee_payer")}
    assert TOKEN_2022_PROGRAM_ID in {meta.pubkey for meta in second.instruction.accounts}


async def test_what_the_oracle_takes_is_sent_and_the_rest_is_parked_with_its_code(profile, settings):
    step = dt.timedelta(seconds=SECONDS)
    chain = deployed(profile, settings, START + 3 * step)
    chain.counted(METERS[1], START + 2 * step)
    chain.counted(METERS[2], START + step)
    chain.counted(METERS[3], START + step - dt.timedelta(seconds=30))
    actions = [
        reading(METERS[0]),
        reading(METERS[0], START + step),
        reading(METERS[1]),
        reading(METERS[2]),
        reading(METERS[3]),
        reading(METERS[4], START + 3 * step),
        reading(METERS[5], produced=1_000_001, consumed=1_000_000),
        reading(METERS[6], produced=9_001, consumed=900),
        reading("M" * 33),
    ]
    found = codes(await profile.prepare(chain, actions))
    by_meter = {name.split("/")[1]: what for name, what in found.items()}
    assert by_meter == {
        METERS[1]: (6005, "OutdatedReading"),
        METERS[3]: (6007, "RateLimitExceeded"),
        METERS[4]: (6006, "FutureReading"),
        METERS[5]: (6003, "EnergyValueOutOfRange"),
        METERS[6]: (6004, "AnomalousReading"),
        "M" * 33: (None, "MaxSeedLengthExceeded"),
    }
    # The third meter's reading is the one that counted last: the chain says so again, and that means done.
    assert profile.judge(actions[3], 6005, "") == "done"
    assert profile.judge(actions[0], 6005, "") == "refused"
    assert profile.explain(actions[0], 6005, "custom") == "oracle: OutdatedReading (6005)"
    assert profile.explain(actions[0], 4711, "custom") == "custom"


async def test_mints_are_of_quarter_hours_and_once(profile, settings):
    chain = deployed(profile, settings, START + dt.timedelta(hours=1))
    chain.minted(METERS[2], START, 300)
    chain.minted(METERS[3], START, 299)
    actions = [mint(METERS[0]), mint(METERS[1], START + dt.timedelta(minutes=5)), mint(METERS[2]), mint(METERS[3])]
    found = await profile.prepare(chain, actions)
    # The third is there already, as it should be; of the fourth another amount is, and the program would not say so.
    assert {name.split("/")[1]: refusal.code for name, refusal in found.items()} == {METERS[1]: 6010, METERS[3]: None}
    assert "minted already" in found[actions[3].action_id].reason


async def test_a_netted_mint_is_of_the_quarter_hour_in_which_the_meter_last_sold(profile, settings):
    chain = deployed(profile, settings, START + dt.timedelta(hours=1))
    last = iso(START + dt.timedelta(minutes=50))
    actions = [mint(METERS[0], first_window=iso(START), last_window=last), mint(METERS[0], START + dt.timedelta(minutes=45))]
    found = await profile.prepare(chain, actions)
    (composed,) = profile.compose(actions[:1])
    _, told = profile._profile.programs["energy_token"].coder.decode_instruction(bytes(composed.instruction.data))
    assert told["window_start_ms"] == int(START.timestamp()) * 1000 + 45 * 60_000
    # Another mint of the same quarter hour would be taken for the first one.
    assert list(found) == [actions[1].action_id]


async def test_certificates_are_issued_by_two_keys_in_whole_kwh(profile, settings):
    now = START + dt.timedelta(hours=1)
    chain = deployed(profile, settings, now)
    owners = {meter: wallet_of(settings, meter) for meter in METERS[:4]}
    for meter in METERS[:3]:
        chain.registered(meter, owners[meter], 250)
    actions = [
        certificate("a", METERS[0], 123_456),
        certificate("b", METERS[0], 127_000),
        certificate("c", METERS[0], 100_000),
        certificate("d", METERS[1], 99_999),
        certificate("e", METERS[2], 100_000),
        certificate("f", METERS[3], 100_000),
    ]
    chain.put(
        "governance", "ErcCertificate", b"erc_certificate", certificate_id(actions[4]).encode(), owner=owners[METERS[2]], energy_amount=100
    )  # fmt: skip
    found = {name.split("/")[1]: (code, name_) for name, (code, name_) in codes(await profile.prepare(chain, actions)).items()}
    assert found == {
        "c": (6017, "InsufficientUnclaimedGeneration"),
        "d": (6005, "BelowMinimumEnergy"),
        "f": (3007, "AccountOwnedByWrongProgram"),
    }
    # The fifth exists: the chain says so again, and that means done. No other is.
    assert [profile.judge(action, 0, "") for action in actions[:5]] == ["refused"] * 4 + ["done"]
    payer = role_key(settings, "fee_payer")
    packed = pack([actions[0], actions[4]], profile, payer.pubkey(), Tables(), price=1000)
    assert not packed.refused
    _, told = profile._profile.programs["governance"].coder.decode_instruction(
        bytes(packed.drafts[0].composed[0].instruction.data)
    )
    assert (told["certificate_id"], told["energy_amount"], told["renewable_source"]) == (certificate_id(actions[0]), 123, "solar")
    for draft in packed.drafts:
        signed = draft.signed(payer, 200_000, 1000, Hash.default())
        assert len(bytes(signed)) <= 1232
        named = {owners[action.values["meter_id"]] for action in draft.actions}
        assert set(signed.message.account_keys[: len(signed.signatures)]) == named | {
            payer.pubkey(),
            role_key(settings, "submitter").pubkey(),
        }


async def test_an_owner_who_keeps_their_wallet_has_to_issue_themselves(settings):
    owner = Pubkey.new_unique()
    meters = tuple(m.model_copy(update={"wallet": str(owner)}) if n == 0 else m for n, m in enumerate(settings.meters))
    own = DeployedProfile(settings.model_copy(update={"meters": meters}), role_key(settings, "fee_payer"))
    chain = deployed(own, settings, START + dt.timedelta(hours=1))
    chain.registered(meters[0].id, owner, 250)
    asked = certificate("a", meters[0].id, 100_000)
    found = await own.prepare(chain, [asked])
    assert "has to sign" in found[asked.action_id].reason


async def test_a_program_that_is_not_there_is_named(profile, settings):
    chain = deployed(profile, settings, START + dt.timedelta(hours=1))
    chain.without("oracle")
    asked = reading(METERS[0])
    assert await profile.prepare(chain, [asked]) == {asked.action_id: (None, "the program oracle is not on this cluster")}


async def test_a_meter_keeps_its_zone(profile, settings):
    chain = deployed(profile, settings, START + dt.timedelta(hours=1))
    chain.counted(METERS[0], START, zone=-1)
    assert not await profile.prepare(chain, [reading(meter) for meter in METERS])
    assert chain.calls == 1
    coder = profile._profile.programs["oracle"].coder
    composed = profile.compose([reading(METERS[0]), reading(METERS[1])])
    assert [coder.decode_instruction(bytes(one.instruction.data))[1]["zone_id"] for one in composed] == [-1, 0]


async def test_what_has_no_instruction_of_theirs_is_parked(profile, settings):
    chain = deployed(profile, settings, START + dt.timedelta(hours=1), active=0)
    chain.registered(METERS[0], wallet_of(settings, METERS[0]), 150)
    actions = [
        action("execute_trade", "t", trade_id="t"),
        certificate("large", METERS[0], 151_000),
        action("retire_rec", "r", energy_wh=1, meter_id=METERS[0]),
        action("settle_position", "p", energy_wh=1, amount_micro=1, meter_id=METERS[0]),
        action("record_batch", "b", memo="gtx1"),
        reading(METERS[0]),
    ]
    found = {name.split("/")[1]: code for name, (code, _) in codes(await profile.prepare(chain, actions)).items()}
    assert found == {"t": 3007, "large": 6017, "r": None, "p": None, METERS[0]: 6002}
    with pytest.raises(ActionsRefused):
        profile.compose([actions[0]])
    (memo,) = profile.compose([actions[4]])
    assert memo.instruction.program_id == MEMO_PROGRAM_ID


def test_as_many_readings_fit_as_were_counted_beforehand(profile, settings):
    payer = role_key(settings, "fee_payer")
    packed = pack([reading(meter) for meter in METERS], profile, payer.pubkey(), Tables(), price=1000)
    assert not packed.refused
    assert [len(draft.actions) for draft in packed.drafts] == [8, 8, 8, 6]
    assert all(len(bytes(draft.signed(payer, 200_000, 1000, Hash.default()))) <= 1232 for draft in packed.drafts)


@pytest.mark.parametrize(("fee_payer", "most"), [("own", 11), ("submitter", 13)])
def test_a_lookup_table_holds_more(settings, fee_payer, most):
    paid = settings.settlement.model_copy(update={"fee_payer": fee_payer})
    settings = settings.model_copy(update={"settlement": paid})
    payer = role_key(settings, "fee_payer")
    profile = profile_of(settings, payer)
    actions = [reading(meter) for meter in METERS]
    held = {meta.pubkey for one in profile.compose(actions) for meta in one.instruction.accounts if not meta.is_signer}
    packed = pack(actions, profile, payer.pubkey(), Tables({Pubkey.new_unique(): sorted(held, key=bytes)}), price=1000)
    assert [len(draft.actions) for draft in packed.drafts] == [most, most, len(METERS) - 2 * most]
    assert all(len(bytes(draft.signed(payer, 200_000, 1000, Hash.default()))) <= 1232 for draft in packed.drafts)


def test_without_the_programs_everything_but_the_memo_is_parked(profile, settings):
    outbox = Outbox(settings.operational_url)
    actions = [reading(METERS[0]), mint(METERS[0]), action("execute_trade", "t"), action("record_batch", "b", memo="gtx1:root")]
    report = submit_actions(
        actions,
        rpc_urls=settings.rpc_urls,
        outbox=outbox,
        payer=role_key(settings, "fee_payer"),
        profile=profile,
        pace=Pace(poll_s=0.05),
    )
    states = Counter((outcome.action.kind, outcome.state) for outcome in report.outcomes)
    assert states == {
        ("record_batch", "done"): 1,
        ("submit_energy_reading", "parked"): 1,
        ("mint_grid", "parked"): 1,
        ("execute_trade", "parked"): 1,
    }
    outbox.close()


def test_a_window_is_sent_when_those_before_it_have_landed(profile, settings):
    outbox = Outbox(settings.operational_url)
    landed: list[tuple[int, int]] = []

    class Watched(DeployedProfile):
        window_by_window = ("record_batch",)

        async def prepare(self, rpc, actions):
            landed.append((len(actions), outbox.counts().get("done", 0)))
            return await super().prepare(rpc, actions)

    actions = [
        action("record_batch", f"{zone}{hour}", START + dt.timedelta(hours=hour), memo=f"gtx1:{zone}{hour}")
        for hour in (2, 0, 1)
        for zone in "ab"
    ]
    payer = role_key(settings, "fee_payer")
    watched = Watched(settings, payer)
    submit_actions(actions, rpc_urls=settings.rpc_urls, outbox=outbox, payer=payer, profile=watched, pace=Pace(poll_s=0.05))
    assert landed == [(2, 0), (2, 2), (2, 4)]
    assert profile.window_by_window == ("submit_energy_reading",)
    outbox.close()


def test_idl_files_are_told_apart(tmp_path, settings):
    directory = tmp_path / "idls"
    directory.mkdir()
    oracle = json.loads((deployed_idls() / "oracle.json").read_text())
    (directory / "oracle.json").write_text(json.dumps(oracle))
    assert check_idls(deployed_idls()) == dict.fromkeys(("oracle", "registry", "energy_token", "governance", "trading"), "bound")
    lines = check_idls(directory)
    assert lines["oracle"] == "bound"
    assert lines["registry"] == f"there is no registry.json in {directory}"
    told = CliRunner().invoke(app, ["settle", "status", "--idl", str(directory), "--json"])
    assert (told.exit_code, json.loads(told.output)) == (1, lines)
    instruction = next(one for one in oracle["instructions"] if one["name"] == "submit_meter_reading")
    instruction["args"].pop()
    (directory / "oracle.json").write_text(json.dumps(oracle))
    assert check_idls(directory)["oracle"].startswith("oracle.submit_meter_reading: same discriminator, other arguments")
    wrong = settings.settlement.model_copy(update={"idl_dir": directory})
    with pytest.raises(BindingError):
        DeployedProfile(settings.model_copy(update={"settlement": wrong}), role_key(settings, "fee_payer"))
    none = settings.settlement.model_copy(update={"idl_dir": None})
    with pytest.raises(BindingError, match="idl_dir"):
        DeployedProfile(settings.model_copy(update={"settlement": none}), role_key(settings, "fee_payer"))
