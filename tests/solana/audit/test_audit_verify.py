"""The whole warehouse against the whole chain: as the library, the command and the checks of a run see it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import pytest_asyncio
from solders.signature import Signature
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent))

from settled_chain import BOUGHT, SOLD, Campus
from settled_warehouse import settle

from gridtokenx_pipeline import clock
from gridtokenx_pipeline.cli import settle as settle_command
from gridtokenx_pipeline.contracts import settlement
from gridtokenx_pipeline.defs.partitions import HOURS, hour_key
from gridtokenx_pipeline.defs.resources import Stores
from gridtokenx_pipeline.defs.settlement import checks
from gridtokenx_pipeline.defs.specs import key
from gridtokenx_pipeline.domain.ids import iso
from gridtokenx_pipeline.solana import keys
from gridtokenx_pipeline.solana.audit import Rules, compare_balances, compare_transactions, verify
from gridtokenx_pipeline.warehouse import Warehouse

CHAIN_CHECKS = (
    checks.receipts_match_chain,
    checks.chain_state_matches_warehouse,
    checks.supply_equals_ledger,
    checks.balance_above_floor,
    checks.finalized_in_time,
    checks.nothing_refused_or_parked,
)


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chain(tmp_path_factory: pytest.TempPathFactory):
    """A chain on which an interval was settled, and the warehouse that has it."""
    async with Campus(tmp_path_factory.mktemp("campus")) as found:
        with Warehouse(found.settings.warehouse_dir) as warehouse:
            warehouse.commit(*await settle(found))
        yield found


@dataclass
class Settled:
    """A warehouse of its own beside the chain that all tests of this module share."""

    campus: Campus
    data: Path
    warehouse: Warehouse


@pytest.fixture
def settled(chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    campus = chain
    monkeypatch.setenv("GRIDTOKENX_SETTLEMENT__RPC_URL", campus.url)
    monkeypatch.setenv("GRIDTOKENX_SETTLEMENT__PROFILE", "gridtokenx")
    (tmp_path / "solana").symlink_to(campus.data / "solana")
    campus.chain.forget()
    shutil.copytree(campus.settings.warehouse_dir, tmp_path / "warehouse", symlinks=True)
    with Warehouse(tmp_path / "warehouse") as warehouse:
        yield Settled(campus, tmp_path, warehouse)


def change(settled: Settled, *statements: str) -> None:
    for statement in statements:
        settled.warehouse.connect().execute(statement)


async def run(settled: Settled, *arguments: str):
    """The command as it is used: from outside the event loop that the node runs in."""
    words = [*arguments, "--data", str(settled.data)]
    return await asyncio.to_thread(CliRunner().invoke, settle_command.app, words)


async def proven(settled: Settled, *what: str) -> dict:
    answer = await run(settled, "verify", "--proof", *what, "--json")
    found = json.loads(answer.stdout)
    assert answer.exit_code == (0 if found["included"] else 1)
    return found


def _unchanged(name: dg.AssetKey) -> dg.AssetsDefinition:
    """An asset that has what it had, so that its checks have something to follow."""

    @dg.asset(key=name, partitions_def=HOURS)
    def unchanged() -> None:
        return None

    return unchanged


async def evaluate(settled: Settled) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the checks of the hour of the interval."""

    def execute() -> dict[str, dg.AssetCheckEvaluation]:
        stores = Stores(data=str(settled.data))
        assets = [_unchanged(key(table)) for table in (settlement.ACTIONS, settlement.TRANSACTIONS)]
        done = dg.materialize(
            [*assets, *CHAIN_CHECKS], resources={"stores": stores}, partition_key=hour_key(settled.campus.start)
        )
        stores.warehouse.close()
        return {one.check_name: one for one in done.get_asset_check_evaluations()}

    return await asyncio.to_thread(execute)


async def test_everything_agrees_and_the_command_says_what_was_compared(settled: Settled):
    answer = await run(settled, "verify", "--json")
    assert answer.exit_code == 0, answer.output
    found = {one["name"]: one for one in json.loads(answer.stdout)["compared"]}
    assert {name: one["compared"] for name, one in found.items()} == {
        "meters": 2,
        "roots": 1,
        "memos": 2,
        "trades": 2,
        "energy minted": 1,
        "bundles": 2,
        "retirements": 1,
        "transactions": 7,
        "finality": 7,
        "meter totals": 2,
        "supply": 2,
        "balances": 1,
    }
    numbers = found["supply"]["numbers"]
    assert (numbers["rec_supply_wh"], numbers["rec_ledger_wh"], numbers["rec_not_minted_parked_wh"]) == (2100, 2170, 70)
    assert (numbers["grid_supply_wh"], numbers["grid_ledger_wh"]) == (3000, 3000)
    text = (await run(settled, "verify", "--from", iso(settled.campus.start), "--to", iso(settled.campus.window(1)))).stdout
    assert "bundles" in text
    assert "DIFFER" not in text


async def test_what_differs_is_named_and_ends_with_1(settled: Settled):
    stranger = str(Signature.new_unique())
    change(
        settled,
        "UPDATE settlement.actions SET arguments = replace(arguments, '2500', '2501') WHERE natural_key = 'b1'",
        f"UPDATE settlement.transactions SET signature = '{stranger}' WHERE kind = 'mint_grid'",
        "UPDATE certificates.holdings SET energy_wh = energy_wh + 5 WHERE state = 'locked'",
    )
    answer = await run(settled, "verify")
    assert answer.exit_code == 1
    for line in (
        "bundle b1: the chain has it with another content",
        f"transaction {stranger}: the node does not know it",
        f"meter {SOLD}: rec_minted_wh is 2500 on chain and 2501 in the warehouse",
        "REC: the supply is 2100 Wh, 1 Wh less than the 2101 Wh that are done",
        "REC: the books have 2175 Wh, +74 Wh against what is done, of which not minted parked +70 is explained",
    ):
        assert line in answer.stdout


async def test_an_item_is_proven_by_its_payload_its_siblings_and_the_root_on_chain(settled: Settled):
    latest = await proven(settled, SOLD, iso(settled.campus.start))
    assert (latest["included"], latest["version"], latest["siblings"]) == (True, 2, [])
    assert latest["where"] == "recorded by the oracle"
    # A root that a correction has replaced is still in the memo of its transaction.
    first = await proven(settled, BOUGHT, iso(settled.campus.start))
    assert (first["included"], first["version"], first["where"]) == (True, 1, "said in the memo")
    assert len(first["siblings"]) == 1
    by_id = await proven(settled, first["item_id"][:8])
    assert by_id["payload"] == first["payload"]

    change(settled, f"UPDATE settlement.items SET payload = replace(payload, '1', '3') WHERE item_id = '{first['item_id']}'")
    forged = await run(settled, "verify", "--proof", BOUGHT, iso(settled.campus.start))
    assert (forged.exit_code, forged.stdout.splitlines()[-1]) == (1, "not included")
    assert f"root on chain     {first['root_on_chain']}, said in the memo" in forged.stdout
    nothing = await run(settled, "verify", "--proof", "no-such-item")
    assert (nothing.exit_code, "no settlement item" in nothing.stderr) == (1, True)


async def test_checks_of_an_hour_pass_and_see_what_is_wrong(settled: Settled):
    found = await evaluate(settled)
    assert {name: one.passed for name, one in found.items()} == {
        "receipts_match_chain": True,
        "chain_state_matches_warehouse": True,
        "supply_equals_ledger": True,
        "balance_above_floor": True,
        "finalized_in_time": True,
        "nothing_refused_or_parked": False,
    }
    assert "parked mint_rec b2" in str(found["nothing_refused_or_parked"].metadata["problems"].value)

    change(
        settled,
        "UPDATE settlement.batches SET memo = memo || '!' WHERE version = 2",
        "UPDATE settlement.actions SET state = 'done', error = NULL, error_code = NULL WHERE natural_key = 'b2'",
    )
    wrong = await evaluate(settled)
    assert {name for name, one in wrong.items() if not one.passed} == {
        "receipts_match_chain",
        "chain_state_matches_warehouse",
        "supply_equals_ledger",
    }
    assert "70 Wh less" in str(wrong["supply_equals_ledger"].metadata["problems"].value)


async def test_who_runs_low_and_what_is_not_final_in_time_are_named(settled: Settled):
    poor = await compare_balances(
        settled.campus.chain, {"submitter": keys.role_key(settled.campus.settings, "submitter").pubkey()}, 10**15
    )
    assert poor.problems[0].startswith("submitter ")
    signature = await settled.campus.send([], [settled.campus.payer])
    frame = settled.warehouse.query("SELECT * FROM settlement.transactions LIMIT 1").with_columns(signature=pl.lit(signature))

    async def finality(age: dt.timedelta) -> tuple[int, dict]:
        _, found = await compare_transactions(settled.campus.chain, frame, clock.now() + age, dt.timedelta(minutes=5))
        return len(found.problems), dict(found.numbers)

    # The node makes what landed final 32 slots of 10 ms later.
    assert await finality(dt.timedelta(minutes=4)) in ((0, {"not_final_yet": 1}), (0, {"not_final_yet": 0}))
    status = (await settled.campus.chain.statuses([signature]))[signature]
    late, _ = await finality(dt.timedelta(minutes=7))
    assert late == 1 or status.state == "finalized"


async def test_other_profiles_are_compared_by_their_memos_alone(settled: Settled):
    rules = Rules("gridtokenx-2026-08", {}, 0, dt.timedelta(minutes=5))
    span = {"start": None, "end": None, "now": clock.now(), "progress": lambda *_: None}
    found = await verify(settled.campus.chain, settled.warehouse, rules, **span)
    assert {one.name: (one.compared, one.agrees) for one in found} == {
        "memos": (2, True),
        "transactions": (7, True),
        "finality": (7, True),
        "balances": (0, True),
    }
    change(settled, "UPDATE settlement.actions SET arguments = replace(arguments, 'gtx1', 'gtx2') WHERE batch_id = 'batch-0-2'")
    (memos, *_) = await verify(settled.campus.chain, settled.warehouse, rules, **span)
    assert "says ['gtx1:" in memos.problems[0]


async def test_a_cluster_that_is_set_up_stays_as_it_is(settled: Settled):
    authority = settled.data / "solana" / "node" / "operator.json"
    answer = await run(settled, "setup", "--authority", str(authority), "--url", settled.campus.url)
    assert answer.exit_code == 0, answer.output
    shown = dict(line.split(maxsplit=1) for line in answer.stdout.splitlines())
    assert shown["submitter"] == str(keys.role_key(settled.campus.settings, "submitter").pubkey())
    assert (shown["window_seconds"], answer.stderr) == ("300", "")
    missing = await run(settled, "setup", "--authority", str(settled.data / "nobody.json"))
    assert (missing.exit_code, "no such keypair file" in missing.stderr) == (1, True)
