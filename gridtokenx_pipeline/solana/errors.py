"""A chain's transaction error in the JSON form of the RPC, which solders' own `to_json` loses the variant name of."""

from __future__ import annotations

import json
from typing import Any


def error_json(error: Any) -> Any:
    """Return a solders `TransactionErrorType` as the RPC writes it, `None` for `None`.

    Examples: `"AccountNotFound"`, `{"InstructionError": [2, {"Custom": 1}]}`.
    Source: serde form of Agave's `TransactionError` and `InstructionError`.
    """
    if error is None:
        return None
    kind = type(error).__name__
    if kind == "TransactionErrorInstructionError":
        return {"InstructionError": [error.index, _instruction_error(error.err)]}
    if kind == "TransactionErrorDuplicateInstruction":
        return {"DuplicateInstruction": error.index}
    if kind in ("TransactionErrorInsufficientFundsForRent", "TransactionErrorProgramExecutionTemporarilyRestricted"):
        return {kind.removeprefix("TransactionError"): {"account_index": error.account_index}}
    return str(error).rpartition(".")[2]


def error_text(error: Any) -> str | None:
    """Return `error_json` as compact text (what outbox and warehouse store), or `None` where there is no error."""
    form = error_json(error)
    return form if form is None or isinstance(form, str) else json.dumps(form, separators=(",", ":"))


def _instruction_error(error: Any) -> Any:
    kind = type(error).__name__
    if kind == "InstructionErrorCustom":
        return {"Custom": error.code}
    if kind == "InstructionErrorBorshIO":
        return "BorshIoError"
    return str(error).rpartition(".")[2]
