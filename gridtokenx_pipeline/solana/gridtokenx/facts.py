"""What the guards need to know of the chain, read in few calls."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from solana.rpc.commitment import Confirmed
from solders.pubkey import Pubkey

from gridtokenx_pipeline.domain.settlement import kinds

from ..actions import Action
from ..client import RpcPool
from ..idl import DecodeError
from ..programs.addresses import identifier
from .guards import OracleRules, TokenRules
from .profile import Profile

CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
_ACCOUNTS_PER_CALL = 100
_UNIX_TIME_AT = 32


@dataclass
class Facts:
    """The chain's time (Unix seconds), the programs' rules (`None` where one is not set up), and what was counted before.

    `counted` is each meter's last accepted timestamp on chain, `last_reading` the same with what is about to be sent, `minted`
    the ids of actions whose window was minted.
    """

    chain_time: int
    oracle: OracleRules | None
    token: TokenRules | None
    counted: dict[str, int] = field(default_factory=dict)
    last_reading: dict[str, int] = field(default_factory=dict)
    minted: set[str] = field(default_factory=set)


async def read_facts(rpc: RpcPool, profile: Profile, actions: Sequence[Action]) -> Facts:
    """Return what the chain says that concerns `actions`. Raises what `RpcPool.call` raises."""
    oracle, token = profile.programs["oracle"], profile.programs["energy_token"]
    oracle_data, _ = Pubkey.find_program_address([b"oracle_data"], oracle.program_id)
    token_info, _ = Pubkey.find_program_address([b"token_info_2022"], token.program_id)
    meters = {a.values["meter_id"] for a in actions if a.kind == kinds.SUBMIT_ENERGY_READING}
    # A longer id is no seed; the guard refuses it without any account.
    states = {
        Pubkey.find_program_address([b"meter", meter.encode()], oracle.program_id)[0]: meter
        for meter in meters
        if len(meter.encode()) <= 32
    }
    records = {_record(token.program_id, action): action.action_id for action in actions if action.kind == kinds.MINT_GRID}
    wanted = [CLOCK, oracle_data, token_info, *states, *records]
    found: dict[Pubkey, tuple[Pubkey, bytes]] = {}
    for start in range(0, len(wanted), _ACCOUNTS_PER_CALL):
        chunk = wanted[start : start + _ACCOUNTS_PER_CALL]
        answer = (await rpc.call("get_multiple_accounts", chunk, Confirmed)).value
        found |= {key: (account.owner, bytes(account.data)) for key, account in zip(chunk, answer, strict=True) if account}
    facts = Facts(_chain_time(found.get(CLOCK)), None, None)
    if (held := _of(found, oracle_data, oracle.program_id)) is not None:
        facts.oracle = OracleRules.of(oracle.coder.decode_account("OracleData", held))
    if (held := _of(found, token_info, token.program_id)) is not None:
        facts.token = TokenRules.of(token.coder.decode_account("TokenInfo", held))
    for address, meter in states.items():
        if (held := _of(found, address, oracle.program_id)) is not None:
            facts.counted[meter] = int(oracle.coder.decode_account("MeterState", held)["last_reading_timestamp"])
    facts.last_reading = dict(facts.counted)
    facts.minted = {action_id for address, action_id in records.items() if _of(found, address, token.program_id) is not None}
    return facts


def _record(program: Pubkey, action: Action) -> Pubkey:
    meter = identifier("meter", action.values["meter_id"])[:16]
    start_ms = int(action.window_start.timestamp()) * 1000
    return Pubkey.find_program_address([b"gen_mint", meter, start_ms.to_bytes(8, "little", signed=True)], program)[0]


def _of(found: dict[Pubkey, tuple[Pubkey, bytes]], address: Pubkey, program: Pubkey) -> bytes | None:
    """The data of an account that `program` owns; anybody can send lamports to an address before it is one."""
    owner, data = found.get(address, (None, b""))
    return data if owner == program else None


def _chain_time(clock: tuple[Pubkey, bytes] | None) -> int:
    if clock is None or len(clock[1]) < _UNIX_TIME_AT + 8:
        raise DecodeError("the cluster shows no clock")
    return int(struct.unpack_from("<q", clock[1], _UNIX_TIME_AT)[0])
