"""What transactions hold and instructions cost: bounds, with what was measured beside them."""

from __future__ import annotations

import pytest
from bazaar import CURRENCY, METER, Bazaar
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from svm_world import NOW_WINDOW, SYSTEM, World, instruction, key

from gridtokenx_pipeline.solana.programs.addresses import config_address, page_address, state_address
from gridtokenx_pipeline.solana.programs.images import PROGRAMS, image
from gridtokenx_pipeline.solana.programs.instructions import Programs

BUDGET = [set_compute_unit_limit(1_000_000), set_compute_unit_price(1)]
PACKET = 1232
LAST = NOW_WINDOW - 1


def size(world: World, *instructions) -> int:
    message = world.message([*BUDGET, *instructions], world.submitter.pubkey())
    return 1 + 64 * message.header.num_required_signatures + len(bytes(message))


def readings(world: World, meters: list[bytes], window: int):
    keys = [world.submitter.pubkey(), config_address(), *map(state_address, meters)]
    return instruction("oracle", "submit_energy_readings", keys, window=window, readings=[(1, 2)] * len(meters))


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_image_stays_small(program: str):
    assert len(image(program)) < 16_000  # 6,344 (registry) to 14,896 (energy_token)


def test_readings_in_a_transaction(governed: World):
    meters = [bytes([n]) * 32 for n in range(60)]
    for meter in meters:
        governed.send(governed.register_ix(meter), governed.sync_ix(meter))
    fitting = max(n for n in range(1, 60) if size(governed, readings(governed, meters[:n], LAST)) <= PACKET)
    assert fitting == 23  # without a lookup table

    for window, most in ((LAST - 3000, 250), (LAST - 2999, 250), (LAST - 1500, 300), (LAST, 300)):  # the last two after silence
        outcome = governed.send(readings(governed, meters, window))
        assert outcome.error is None
        assert outcome.units < most * len(meters)  # 60 accounts: what 64 locks leave with a lookup table


def test_what_a_single_reading_costs(governed: World):
    governed.send(governed.register_ix(METER), governed.sync_ix(METER))
    keys = [governed.submitter.pubkey(), config_address(), state_address(METER)]
    for window in (LAST - 2500, LAST - 2499, LAST - 500, LAST):
        ix = instruction("oracle", "submit_energy_reading", keys, window=window, produced_wh=1, consumed_wh=2)
        for _ in range(2):  # counted, and repeated
            outcome = governed.send(ix)
            assert outcome.error is None
            assert outcome.units < 1000  # 610 to 910


def test_what_status_and_roots_cost(governed: World):
    governed.send(governed.register_ix(METER))
    assert governed.send(governed.status_ix(METER, 1, 5)).units < 1000
    for window in (LAST, LAST - 1):
        keys = [governed.submitter.pubkey(), config_address(), page_address(window), SYSTEM]
        ix = instruction("oracle", "record_batch", keys, window=window, version=1, leaves=9, root=b"r" * 32)
        outcome = governed.send(ix)
        assert outcome.error is None
    assert outcome.units < 1000  # on a page that is there


def test_what_tokens_cost_and_how_many_fit():
    bazaar = Bazaar().open()
    grid = bazaar.done(bazaar.grid_ix(2000))
    rec = bazaar.done(bazaar.rec_ix(2000))
    trades = [bazaar.trade_ix(bytes([n]) * 32, 10) for n in range(30)]
    assert bazaar.done(*trades[:5]).units < 5 * 9_000
    assert grid.units < 6_000
    assert rec.units < 6_000
    assert bazaar.done(bazaar.retire_for_ix()).units < 6_000
    assert max(n for n in range(1, 30) if size(bazaar, *trades[:n]) <= PACKET) == 8  # of one pair


def test_what_settlements_cost_and_how_many_fit():
    bazaar, programs = Bazaar().open(), Programs()
    bazaar.done(bazaar.grid_ix(2000))
    bazaar.fund_vaults(1000, 200_000)
    for last in range(LAST - 20, LAST):  # the last few with a position that is full
        settle = bazaar.settle_ix(-1, 1, first=last, last=last)
        assert bazaar.done(settle).units < 8_500
        assert bazaar.done(settle).units < 1_700  # the repetition
    assert bazaar.done(bazaar.settle_ix(1, 0)).units < 5_500  # one side alone
    common = {
        "currency_mint": CURRENCY,
        "first_window": LAST,
        "last_window": LAST,
        "number": 1,
        "energy_wh": 1,
        "amount_micro": 1,
    }
    wallets = [key(f"party {n}").pubkey() for n in range(12)]
    each = [programs.trading.settle_position(bazaar.submitter.pubkey(), wallet=wallet, **common) for wallet in wallets]
    assert max(n for n in range(1, 12) if size(bazaar, *each[:n]) <= PACKET) == 5  # without a lookup table
