"""The registry as it should be."""

from __future__ import annotations

from collections.abc import Sequence

from model_common import NULL, Accounts, Meter, Ref, dispatch, expect, need, replace

ACTIVE, MAINTENANCE, SUSPENDED, REVOKED = range(4)


def register_meter(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    meter_id, owner, limit_wh = expect(refs, 4, args, "<32s32sI")
    submitter, config, meter, system = refs
    accounts.authorized(submitter, config)
    need(submitter.writable and meter.writable, 2000)
    need(limit_wh > 0, 6003)
    need(owner != NULL, 6004)
    if accounts.owned_by(meter, "registry"):
        found = accounts.holds(meter, Meter)
        need(found.meter_id == meter_id, 2006)
        need((found.owner, found.limit_wh) == (owner, limit_wh), 6002)
        return
    bump = accounts.may_create(meter, system, "registry", b"meter", meter_id)
    accounts[meter.key] = Meter(meter_id, owner, 0, limit_wh, ACTIVE, bump)


def update_meter_status(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    status, changed_at = expect(refs, 3, args, "<Bq")
    submitter, config, meter = refs
    accounts.authorized(submitter, config)
    need(meter.writable, 2000)
    found = accounts.holds(meter, Meter)
    need(status <= REVOKED, 6005)
    if (status, changed_at) == (found.status, found.changed_at):
        return
    need(changed_at > found.changed_at, 6007)
    need(changed_at <= now + 60, 6008)
    need(found.status != REVOKED and status != found.status, 6006)
    accounts[meter.key] = replace(found, status=status, changed_at=changed_at)


HANDLERS = {each.__name__: each for each in (register_meter, update_meter_status)}


def apply(accounts: Accounts, refs: Sequence[Ref], data: bytes, now: int) -> None:
    dispatch("registry", HANDLERS, accounts, refs, data, now)
