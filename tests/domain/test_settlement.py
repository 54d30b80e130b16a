from __future__ import annotations

import datetime as dt
import hashlib
import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtokenx_pipeline.contracts import certificates, market, settlement
from gridtokenx_pipeline.domain import merkle
from gridtokenx_pipeline.domain.certificates import issue
from gridtokenx_pipeline.domain.invariants import settlement_violations
from gridtokenx_pipeline.domain.market import Tariff, clear, positions
from gridtokenx_pipeline.domain.market.corrections import corrections
from gridtokenx_pipeline.domain.settlement import Memo, SettlementInputError, canonical_json, parse_memo, plan, settled_readings

START = dt.datetime(2026, 11, 22, 20, tzinfo=dt.UTC)
LATER = START + dt.timedelta(hours=1)


def _energy(energy_frame, starts=(START,)):
    return energy_frame(
        *(
            row | {"interval_start": start}
            for start in starts
            for row in (
                {"meter_id": "M1", "generation_milli_wh": 30_000, "load_milli_wh": 10_000},
                {"meter_id": "M2", "load_milli_wh": 25_000},
                {"meter_id": "M3", "generation_milli_wh": 4_000, "quality_flags": 17},
            )
        )
    )


def _plan(energy, closed_before=LATER, order=None):
    made = positions(energy, 100)
    cleared = clear(made, Tariff(80_000, 280_000), closed_before=closed_before)
    frames = [made, cleared.trades, cleared.grid_settlements, issue(energy).bundles, cleared.intervals]
    if order is not None:
        frames = [frame.sample(fraction=1, shuffle=True, seed=order) for frame in frames]
    return plan(*frames)


def test_a_batch_says_what_it_settles(energy_frame):
    planned = _plan(_energy(energy_frame))
    kinds = ["certificate", "energy_reading", "energy_reading", "energy_reading"]
    kinds += ["grid_settlement", "grid_settlement", "grid_settlement", "trade", "trade"]
    assert planned.items["kind"].to_list() == kinds
    assert planned.items["leaf_index"].to_list() == list(range(9))
    assert planned.items["natural_key"].to_list()[1:4] == ["M1", "M2", "M3"]
    (batch,) = planned.batches.to_dicts()
    assert (batch["items"], batch["traded_wh"], batch["certificate_wh"], batch["state"]) == (9, 24, 30, "pending")
    memo = parse_memo(batch["memo"])
    assert memo == Memo("stanford", START, 1, 9, 24, batch["amount_micro"], 30, batch["merkle_root"])
    assert memo.text() == batch["memo"]
    assert len(batch["memo"].encode()) < 200
    assert settlement_violations(planned.items, planned.batches).is_empty()


def test_payloads_are_canonical(energy_frame):
    items = _plan(_energy(energy_frame)).items
    reading = items.filter((pl.col("kind") == "energy_reading") & (pl.col("natural_key") == "M1"))
    assert reading["payload"].to_list() == [
        '{"charge_wh":0,"discharge_wh":0,"duration_s":300,"export_wh":0,"generation_wh":30,"import_wh":0,"kind":"energy_reading",'
        '"load_wh":10,"meter_id":"M1","quality_flags":1,"version":1,"window_start":"2026-11-22T20:00:00Z","zone":"stanford"}'
    ]
    for payload, leaf in items.select("payload", "leaf_sha256").iter_rows():
        assert hashlib.sha256(b"\x00" + payload.encode("ascii")).hexdigest() == leaf
        assert json.dumps(json.loads(payload), sort_keys=True, separators=(",", ":")) == payload


def test_ids_and_root_never_change(energy_frame):
    """A changed root or id would settle the window a second time."""
    planned = _plan(_energy(energy_frame))
    assert planned.batches["batch_id"].to_list() == ["e4a972a8-56bb-5b55-a796-97667b95c7d5"]
    assert planned.batches["merkle_root"].to_list() == ["96f0dfdb5da9ddd798f961324ec0db0d0742961e4adae96f049145017996e5f3"]
    assert planned.items["item_id"][0] == "285b68af-e779-5cf3-8c94-639c498292c5"


def test_each_item_has_its_proof(energy_frame):
    planned = _plan(_energy(energy_frame, [START, START + dt.timedelta(minutes=5)]))
    roots = dict(planned.batches.select("batch_id", "merkle_root").iter_rows())
    for item in planned.items.iter_rows(named=True):
        leaf, proof = bytes.fromhex(item["leaf_sha256"]), merkle.parse_proof(item["proof"])
        assert len(proof) in (1, 4)  # nine leaves: the last moves up three times
        assert merkle.verify(leaf, proof, bytes.fromhex(roots[item["batch_id"]]))


@pytest.mark.parametrize("seed", range(3))
def test_order_of_rows_does_not_matter(energy_frame, seed):
    energy = _energy(energy_frame, [START, START + dt.timedelta(minutes=5)])
    straight, shuffled = _plan(energy), _plan(energy, order=seed)
    assert straight.items.equals(shuffled.items)
    assert straight.batches.equals(shuffled.batches)


def test_each_window_is_its_own_batch(energy_frame):
    planned = _plan(_energy(energy_frame, [START, START + dt.timedelta(minutes=5)]))
    assert planned.batches["window_start"].n_unique() == planned.batches["merkle_root"].n_unique() == planned.batches.height == 2
    assert planned.items["item_id"].is_unique().all()


def test_open_windows_and_pending_certificates_stay_out(energy_frame):
    energy = _energy(energy_frame, [START, START + dt.timedelta(minutes=5)])
    planned = _plan(energy, closed_before=START + dt.timedelta(minutes=6))
    assert planned.batches["window_start"].to_list() == [START]
    assert planned.items.filter(pl.col("kind") == "certificate").height == 1
    assert _plan(energy, closed_before=START).batches.is_empty()


def test_an_interval_with_nothing_makes_no_batch(energy_frame):
    cleared = clear(positions(_energy(energy_frame), 100), Tariff(80_000, 280_000), closed_before=LATER)
    planned = plan(
        positions(energy_frame(), 100),
        market.TRADES.empty(),
        market.GRID_SETTLEMENTS.empty(),
        certificates.BUNDLES.empty(),
        cleared.intervals,
    )
    assert planned.batches.equals(settlement.BATCHES.empty())
    assert planned.items.equals(settlement.ITEMS.empty())


def test_a_meter_without_registers_settles_what_is_known(energy_frame):
    planned = _plan(energy_frame({"load_milli_wh": 5_000, "generation_register_milli_wh": None}))
    payload = json.loads(planned.items["payload"][0])
    assert (payload["generation_wh"], payload["load_wh"]) == (None, 5)


def test_rows_of_no_closed_interval_are_refused(energy_frame):
    energy = _energy(energy_frame)
    made = positions(energy, 100)
    cleared = clear(made, Tariff(80_000, 280_000), closed_before=LATER)
    nothing = market.TRADES.empty()
    other = cleared.intervals.with_columns(version=pl.lit(2, dtype=pl.Int32))
    bundles = issue(energy).bundles
    with pytest.raises(SettlementInputError, match="trade of no closed interval"):
        plan(made, cleared.trades, cleared.grid_settlements, bundles, other)
    with pytest.raises(SettlementInputError, match="grid settlement of no closed interval"):
        plan(made, nothing, cleared.grid_settlements, bundles, other)


def _corrected(energy_frame):
    """An interval that was settled, and its correction: M2 used 3 Wh more, M3 has other flags, M4 had no row."""
    energy = _energy(energy_frame)
    cleared = clear(positions(energy, 100), Tariff(80_000, 280_000), closed_before=LATER)
    rows = energy.to_dicts()
    rows[1] |= {"load_milli_wh": 28_000, "load_register_milli_wh": 28_000}
    rows[2] |= {"quality_flags": 3}
    now = positions(energy_frame(*rows, {"meter_id": "M4", "load_milli_wh": 5_000}), 100)
    correction = corrections(now, cleared.intervals, cleared.grid_settlements, closed_before=LATER)
    return cleared, correction, now


def test_a_correction_settles_differences_and_the_readings_of_corrected_meters(energy_frame):
    cleared, correction, now = _corrected(energy_frame)
    bundles = issue(_energy(energy_frame)).bundles
    (row,) = bundles.head(1).to_dicts()
    late = pl.DataFrame(
        [row | {"bundle_id": "late", "version": 2, "energy_wh": 7, "first_wh": 0, "last_wh": 6}], schema=bundles.schema
    )
    planned = plan(now, correction.trades, correction.grid_settlements, pl.concat([bundles, late]), correction.intervals)
    assert planned.items.select("kind", "natural_key").filter(pl.col("kind") != "grid_settlement").rows() == [
        ("certificate", "late"), ("energy_reading", "M2"), ("energy_reading", "M3"), ("energy_reading", "M4"),
    ]  # fmt: skip
    (batch,) = planned.batches.to_dicts()
    assert (batch["version"], batch["items"], batch["traded_wh"], batch["certificate_wh"]) == (2, 7, 0, 7)
    assert parse_memo(batch["memo"]).version == 2
    assert settlement_violations(planned.items, planned.batches).is_empty()
    # Both versions together are the two batches that each makes alone.
    both = plan(
        now,
        cleared.trades,
        pl.concat([cleared.grid_settlements, correction.grid_settlements]),
        pl.concat([bundles, late]),
        pl.concat([cleared.intervals, correction.intervals]),
    )
    assert both.batches["version"].to_list() == [1, 2]
    assert both.batches.filter(version=2).equals(planned.batches)
    assert settlement_violations(both.items, both.batches).is_empty()


def test_what_a_store_gave_back_is_told_and_certifies_nothing_new(energy_frame):
    energy = _energy(energy_frame)
    made, bundles = positions(energy, 100), issue(energy).bundles
    cleared = clear(made, Tariff(80_000, 280_000), closed_before=LATER)
    before = _plan(energy)
    (row,) = bundles.head(1).to_dicts()
    released = row | {"bundle_id": "given", "origin": "storage_discharge", "state": "released"}
    more = pl.concat([bundles, pl.DataFrame([released], schema=bundles.schema)])
    planned = plan(made, cleared.trades, cleared.grid_settlements, more, cleared.intervals)
    assert planned.batches["certificate_wh"].to_list() == before.batches["certificate_wh"].to_list()
    assert planned.batches["items"].sum() == before.batches["items"].sum() + 1
    (item,) = planned.items.filter(natural_key="given")["payload"]
    assert json.loads(item)["origin"] == "storage_discharge"
    assert settlement_violations(planned.items, planned.batches).is_empty()


def test_what_was_settled_last_is_read_from_the_items(energy_frame):
    cleared, correction, now = _corrected(energy_frame)
    none = certificates.BUNDLES.empty()
    energy = _energy(energy_frame)
    first = plan(positions(energy, 100), cleared.trades, cleared.grid_settlements, none, cleared.intervals)
    second = plan(now, correction.trades, correction.grid_settlements, none, correction.intervals)
    settled = settled_readings(pl.concat([second.items, first.items]))
    assert settled.select("meter_id", "load_wh").rows() == [("M1", 10), ("M2", 28), ("M3", 0), ("M4", 5)]
    unknown = positions(energy_frame({"load_milli_wh": 5_000, "generation_register_milli_wh": None}), 100)
    cleared = clear(unknown, Tariff(80_000, 280_000), closed_before=LATER)
    items = plan(unknown, cleared.trades, cleared.grid_settlements, none, cleared.intervals).items
    assert settled_readings(items).select("generation_wh", "load_wh").rows() == [(None, 5)]


def test_a_trade_says_what_its_way_costs(energy_frame):
    made = positions(_energy(energy_frame), 100)
    cleared = clear(made, Tariff(80_000, 280_000), closed_before=LATER)
    far = pl.DataFrame(
        [row | {"loss_wh": 1, "wheeling_micro": 20, "agreement_id": "a"} for row in cleared.trades.to_dicts()],
        schema=cleared.trades.schema,
    )
    batches = [
        plan(made, trades, cleared.grid_settlements, certificates.BUNDLES.empty(), cleared.intervals)
        for trades in (cleared.trades, far)
    ]
    near, long = (json.loads(b.items.filter(pl.col("kind") == "trade")["payload"][0]) for b in batches)
    assert {name: long[name] for name in set(long) - set(near)} == {"loss_wh": 1, "wheeling_micro": 20, "agreement_id": "a"}


@pytest.mark.parametrize("value", [1.5, True, [1]])
def test_settled_values_are_text_or_whole_numbers(value):
    with pytest.raises(SettlementInputError, match="energy_wh"):
        canonical_json({"energy_wh": value})


def test_canonical_json_is_ascii():
    assert canonical_json({"b": "Zürich", "a": None}) == '{"a":null,"b":"Z\\u00fcrich"}'


@pytest.mark.parametrize(
    "text",
    ["", "gtx2:a:2026-11-22T20:00:00Z:v1:1:2:3:4:" + "0" * 64, "gtx1:a:2026-11-22T20:00:00Z:v1:1:2:3:4:" + "0" * 63, "gtx1:a:b"],
)
def test_other_texts_are_no_memos(text):
    with pytest.raises(ValueError, match="not a settlement memo"):
        parse_memo(text)


def test_memo_fits_a_transaction(energy_frame):
    memo = Memo("z" * 32, START, 99, 100_000, 10**10, 10**13, 10**10, "f" * 64)
    assert parse_memo(memo.text()) == memo
    assert len(memo.text().encode()) < 200
    with pytest.raises(SettlementInputError, match="memo of 2"):
        _plan(energy_frame({}, zone="z" * 110))


def _hash(data):
    return hashlib.sha256(data).digest()


def test_root_by_hand():
    a, b, c = (merkle.leaf(name) for name in (b"a", b"b", b"c"))
    assert a == _hash(b"\x00a")
    assert merkle.root([a]) == a
    assert merkle.root([a, b]) == _hash(b"\x01" + a + b)
    assert merkle.root([a, b, c]) == _hash(b"\x01" + _hash(b"\x01" + a + b) + c)
    with pytest.raises(ValueError, match="no leaves"):
        merkle.root([])
    with pytest.raises(IndexError):
        merkle.proof([a], 1)
    with pytest.raises(IndexError):
        merkle.proof([a], -1)


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=40, unique=True), st.data())
def test_every_leaf_and_no_other_is_proven(payloads, data):
    leaves = [merkle.leaf(payload) for payload in payloads]
    index = data.draw(st.integers(0, len(leaves) - 1))
    root, proof = merkle.root(leaves), merkle.proof(leaves, index)
    assert len(proof) <= (len(leaves) - 1).bit_length()
    assert merkle.verify(leaves[index], proof, root)
    assert not merkle.verify(merkle.leaf(b"another payload"), proof, root)
    if len(leaves) > 1:
        other = data.draw(st.integers(0, len(leaves) - 1).filter(lambda i: i != index))
        assert not merkle.verify(leaves[other], proof, root)
        side, sibling = proof[0]
        assert not merkle.verify(leaves[index], (merkle.Step(side, _hash(sibling)), *proof[1:]), root)
