"""Forms of the JSON-RPC's answers that tell of executions, and the filters of `getProgramAccounts`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .execution import Execution
from .ledger import Entry
from .lookups import LoadedAddresses
from .wire import b58decode, b64decode, invalid


def simulation_json(err: Any, outcome: Execution | None = None) -> dict[str, Any]:
    """Return the value of `simulateTransaction`, which a failed preflight hands on as its error's data."""
    return {
        "err": err,
        "logs": outcome.logs if outcome else [],
        "accounts": None,
        "unitsConsumed": outcome.compute_units if outcome else 0,
        "returnData": outcome.return_data if outcome else None,
        "innerInstructions": None,
    }


def meta_json(entry: Entry) -> dict[str, Any]:
    """Return the `meta` of a landed transaction. Its token balances are left out."""
    detail = entry.detail
    return {
        "err": entry.err,
        "status": {"Ok": None} if entry.err is None else {"Err": entry.err},
        "fee": entry.fee_lamports,
        "preBalances": detail["preBalances"],
        "postBalances": detail["postBalances"],
        "innerInstructions": detail["innerInstructions"],
        "logMessages": detail["logs"],
        "preTokenBalances": [],
        "postTokenBalances": [],
        "rewards": [],
        "loadedAddresses": LoadedAddresses.of(detail).json(),
        "computeUnitsConsumed": entry.compute_units,
    } | ({"returnData": detail["returnData"]} if detail["returnData"] else {})


def account_filter(form: dict[str, Any]) -> Callable[[bytes], bool]:
    """Return whether an account's data passes a filter, `dataSize` or `memcmp`. Raises `RpcError` (-32602) for another."""
    if "dataSize" in form:
        size = form["dataSize"]
        return lambda data: len(data) == size
    if "memcmp" in form:
        wanted, offset = form["memcmp"]["bytes"], form["memcmp"]["offset"]
        encoding = form["memcmp"].get("encoding", "base58")
        needle = bytes(wanted) if isinstance(wanted, list) else (b64decode(wanted) if encoding == "base64" else b58decode(wanted))
        return lambda data: data[offset : offset + len(needle)] == needle
    raise invalid(f"Invalid params: unknown filter {sorted(form)}")
