"""Guards of `oracle.submit_meter_reading` and of its mirror `registry.update_meter_reading`, in the programs' order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey

from .refusal import U64_MAX, Refusal, seed_too_long

CLOCK_SKEW_S = 60
MIRROR_INTERVAL_S = 60
MIRROR_LARGEST = 1_000_000_000_000


@dataclass(frozen=True)
class EnergyReading:
    """A reading as it would be sent: energies in the argument's unit (Wh), `timestamp` in seconds, `signer` who submits."""

    meter_id: str
    produced: int
    consumed: int
    timestamp: int
    signer: Pubkey


@dataclass(frozen=True)
class OracleRules:
    """The oracle's configuration. The defaults are those of its `initialize`; `max_ratio` is in hundredths (1000 = 10x)."""

    chain_bridge: Pubkey
    active: bool = True
    min_energy: int = 0
    max_energy: int = 1_000_000
    min_interval_s: int = 60
    max_ratio: int = 1_000
    anomaly_detection: bool = True

    @classmethod
    def of(cls, oracle_data: Mapping[str, Any]) -> OracleRules:
        """Return the rules of a decoded `OracleData` account."""
        return cls(
            chain_bridge=oracle_data["chain_bridge"],
            active=oracle_data["active"] == 1,
            min_energy=oracle_data["min_energy_value"],
            max_energy=oracle_data["max_energy_value"],
            min_interval_s=oracle_data["min_reading_interval"],
            max_ratio=oracle_data["max_production_consumption_ratio"],
            anomaly_detection=oracle_data["anomaly_detection_enabled"] == 1,
        )


def check_energy_reading(
    reading: EnergyReading, rules: OracleRules, last_timestamp: int | None, chain_time: int
) -> Refusal | None:
    """Return what the oracle would refuse the reading with, or `None`.

    `last_timestamp` is of the meter's last accepted reading (`None` for its first), `chain_time` the chain clock's
    seconds. There is no bound on age: old readings may be sent, in order.
    """
    if refusal := seed_too_long("meter_id", reading.meter_id):
        return refusal
    if not rules.active:
        return Refusal(6002, "OracleInactive", "the oracle takes no readings")
    if reading.signer != rules.chain_bridge:
        return Refusal(6001, "UnauthorizedGateway", f"{reading.signer} is not the chain bridge {rules.chain_bridge}")
    if reading.timestamp > chain_time + CLOCK_SKEW_S:
        return Refusal(6006, "FutureReading", f"{reading.timestamp - chain_time} s ahead of the chain, {CLOCK_SKEW_S} s allowed")
    if last_timestamp is not None:
        if reading.timestamp <= last_timestamp:
            return Refusal(6005, "OutdatedReading", f"{reading.timestamp} is not after {last_timestamp}")
        if reading.timestamp < last_timestamp + rules.min_interval_s:
            gap = reading.timestamp - last_timestamp
            return Refusal(6007, "RateLimitExceeded", f"{gap} s after the last reading, {rules.min_interval_s} s wanted")
    return _check_energies(reading, rules)


def _check_energies(reading: EnergyReading, rules: OracleRules) -> Refusal | None:
    for what, energy in (("produced", reading.produced), ("consumed", reading.consumed)):
        # Zero passes any minimum: a meter may only produce, or only consume.
        if energy > rules.max_energy or 0 < energy < rules.min_energy:
            limits = f"{rules.min_energy} to {rules.max_energy}"
            return Refusal(6003, "EnergyValueOutOfRange", f"{what} {energy} is not of {limits}")
    if not rules.anomaly_detection or reading.consumed == 0:
        return None
    left, right = reading.produced * 100, rules.max_ratio * reading.consumed
    if max(left, right) > U64_MAX:
        return Refusal(6008, "InvalidConfiguration", "the ratio of produced to consumed overflows a u64")
    if left > right:
        times = f"{rules.max_ratio / 100:g}"
        return Refusal(6004, "AnomalousReading", f"produced {reading.produced} is above {times} times {reading.consumed}")
    return None


@dataclass(frozen=True)
class MeterTotals:
    """Energies summed over a meter's readings, as a program keeps them."""

    produced: int
    consumed: int


@dataclass(frozen=True)
class RegisteredMeter:
    """What the registry knows of a meter; `last_timestamp` is 0 before its first reading."""

    status: str
    last_timestamp: int
    totals: MeterTotals

    @classmethod
    def of(cls, meter_account: Mapping[str, Any]) -> RegisteredMeter:
        """Return the facts of a decoded `MeterAccount`."""
        totals = MeterTotals(meter_account["total_generation"], meter_account["total_consumption"])
        return cls(meter_account["status"], meter_account["last_reading_at"], totals)


def check_reading_mirror(
    reading: EnergyReading, oracle_authority: Pubkey | None, meter: RegisteredMeter, oracle_totals: MeterTotals | None
) -> Refusal | None:
    """Return what the registry would refuse the reading's mirror with, or `None`.

    `oracle_authority` is the key the registry has configured (`None` for none), `oracle_totals` what the oracle has
    summed of the meter with this reading already landed (`None` where it knows no such meter).
    """
    if oracle_authority is None:
        return Refusal(6004, "OracleNotConfigured", "the registry has no oracle authority")
    if reading.signer != oracle_authority:
        return Refusal(6005, "UnauthorizedOracle", f"{reading.signer} is not the oracle authority {oracle_authority}")
    if meter.status != "Active":
        return Refusal(6002, "InvalidMeterStatus", f"the meter is {meter.status}, not Active")
    if reading.timestamp <= meter.last_timestamp:
        return Refusal(6006, "StaleReading", f"{reading.timestamp} is not after {meter.last_timestamp}")
    if meter.last_timestamp > 0 and reading.timestamp < meter.last_timestamp + MIRROR_INTERVAL_S:
        gap = reading.timestamp - meter.last_timestamp
        return Refusal(6007, "ReadingTooFrequent", f"{gap} s after the last reading, {MIRROR_INTERVAL_S} s wanted")
    sums = []
    for what, energy, total in (
        ("generated", reading.produced, meter.totals.produced),
        ("consumed", reading.consumed, meter.totals.consumed),
    ):
        if energy > MIRROR_LARGEST:
            return Refusal(6008, "ReadingTooHigh", f"{what} {energy} is above {MIRROR_LARGEST}")
        sums.append(total + energy)
    if max(sums) > U64_MAX:
        return Refusal(6011, "MathOverflow", "the meter's total overflows a u64")
    if oracle_totals is None or sums[0] > oracle_totals.produced or sums[1] > oracle_totals.consumed:
        known = "nothing" if oracle_totals is None else f"{oracle_totals.produced} and {oracle_totals.consumed}"
        return Refusal(6032, "OracleTotalMismatch", f"totals would be {sums[0]} and {sums[1]}, the oracle has seen {known}")
    return None
