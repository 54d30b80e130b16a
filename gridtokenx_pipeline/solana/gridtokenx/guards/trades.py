"""Guards of `trading.execute_atomic_settlement`, in the program's order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey

from .refusal import ACCOUNT_IN_USE, NOT_DESERIALIZED, U64_MAX, Refusal

ENERGY_UNITS_PER_KWH = 1_000_000_000
BPS = 10_000
NETWORK_CHARGE_BPS = 2_000
"""Wheeling and losses together may take this part of a trade's value."""


@dataclass(frozen=True)
class Order:
    """An order on chain: `user` who buys or sells, `price_limit` in 1e-6 a kWh, `remaining` in 1e-9 kWh, expiry 0 for none."""

    user: Pubkey
    price_limit: int
    remaining: int
    expires_at: int = 0

    @classmethod
    def of(cls, order: Mapping[str, Any], side: str) -> Order:
        """Return the facts of a decoded `Order` account; `side` is `buyer` or `seller`."""
        return cls(
            order[side],
            order["price_per_kwh"],
            max(0, order["amount"] - order["filled_amount"]),
            order["expires_at"],
        )


@dataclass(frozen=True)
class Trade:
    """A trade as it would be sent: `amount` in 1e-9 kWh, `price` in 1e-6 a kWh, `signer` the market authority's key."""

    trade_id: bytes
    amount: int
    price: int
    signer: Pubkey


@dataclass(frozen=True)
class MarketRules:
    """The market and its tariff: `fee_bps` and `loss_bps` of the value, `wheeling` in 1e-6 a kWh."""

    authority: Pubkey
    fee_bps: int = 25
    wheeling: int = 0
    loss_bps: int = 0
    in_maintenance: bool = False

    @classmethod
    def of(cls, market: Mapping[str, Any], tariff: Mapping[str, Any], governance: Mapping[str, Any]) -> MarketRules:
        """Return the rules of decoded `Market`, `TariffConfig` and `GovernanceConfig` accounts."""
        return cls(
            authority=market["authority"],
            fee_bps=market["market_fee_bps"],
            wheeling=tariff["wheeling_rate_per_kwh"],
            loss_bps=tariff["loss_bps"],
            in_maintenance=governance["maintenance_mode"],
        )


def check_trade(
    trade: Trade, buy: Order, sell: Order, rules: MarketRules, chain_time: int, already_settled: bool
) -> Refusal | None:
    """Return what the chain would refuse the trade with, or `None`.

    `already_settled` says that the trade's nullifier exists. Self-trades and lapsed orders have their codes from the
    program's other settlements and its matching: where this instruction should let one pass, it is still never sent.
    """
    if len(trade.trade_id) != 16:
        return Refusal(NOT_DESERIALIZED, "InstructionDidNotDeserialize", f"trade_id has {len(trade.trade_id)} bytes, not 16")
    if already_settled:
        # This instruction creates the nullifier before it looks at it; the others say 6036 MatchAlreadySettled.
        return Refusal(ACCOUNT_IN_USE, "AccountAlreadyInUse", f"the trade {trade.trade_id.hex()} is settled")
    if rules.in_maintenance:
        return Refusal(6017, "MaintenanceMode", "governance is in maintenance")
    if trade.signer != rules.authority:
        return Refusal(6000, "UnauthorizedAuthority", f"{trade.signer} is not the market's authority {rules.authority}")
    if buy.user == sell.user:
        return Refusal(6051, "SelfTradeNotAllowed", f"{buy.user} buys of itself")
    for what, order in (("buy", buy), ("sell", sell)):
        if order.expires_at and chain_time >= order.expires_at:
            return Refusal(6023, "OrderExpired", f"the {what} order ended at {order.expires_at}, it is {chain_time}")
    if trade.price > buy.price_limit:
        return Refusal(6024, "SlippageExceeded", f"price {trade.price} is above the buyer's {buy.price_limit}")
    if trade.price < sell.price_limit:
        return Refusal(6024, "SlippageExceeded", f"price {trade.price} is below the seller's {sell.price_limit}")
    if trade.amount == 0:
        return Refusal(6001, "InvalidAmount", "no energy")
    if trade.amount > min(buy.remaining, sell.remaining):
        left = f"{buy.remaining} of the buy order and {sell.remaining} of the sell order are left"
        return Refusal(6001, "InvalidAmount", f"{trade.amount} is traded, {left}")
    return _check_value(trade, rules)


def _check_value(trade: Trade, rules: MarketRules) -> Refusal | None:
    value = trade.amount * trade.price // ENERGY_UNITS_PER_KWH
    wheeling = trade.amount * rules.wheeling // ENERGY_UNITS_PER_KWH
    products = (value, wheeling, value * rules.fee_bps, value * rules.loss_bps, value * NETWORK_CHARGE_BPS)
    if max(products) > U64_MAX:
        return Refusal(6018, "Overflow", f"the value {value} overflows a u64")
    network = wheeling + value * rules.loss_bps // BPS
    if network > value * NETWORK_CHARGE_BPS // BPS:
        return Refusal(6027, "ChargesExceedCap", f"wheeling and losses are {network} of {value}, a fifth is allowed")
    deductions = network + value * rules.fee_bps // BPS
    if deductions > value:
        return Refusal(6028, "ChargesExceedValue", f"fee, wheeling and losses are {deductions} of {value}")
    return None
