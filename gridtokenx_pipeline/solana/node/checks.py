"""Checks of parameters that many RPC methods share."""

from __future__ import annotations

from typing import Any

from solders.transaction import VersionedTransaction

from .bank import DEPTH
from .wire import RpcError, invalid


def commitment_of(options: dict[str, Any] | None) -> str:
    """Return the commitment asked for, `finalized` where none is. Raises `RpcError` (-32602) for an unknown one."""
    level = (options or {}).get("commitment") or "finalized"
    if level not in DEPTH:
        raise invalid(f"Invalid params: unknown commitment {level!r}")
    return level


def confirmed_at_least(options: dict[str, Any]) -> str:
    """Return the commitment asked for. Raises `RpcError` (-32602) below `confirmed`, and as `commitment_of` does."""
    level = commitment_of(options)
    if level == "processed":
        raise invalid("Method does not support commitment below `confirmed`")
    return level


def reached(depth: int) -> str:
    """Return the highest commitment of what lies `depth` slots below the newest."""
    return next(name for name, needed in sorted(DEPTH.items(), key=lambda item: -item[1]) if depth >= needed)


def at_most(values: Any, limit: int) -> None:
    """Refuse (`RpcError`, -32602) what is no list, or one of more than `limit`."""
    if not isinstance(values, list):
        raise invalid("Invalid params: expected an array")
    if len(values) > limit:
        raise invalid(f"Too many inputs provided; max {limit}")


def verify(transaction: VersionedTransaction) -> None:
    """Refuse (`RpcError`, -32003) a transaction with a signature that does not verify."""
    if not all(transaction.verify_with_results()):
        raise RpcError(-32003, "Transaction signature verification failure")
