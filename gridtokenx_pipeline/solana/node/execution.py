"""The outcome of running a transaction, from LiteSVM's answer."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from gridtokenx_pipeline.solana.errors import error_json

from .wire import inner_instructions_json

_LANDS = ("InstructionError", "InsufficientFundsForRent", "ProgramExecutionTemporarilyRestricted")


@dataclass(frozen=True)
class Execution:
    """Outcome of running a transaction. `err` is in the RPC's JSON form; `landed` says whether a block would hold it."""

    err: Any
    fee_lamports: int
    compute_units: int
    logs: list[str]
    inner_instructions: list[dict[str, Any]]
    return_data: dict[str, Any] | None
    accounts: dict[str, Any]

    @property
    def landed(self) -> bool:
        """True for success, and for failures that come after the fee is charged."""
        return self.err is None or (isinstance(self.err, dict) and next(iter(self.err)) in _LANDS)


def execution_of(result: Any) -> Execution:
    """Return the outcome that LiteSVM's answer to `send_transaction` or `simulate_transaction` tells of."""
    failed = isinstance(result, FailedTransactionMetadata)
    meta = result if isinstance(result, TransactionMetadata) else result.meta()
    data = meta.return_data()
    value = bytes(data.data)
    after = result.post_accounts() if hasattr(result, "post_accounts") else ()
    return Execution(
        err=error_json(result.err()) if failed else None,
        fee_lamports=meta.fee(),
        compute_units=meta.compute_units_consumed(),
        logs=list(meta.logs()),
        inner_instructions=inner_instructions_json(meta.inner_instructions()),
        return_data={"programId": str(data.program_id), "data": [base64.b64encode(value).decode(), "base64"]} if value else None,
        accounts={str(address): account for address, account in after},
    )
