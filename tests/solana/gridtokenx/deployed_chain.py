"""A chain of the deployed programs' accounts, each encoded by its program's IDL file."""

from __future__ import annotations

import datetime as dt
import json
import struct
from types import SimpleNamespace
from typing import Any

from deployed_idls import deployed_idl
from solders.pubkey import Pubkey
from spl.token.constants import TOKEN_2022_PROGRAM_ID

from gridtokenx_pipeline.solana.gridtokenx import Profile
from gridtokenx_pipeline.solana.programs.addresses import identifier

CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
_INTEGERS = {"u8": "B", "bool": "B", "u16": "H", "u32": "I", "i32": "i", "u64": "Q", "i64": "q"}


def encoded(program: str, name: str, **values: Any) -> bytes:
    """The bytes of an account; what is not in `values` is zero. Both layouts of the IDL, since none of these has gaps."""
    raw = json.loads(deployed_idl(program).read_text())
    discriminator = next(bytes(item["discriminator"]) for item in raw["accounts"] if item["name"] == name)
    (fields,) = [item["type"]["fields"] for item in raw["types"] if item["name"] == name]
    assert values.keys() <= {item["name"] for item in fields}
    return discriminator + b"".join(_bytes(item["type"], values.get(item["name"])) for item in fields)


def _bytes(type_: Any, value: Any) -> bytes:
    if isinstance(type_, str):
        return bytes(value or bytes(32)) if type_ == "pubkey" else struct.pack("<" + _INTEGERS[type_], value or 0)
    if "array" in type_:
        item, count = type_["array"]
        if isinstance(value, bytes):
            return value.ljust(count, b"\0")
        given = list(value or ())
        return b"".join(_bytes(item, one) for one in given + [None] * (count - len(given)))
    # Empty options and the first of an enum's variants.
    return b"\0"


class DeployedChain:
    """Answers `get_multiple_accounts`. `bridge` is every authority but the validator, who is `validator`."""

    def __init__(self, profile: Profile, bridge: Pubkey, validator: Pubkey, now: dt.datetime, **oracle: int) -> None:
        self.programs = profile.programs
        self.calls = 0
        self.accounts = {program.program_id: (LOADER, b"") for program in self.programs.values()}
        self.accounts[CLOCK] = (CLOCK, bytes(32) + struct.pack("<q", int(now.timestamp())))
        rules = {
            "max_energy_value": 1_000_000,
            "min_reading_interval": 60,
            "max_production_consumption_ratio": 1000,
            "active": 1,
            "anomaly_detection_enabled": 1,
        }
        self.put("oracle", "OracleData", b"oracle_data", chain_bridge=bridge, **rules | oracle)
        self.put(
            "energy_token", "TokenInfo", b"token_info_2022", authority=bridge, rec_validators=[validator], rec_validators_count=1
        )
        limits = {"min_energy_amount": 100, "max_erc_amount": 1_000_000, "erc_validation_enabled": 1}
        self.put("governance", "GovernanceConfig", b"governance_config", authority=bridge, **limits)
        self.put("registry", "Registry", b"registry", authority=bridge)
        rec_mint = Pubkey.find_program_address([b"rec_mint"], self.programs["governance"].program_id)[0]
        self.accounts[rec_mint] = (TOKEN_2022_PROGRAM_ID, bytes(82))

    def put(self, program: str, name: str, *seeds: bytes, **values: Any) -> None:
        owner = self.programs[program].program_id
        self.accounts[Pubkey.find_program_address(list(seeds), owner)[0]] = (owner, encoded(program, name, **values))

    def counted(self, meter: str, at: dt.datetime, zone: int = 0) -> None:
        """The oracle's last reading of `meter` was `at`."""
        self.put("oracle", "MeterState", b"meter", meter.encode(), last_reading_timestamp=int(at.timestamp()), zone_id=zone)

    def minted(self, meter: str, at: dt.datetime, energy_wh: int) -> None:
        meter_16, start_ms = identifier("meter", meter)[:16], int(at.timestamp()) * 1000
        self.put(
            "energy_token",
            "GenerationMintRecord",
            b"gen_mint",
            meter_16,
            start_ms.to_bytes(8, "little"),
            amount=energy_wh * 1_000_000,
            minted=1,
        )

    def registered(self, meter: str, owner: Pubkey, net_generation: int) -> None:
        self.put(
            "registry",
            "MeterAccount",
            b"meter",
            bytes(owner),
            meter.encode(),
            owner=owner,
            total_generation=net_generation,
        )

    def without(self, program: str) -> None:
        del self.accounts[self.programs[program].program_id]

    async def call(self, method: str, keys: list[Pubkey], *_: Any) -> Any:
        assert method == "get_multiple_accounts"
        assert len(keys) <= 100
        self.calls += 1
        found = [self.accounts.get(key) for key in keys]
        return SimpleNamespace(value=[f and SimpleNamespace(owner=f[0], data=f[1]) for f in found])
