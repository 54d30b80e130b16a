"""Governance as it should be."""

from __future__ import annotations

from collections.abc import Sequence

from model_common import NULL, Accounts, Config, Ref, dispatch, expect, need, replace
from svm_world import program_data

from gridtokenx_pipeline.solana.programs.images import program_id


def initialize(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    submitter, certifier, window_s = expect(refs, 5, args, "<32s32sI")
    authority, config, program, data, system = refs
    need(authority.signer, 3010)
    need(authority.writable and config.writable, 2000)
    need(not accounts.owned_by(config, "governance"), 6001)
    need(program.key == bytes(program_id("governance")), 3008)
    need(data.key == bytes(program_data(program_id("governance"))), 2006)
    valid(authority.key, submitter, certifier)
    need(window_s > 0 and 86400 % window_s == 0, 6002)
    bump = accounts.may_create(config, system, "governance", b"config")
    accounts[config.key] = Config(authority.key, NULL, submitter, certifier, window_s, 0, bump)


def valid(authority: bytes, submitter: bytes, certifier: bytes) -> None:
    need(NULL not in (submitter, certifier), 6004)
    need(certifier != authority, 6003)


def changeable(accounts: Accounts, refs: Sequence[Ref], role: str = "authority") -> Config:
    signer, config = refs
    need(signer.signer, 3010)
    need(config.writable, 2000)
    found = accounts.holds(config, Config)
    need(role == "authority" or found.pending != NULL, 6005)
    need(signer.key == getattr(found, role), 6000)
    return found


def set_keys(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    submitter, certifier = expect(refs, 2, args, "<32s32s")
    config = changeable(accounts, refs)
    valid(config.authority, submitter, certifier)
    accounts[refs[1].key] = replace(config, submitter=submitter, certifier=certifier)


def set_paused(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    (paused,) = expect(refs, 2, args, "<B")
    config = changeable(accounts, refs)
    need(paused <= 1, 102)
    accounts[refs[1].key] = replace(config, paused=paused)


def propose_authority(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    (proposed,) = expect(refs, 2, args, "<32s")
    config = changeable(accounts, refs)
    need(proposed != config.certifier, 6003)
    accounts[refs[1].key] = replace(config, pending=proposed)


def accept_authority(accounts: Accounts, refs: Sequence[Ref], args: bytes, now: int) -> None:
    expect(refs, 2, args, "<")
    config = changeable(accounts, refs, "pending")
    need(config.pending != config.certifier, 6003)
    accounts[refs[1].key] = replace(config, authority=config.pending, pending=NULL)


HANDLERS = {each.__name__: each for each in (initialize, set_keys, set_paused, propose_authority, accept_authority)}


def apply(accounts: Accounts, refs: Sequence[Ref], data: bytes, now: int) -> None:
    dispatch("governance", HANDLERS, accounts, refs, data, now)
