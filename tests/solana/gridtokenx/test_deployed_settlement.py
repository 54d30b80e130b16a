"""Actions on the deployed programs: what is sent byte for byte, and what is parked with the code it would get."""

from __future__ import annotations

import datetime as dt
import json
import struct
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
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
from gridtokenx_pipeline.solana.idl import BindingError
from gridtokenx_pipeline.solana.keys import role_key
from gridtokenx_pipeline.solana.outbox import Outbox
from gridtokenx_pipeline.solana.packing import Tables, pack
from gridtokenx_pipeline.solana.profiles.choice import profile_of
from gridtokenx_pipeline.solana.programs.addresses import identifier
from gridtokenx_pipeline.solana.sender import Pace, submit_actions

START = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
SECONDS = 900
METERS = [f"AMI_METER_STANFORD_ENG_{number:03d}" for number in range(30)]
CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")


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


class Chain:
    """Answers `get_multiple_accounts` with accounts as the deployed programs write them."""

    def __init__(self, profile: DeployedProfile, settings: Any, now: dt.datetime, **rules: int) -> None:
        self.programs = profile._profile.programs
        bridge, validator = role_key(settings, "submitter").pubkey(), role_key(settings, "certifier").pubkey()
        self.accounts: dict[Pubkey, tuple[Pubkey, bytes]] = {CLOCK: (CLOCK, bytes(32) + struct.pack("<q", int(now.timestamp())))}
        told = {"max_energy": 1_000_000, "min_interval": 60, "ratio": 1000, "active": 1} | rules
        self.put(
            "oracle", "OracleData", (b"oracle_data",), bytes(bridge), bytes(bridge), 0, 0, 0, 0, 0, told["max_energy"], 0, 0, 0, 0, 0, 0,
            told["min_interval"], told["ratio"], told["active"], 1, 0, b"\0", layout="32s32sQqqqQQQQqQQqHHBBB1s",
        )  # fmt: skip
        self.put(
            "energy_token", "TokenInfo", (b"token_info_2022",), bytes(bridge), bytes(32), bytes(32), bytes(32), 0, 0,
            bytes(validator) + bytes(128), 1, bytes(7), layout="32s32s32s32sQq160sB7s",
        )  # fmt: skip

    def put(self, program: str, name: str, seeds: tuple[bytes, ...], *values: Any, layout: str) -> None:
        owner = self.programs[program].program_id
        discriminator = self.programs[program].idl.accounts[name]
        address = Pubkey.find_program_address(list(seeds), owner)[0]
        self.accounts[address] = (owner, discriminator + struct.pack(f"<{layout}", *values))

    def counted(self, meter: str, at: dt.datetime) -> None:
        padded = meter.encode().ljust(32, b"\0")
        seconds = int(at.timestamp())
        self.put(
            "oracle", "MeterState", (b"meter", meter.encode()), padded, len(meter), 255, 0, 1, 1, 1, 1, seconds, 1, seconds,
            layout="32sBBiQQQQqQq",
        )  # fmt: skip

    def minted(self, meter: str, at: dt.datetime) -> None:
        seeds = (b"gen_mint", identifier("meter", meter)[:16], (int(at.timestamp()) * 1000).to_bytes(8, "little"))
        owner = self.programs["energy_token"].program_id
        self.accounts[Pubkey.find_program_address(list(seeds), owner)[0]] = (owner, b"any")

    async def call(self, method: str, keys: list[Pubkey], *_: Any) -> Any:
        assert method == "get_multiple_accounts"
        assert len(keys) <= 100
        found = [self.accounts.get(key) for key in keys]
        return SimpleNamespace(value=[f and SimpleNamespace(owner=f[0], data=f[1]) for f in found])


def action(kind: str, key: str, at: dt.datetime = START, **values: Any) -> Action:
    told = json.dumps(values | {"duration_s": SECONDS}, sort_keys=True)
    return Action(f"{kind}/{key}/{iso(at)}", f"batch-{iso(at)}", "stanford", at, kind, key, told)


def reading(meter: str, at: dt.datetime = START, produced: int = 1200, consumed: int = 900) -> Action:
    return action("submit_energy_reading", meter, at, meter_id=meter, produced_wh=produced, consumed_wh=consumed, version=1)


def mint(meter: str, at: dt.datetime = START, **more: Any) -> Action:
    return action("mint_grid", meter, at, meter_id=meter, energy_wh=300, **more)


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
    chain = Chain(profile, settings, START + 3 * step)
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
    chain = Chain(profile, settings, START + dt.timedelta(hours=1))
    chain.minted(METERS[2], START)
    early = START + dt.timedelta(minutes=5)
    actions = [mint(METERS[0]), mint(METERS[1], early), mint(METERS[2]), mint(METERS[3], first_window=iso(START))]
    found = codes(await profile.prepare(chain, actions))
    assert {name.split("/")[1]: code for name, (code, _) in found.items()} == {METERS[1]: 6010, METERS[3]: None}


async def test_what_has_no_instruction_of_theirs_is_parked(profile, settings):
    chain = Chain(profile, settings, START + dt.timedelta(hours=1), active=0)
    actions = [
        action("execute_trade", "t", trade_id="t"),
        action("mint_rec", "small", energy_wh=99_999, meter_id=METERS[0]),
        action("mint_rec", "large", energy_wh=100_000, meter_id=METERS[0]),
        action("retire_rec", "r", energy_wh=1, meter_id=METERS[0]),
        action("settle_position", "p", energy_wh=1, amount_micro=1, meter_id=METERS[0]),
        action("record_batch", "b", memo="gtx1"),
        reading(METERS[0]),
    ]
    found = {name.split("/")[1]: code for name, (code, _) in codes(await profile.prepare(chain, actions)).items()}
    assert found == {"t": 3012, "small": 6005, "large": None, "r": None, "p": None, METERS[0]: 6002}
    with pytest.raises(ActionsRefused):
        profile.compose([actions[0]])
    (memo,) = profile.compose([actions[5]])
    assert memo.instruction.program_id == MEMO_PROGRAM_ID


def test_as_many_readings_fit_as_were_counted_beforehand(profile, settings):
    payer = role_key(settings, "fee_payer")
    packed = pack([reading(meter) for meter in METERS], profile, payer.pubkey(), Tables(), price=1000)
    assert not packed.refused
    assert [len(draft.actions) for draft in packed.drafts] == [8, 8, 8, 6]
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
