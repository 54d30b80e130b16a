"""What GridTokenX's programs would refuse, found before sending: pure functions, facts in, `None` or a `Refusal` out.

Facts are in the units of the instructions' arguments (see `units`). Rules come from decoded accounts by their `of`. The
order of checks is the programs' own, so that the code is the one the chain would give. Source: the programs' Rust of
August 2026 (github.com/NakaSato/gridtokenx-anchor).
"""

from .minting import (
    CertificateIssue,
    CertificateRules,
    Claimable,
    GenerationMint,
    TokenRules,
    check_certificate,
    check_generation_mint,
)
from .readings import (
    EnergyReading,
    MeterTotals,
    OracleRules,
    RegisteredMeter,
    check_energy_reading,
    check_reading_mirror,
)
from .refusal import Refusal
from .status import StatusChange, check_status_change
from .trades import MarketRules, Order, Trade, check_trade

__all__ = [
    "CertificateIssue",
    "CertificateRules",
    "Claimable",
    "EnergyReading",
    "GenerationMint",
    "MarketRules",
    "MeterTotals",
    "OracleRules",
    "Order",
    "Refusal",
    "RegisteredMeter",
    "StatusChange",
    "TokenRules",
    "Trade",
    "check_certificate",
    "check_energy_reading",
    "check_generation_mint",
    "check_reading_mirror",
    "check_status_change",
    "check_trade",
]
