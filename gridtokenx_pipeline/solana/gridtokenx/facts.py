"""What the guards need to know of the chain, read in few calls."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from solana.rpc.commitment import Confirmed
from solders.pubkey import Pubkey

from gridtokenx_pipeline.domain.settlement import kinds

from ..actions import Action
from ..client import RpcPool
from ..idl import DecodeError
from ..wallets import Wallets
from .addresses import derived
from .guards import CertificateRules, Claimable, OracleRules, TokenRules
from .profile import Profile
from .terms import certificate_id, meter_16, mint_window

CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
PROGRAM_OF = {
    kinds.SUBMIT_ENERGY_READING: "oracle",
    kinds.MINT_GRID: "energy_token",
    kinds.MINT_REC: "governance",
    kinds.EXECUTE_TRADE: "trading",
}
"""Which program an action is for; the other kinds have none."""
_ACCOUNTS_PER_CALL = 100
_UNIX_TIME_AT = 32
_SEED_BYTES = 32


@dataclass
class Facts:
    """The chain's time (Unix seconds), the programs' rules (`None` where one is not set up), and what was done before.

    `absent` are programs that the cluster has not. `counted` is each meter's last accepted timestamp on chain, `last_reading` the
    same with what is about to be sent, `zones` the zone that the oracle has of it. `minted` (1e-9 kWh) and `issued` (owner, kWh)
    are by action id, for those that exist; `claimable` is by meter.
    """

    chain_time: int
    absent: frozenset[str] = frozenset()
    oracle: OracleRules | None = None
    token: TokenRules | None = None
    certificates: CertificateRules | None = None
    rec_token_program: Pubkey | None = None
    counted: dict[str, int] = field(default_factory=dict)
    last_reading: dict[str, int] = field(default_factory=dict)
    zones: dict[str, int] = field(default_factory=dict)
    minted: dict[str, int] = field(default_factory=dict)
    issued: dict[str, tuple[Pubkey, int]] = field(default_factory=dict)
    claimable: dict[str, Claimable] = field(default_factory=dict)


_Place = tuple[str, str, tuple[bytes, ...]]
_ORACLE: _Place = ("oracle", "OracleData", (b"oracle_data",))
_TOKEN: _Place = ("energy_token", "TokenInfo", (b"token_info_2022",))
_GOVERNANCE: _Place = ("governance", "GovernanceConfig", (b"governance_config",))
_REGISTRY: _Place = ("registry", "Registry", (b"registry",))


class _Accounts:
    """Accounts that are asked for by program, kind and seeds."""

    def __init__(self, profile: Profile) -> None:
        self._programs = profile.programs
        self.found: dict[Pubkey, tuple[Pubkey, bytes]] = {}

    def address(self, place: _Place) -> Pubkey:
        return derived(place[2], self._programs[place[0]].program_id)

    async def fetch(self, rpc: RpcPool, wanted: Sequence[Pubkey]) -> None:
        for start in range(0, len(wanted), _ACCOUNTS_PER_CALL):
            chunk = list(wanted[start : start + _ACCOUNTS_PER_CALL])
            answer = (await rpc.call("get_multiple_accounts", chunk, Confirmed)).value
            pairs = zip(chunk, answer, strict=True)
            self.found |= {key: (account.owner, bytes(account.data)) for key, account in pairs if account}

    def decoded(self, place: _Place) -> Mapping[str, Any] | None:
        """The account, if its program owns it: anybody can send lamports to an address before it is one."""
        program = self._programs[place[0]]
        owner, data = self.found.get(self.address(place), (None, b""))
        return program.coder.decode_account(place[1], data) if owner == program.program_id else None


async def read_facts(rpc: RpcPool, profile: Profile, wallets: Wallets, actions: Sequence[Action]) -> Facts:
    """Return what the chain says that concerns `actions`.

    Raises `DecodeError` for accounts that are not of the bound layouts, and what `RpcPool.call` raises.
    """
    accounts = _Accounts(profile)
    needed = {PROGRAM_OF[action.kind] for action in actions if action.kind in PROGRAM_OF}
    ids = {name: profile.programs[name].program_id for name in needed}
    states, meters, records, certificates = _places(wallets, actions)
    places = [*states.values(), *meters.values(), *records.values(), *certificates.values(), _ORACLE, _TOKEN]
    rec_mint = derived((b"rec_mint",), profile.programs["governance"].program_id)
    if certificates:
        places += [_GOVERNANCE, _REGISTRY]
    wanted = dict.fromkeys([CLOCK, *ids.values(), *map(accounts.address, places), *([rec_mint] if certificates else [])])
    await accounts.fetch(rpc, list(wanted))
    facts = Facts(_chain_time(accounts.found.get(CLOCK)))
    facts.absent = frozenset(name for name, key in ids.items() if key not in accounts.found)
    if (oracle := accounts.decoded(_ORACLE)) is not None:
        facts.oracle = OracleRules.of(oracle)
    if (token := accounts.decoded(_TOKEN)) is not None:
        facts.token = TokenRules.of(token)
    config, registry = accounts.decoded(_GOVERNANCE), accounts.decoded(_REGISTRY)
    if config is not None and registry is not None and rec_mint in accounts.found:
        facts.certificates = CertificateRules.of(config, registry)
        # The program the mint was created with is the deployment's choice, and its owner.
        facts.rec_token_program = accounts.found[rec_mint][0]
    for meter, place in states.items():
        if (state := accounts.decoded(place)) is not None:
            facts.counted[meter], facts.zones[meter] = state["last_reading_timestamp"], state["zone_id"]
    facts.last_reading = dict(facts.counted)
    for action_id, place in records.items():
        if (record := accounts.decoded(place)) is not None and record["minted"]:
            facts.minted[action_id] = record["amount"]
    for action_id, place in certificates.items():
        if (certificate := accounts.decoded(place)) is not None:
            facts.issued[action_id] = certificate["owner"], certificate["energy_amount"]
    for meter, place in meters.items():
        if (account := accounts.decoded(place)) is not None:
            facts.claimable[meter] = Claimable.of(account)
    return facts


def _places(
    wallets: Wallets, actions: Sequence[Action]
) -> tuple[dict[str, _Place], dict[str, _Place], dict[str, _Place], dict[str, _Place]]:
    """Where meters are at the oracle and the registry, and records of mints and certificates by action id."""
    states: dict[str, _Place] = {}
    meters: dict[str, _Place] = {}
    records: dict[str, _Place] = {}
    certificates: dict[str, _Place] = {}
    for action in actions:
        if action.kind not in PROGRAM_OF or action.kind == kinds.EXECUTE_TRADE:
            continue
        meter = action.values["meter_id"]
        seed = meter.encode()
        if action.kind == kinds.MINT_GRID:
            start_ms = int(mint_window(action).timestamp()) * 1000
            seeds = b"gen_mint", meter_16(meter), start_ms.to_bytes(8, "little", signed=True)
            records[action.action_id] = ("energy_token", "GenerationMintRecord", seeds)
        elif len(seed) > _SEED_BYTES:
            continue  # No seed; its guard or its instruction refuses it without any account.
        elif action.kind == kinds.SUBMIT_ENERGY_READING:
            states[meter] = ("oracle", "MeterState", (b"meter", seed))
        else:
            meters[meter] = ("registry", "MeterAccount", (b"meter", bytes(wallets.address(meter)), seed))
            certificate = b"erc_certificate", certificate_id(action).encode()
            certificates[action.action_id] = ("governance", "ErcCertificate", certificate)
    return states, meters, records, certificates


def _chain_time(clock: tuple[Pubkey, bytes] | None) -> int:
    if clock is None or len(clock[1]) < _UNIX_TIME_AT + 8:
        raise DecodeError("the cluster shows no clock")
    return int(struct.unpack_from("<q", clock[1], _UNIX_TIME_AT)[0])
