"""The oracle as it should be: windows that counted are a set, not bits."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from model_common import Accounts, Meter, Record, Ref, dispatch, expect, need, replace

WINDOWS, PAGE = 2048, 256


@dataclass(frozen=True)
class MeterState(Record):
    meter_id: bytes
    produced: int = 0
    consumed: int = 0
    readings: int = 0
    newest: int = 0
    limit_wh: int = 0
    status: int = 0
    bump: int = 0
    accepted: frozenset[int] = frozenset()
    program = "oracle"

    def fields(self) -> bytes:
        bits = 0
        for window in self.accepted:
            bits |= 1 << window % WINDOWS
        sums = struct.pack("<QQQQ", self.produced, self.consumed, self.readings, self.newest)
        return self.meter_id + sums + struct.pack("<IBB", self.limit_wh, self.status, self.bump) + bits.to_bytes(256, "little")


@dataclass(frozen=True)
class BatchPage(Record):
    number: int
    bump: int
    batches: dict[int, tuple[int, int, bytes]] = field(default_factory=dict)
    program = "oracle"

    def fields(self) -> bytes:
        slots = bytearray(38 * PAGE)
        for place, batch in self.batches.items():
            slots[38 * place : 38 * place + 38] = struct.pack("<HI32s", *batch)
        return struct.pack("<QB", self.number, self.bump) + bytes(slots)


def sync_meter(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    expect(refs, 4, args, "<")
    payer, meter, state, system = refs
    need(payer.signer, 3010)
    need(payer.writable and state.writable, 2000)
    source = accounts.holds(meter, Meter)
    if accounts.owned_by(state, "oracle"):
        found = accounts.holds(state, MeterState)
        need(found.meter_id == source.meter_id, 6010)
    else:
        found = MeterState(source.meter_id, bump=accounts.may_create(state, system, "oracle", b"state", source.meter_id))
    accounts[state.key] = replace(found, limit_wh=source.limit_wh, status=source.status)


def count(accounts: Accounts, ref: Ref, window: int, produced: int, consumed: int) -> None:
    need(ref.writable, 2000)
    state = accounts.holds(ref, MeterState)
    need(window > state.newest - WINDOWS, 6005)
    if window in state.accepted:
        return
    need(state.status in (0, 1), 6002)
    need(max(produced, consumed) <= state.limit_wh, 6003)
    need(max(state.produced + produced, state.consumed + consumed) < 2**64, 6006)
    newest = max(window, state.newest)
    accounts[ref.key] = replace(
        state,
        produced=state.produced + produced,
        consumed=state.consumed + consumed,
        readings=state.readings + 1,
        newest=newest,
        accepted=frozenset(each for each in state.accepted | {window} if each > newest - WINDOWS),
    )


def ended(window: int, window_s: int, now: int) -> None:
    need((window + 1) * window_s <= now + 60, 6004)


def submit_energy_reading(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    window, produced, consumed = expect(refs, 3, args, "<QQQ")
    ended(window, accounts.authorized(refs[0], refs[1]).window_s, now)
    count(accounts, refs[2], window, produced, consumed)


def submit_energy_readings(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    need(len(refs) >= 3, 3005)
    meters = len(refs) - 2
    need(len(args) == 12 + 8 * meters and struct.unpack_from("<I", args, 8)[0] == meters, 102)
    (window,) = struct.unpack_from("<Q", args)
    ended(window, accounts.authorized(refs[0], refs[1]).window_s, now)
    for ref, (produced, consumed) in zip(refs[2:], struct.iter_unpack("<II", args[12:]), strict=True):
        count(accounts, ref, window, produced, consumed)


def record_batch(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    window, version, leaves, root = expect(refs, 4, args, "<QHI32s")
    submitter, config, page, system = refs
    found = accounts.authorized(submitter, config)
    need(submitter.writable and page.writable, 2000)
    need(version > 0, 6007)
    ended(window, found.window_s, now)
    number = window // PAGE
    if accounts.owned_by(page, "oracle"):
        held = accounts.holds(page, BatchPage)
        need(held.number == number, 2006)
    else:
        held = BatchPage(number, accounts.may_create(page, system, "oracle", b"page", struct.pack("<Q", number)))
    recorded = held.batches.get(window % PAGE, (0, 0, b""))
    need(version >= recorded[0], 6008)
    need(version > recorded[0] or recorded == (version, leaves, root), 6009)
    accounts[page.key] = replace(held, batches=held.batches | {window % PAGE: (version, leaves, root)})


HANDLERS = {each.__name__: each for each in (sync_meter, submit_energy_reading, submit_energy_readings, record_batch)}


def apply(accounts: Accounts, refs: Sequence[Ref], data: bytes, now: int) -> None:
    dispatch("oracle", HANDLERS, accounts, refs, data, now)
