from __future__ import annotations

import struct

import pytest
from model_oracle import MeterState
from solders.account import Account
from svm_world import NOW, NOW_WINDOW, SYSTEM, WINDOW_S, World, altered, instruction, key

from gridtokenx_pipeline.solana.programs.addresses import config_address, meter_address, page_address, state_address
from gridtokenx_pipeline.solana.programs.images import program_id

METERS = [bytes([n]) * 32 for n in range(1, 41)]
METER, OTHER = METERS[:2]
STRANGER = key("other").pubkey()
LAST = NOW_WINDOW - 1


@pytest.fixture
def metered(governed: World) -> World:
    for meter in METERS:
        assert governed.send(governed.register_ix(meter), governed.sync_ix(meter)).error is None
    return governed


def reading(world: World, window: int = LAST, produced: int = 3, consumed: int = 4, meter: bytes = METER):
    keys = [world.submitter.pubkey(), config_address(), state_address(meter)]
    args = {"window": window, "produced_wh": produced, "consumed_wh": consumed}
    return instruction("oracle", "submit_energy_reading", keys, **args)


def readings(world: World, meters: list[bytes], window: int = LAST, values=None):
    keys = [world.submitter.pubkey(), config_address(), *map(state_address, meters)]
    values = values or [(3, 4)] * len(meters)
    return instruction("oracle", "submit_energy_readings", keys, window=window, readings=values)


def batch(world: World, window: int = LAST, version: int = 1, root: bytes = b"r" * 32, leaves: int = 9):
    keys = [world.submitter.pubkey(), config_address(), page_address(window), SYSTEM]
    return instruction("oracle", "record_batch", keys, window=window, version=version, leaves=leaves, root=root)


def sums(world: World, meter: bytes = METER) -> tuple[int, ...]:
    """(produced, consumed, readings, newest window)"""
    return struct.unpack_from("<QQQQ", world.data(state_address(meter)), 40)


REFUSALS = [
    (lambda w, ix: altered(ix, 0, signer=False), 3010),
    (lambda w, ix: altered(ix, 0, key=STRANGER), 6000),
    (lambda w, ix: altered(ix, 1, key=STRANGER), 3007),
    (lambda w, ix: altered(ix, 2, writable=False), 2000),
    (lambda w, ix: altered(ix, 2, key=meter_address(METER)), 3007),
    (lambda w, ix: altered(ix, 2, key=page_address(LAST)), 3002),
    (lambda w, ix: altered(ix, 2, key=ix.accounts[1].pubkey), 2040),
]


@pytest.mark.parametrize(("change", "code"), REFUSALS)
@pytest.mark.parametrize("make", [lambda w: reading(w), lambda w: readings(w, [METER])], ids=["one", "many"])
def test_whose_readings_are_refused(metered: World, make, change, code: int):
    metered.send(batch(metered))
    before = metered.data(state_address(METER))

    assert metered.send(change(metered, make(metered))).error == (0, code)
    assert metered.data(state_address(METER)) == before


@pytest.mark.parametrize(
    ("window", "produced", "consumed", "code"),
    [(LAST + 1, 1, 1, 6004), (2**64 - 1, 1, 1, 6004), (LAST, 5001, 0, 6003), (LAST, 0, 5001, 6003), (LAST, 5000, 5000, None)],
)
def test_which_readings_are_refused(metered: World, window: int, produced: int, consumed: int, code: int | None):
    assert metered.send(reading(metered, window, produced, consumed)).code == code
    assert metered.send(readings(metered, [OTHER], window, [(produced, consumed)])).code == code


def test_a_window_counts_within_a_minute_of_its_end(metered: World):
    metered.at((LAST + 2) * WINDOW_S - 61)
    assert metered.send(reading(metered, LAST + 1)).code == 6004

    metered.at((LAST + 2) * WINDOW_S - 60)

    assert metered.send(reading(metered, LAST + 1)).error is None


def test_late_windows_count_once_in_whatever_order(metered: World):
    for window in (LAST, LAST - 5, LAST - 2047, LAST - 5, LAST, LAST - 2047):
        assert metered.send(reading(metered, window)).error is None

    assert sums(metered) == (9, 12, 3, LAST)
    assert metered.send(reading(metered, LAST - 2048)).code == 6005
    assert metered.send(reading(metered, LAST, produced=99)).events("oracle") == []


def test_windows_of_a_silence_are_still_to_come(metered: World):
    """What a bit of the ring meant before the meter fell silent says nothing of the window it means now."""
    for window in range(LAST - 3000, LAST - 2900):
        metered.send(reading(metered, window))
    metered.send(reading(metered, LAST - 1000))

    for window in range(LAST - 3000 + 2048, LAST - 2900 + 2048):
        assert len(metered.send(reading(metered, window)).events("oracle")) == 1


@pytest.mark.parametrize(("status", "code"), [(0, None), (1, None), (2, 6002), (3, 6002)])
def test_status_decides_once_it_is_synced(metered: World, status: int, code: int | None):
    metered.send(reading(metered, LAST - 1))
    if status:
        metered.send(metered.status_ix(METER, status, NOW))
    assert metered.send(metered.sync_ix(METER)).events("oracle") == [("MeterSynced", METER + struct.pack("<IB", 5000, status))]

    assert metered.send(reading(metered, LAST)).code == code
    assert metered.send(reading(metered, LAST - 1)).error is None


def test_a_batch_counts_each_meter_and_tells_the_sums(metered: World):
    metered.send(reading(metered, LAST, 3, 4, METERS[5]))

    outcome = metered.send(readings(metered, METERS[:24], values=[(n, 2 * n) for n in range(24)]))

    total = struct.pack("<QIIQQ", LAST, 23, 1, sum(range(24)) - 5, 2 * (sum(range(24)) - 5))
    assert outcome.events("oracle") == [("ReadingsAccepted", total)]
    assert [sums(metered, meter)[:2] for meter in METERS[:5]] == [(n, 2 * n) for n in range(5)]
    assert sums(metered, METERS[5])[:2] == (3, 4)


def test_a_batch_is_all_or_nothing(metered: World):
    values = [(1, 1), (5001, 0), (1, 1)]

    assert metered.send(readings(metered, METERS[:3], values=values)).code == 6003
    assert sums(metered) == (0, 0, 0, 0)


def test_what_a_batch_must_be(metered: World):
    assert metered.send(readings(metered, [METER, METER])).code == 2040
    assert metered.send(readings(metered, [])).code == 3005
    assert metered.send(readings(metered, [METER], values=[(1, 1), (1, 1)])).code == 102
    assert metered.send(readings(metered, [METER, OTHER], values=[(1, 1)])).code == 102


def test_a_sum_never_wraps(metered: World):
    full = MeterState(METER, 2**64 - 3, 0, 1, LAST - 9, 5000, 0, 255)
    metered.svm.set_account(state_address(METER), Account(10**9, full.encode(), program_id("oracle")))

    assert metered.send(reading(metered, produced=3)).code == 6006
    assert metered.send(reading(metered, produced=2)).error is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda ix: altered(ix, 0, signer=False), 3010),
        (lambda ix: altered(ix, 0, writable=False), 2000),
        (lambda ix: altered(ix, 1, key=STRANGER), 3007),
        (lambda ix: altered(ix, 1, key=config_address()), 3007),
        (lambda ix: altered(ix, 2, writable=False), 2000),
        (lambda ix: altered(ix, 2, key=state_address(OTHER)), 6010),
        (lambda ix: altered(ix, 2, key=STRANGER), 2006),
        (lambda ix: altered(ix, 2, key=page_address(LAST)), 3002),
        (lambda ix: altered(ix, 3, key=ix.accounts[1].pubkey), 2040),
    ],
)
def test_what_sync_meter_refuses(metered: World, change, code: int):
    metered.send(batch(metered))

    assert metered.send(change(metered.sync_ix(METER))).error == (0, code)


def test_a_state_is_made_by_the_system_program(governed: World):
    governed.send(governed.register_ix(METER))

    assert governed.send(altered(governed.sync_ix(METER), 3, key=STRANGER)).code == 3008


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda w, ix: altered(ix, 0, signer=False), 3010),
        (lambda w, ix: altered(ix, 0, key=STRANGER), 6000),
        (lambda w, ix: altered(ix, 0, writable=False), 2000),
        (lambda w, ix: altered(ix, 1, key=STRANGER), 3007),
        (lambda w, ix: altered(ix, 2, writable=False), 2000),
        (lambda w, ix: altered(ix, 2, key=page_address(LAST + 256)), 2006),
        (lambda w, ix: altered(ix, 2, key=state_address(METER)), 3002),
        (lambda w, ix: altered(ix, 3, key=STRANGER), 3008),
        (lambda w, ix: altered(ix, 3, key=ix.accounts[2].pubkey), 2040),
        (lambda w, ix: batch(w, version=0), 6007),
        (lambda w, ix: batch(w, LAST + 1), 6004),
    ],
)
def test_what_record_batch_refuses(metered: World, change, code: int):
    assert metered.send(change(metered, batch(metered))).error == (0, code)
    assert metered.data(page_address(LAST)) is None


def test_a_page_of_other_windows_is_refused(metered: World):
    metered.send(batch(metered, LAST - 256))

    assert metered.send(altered(batch(metered), 2, key=page_address(LAST - 256))).code == 2006


def test_roots_are_recorded_by_window_and_version(metered: World):
    assert metered.send(batch(metered), batch(metered, LAST - 1, root=b"s" * 32)).error is None
    slot = 17 + 38 * (LAST % 256)
    assert metered.data(page_address(LAST))[slot : slot + 38] == struct.pack("<HI", 1, 9) + b"r" * 32
    assert metered.send(batch(metered)).events("oracle") == []
    assert metered.send(batch(metered, root=b"t" * 32)).code == 6009
    assert metered.send(batch(metered, leaves=8)).code == 6009

    correction = metered.send(batch(metered, version=2, root=b"t" * 32))

    assert correction.events("oracle") == [("BatchRecorded", struct.pack("<QHI", LAST, 2, 9) + b"t" * 32)]
    assert metered.data(page_address(LAST))[slot : slot + 38] == struct.pack("<HI", 2, 9) + b"t" * 32
    assert metered.send(batch(metered)).code == 6008
