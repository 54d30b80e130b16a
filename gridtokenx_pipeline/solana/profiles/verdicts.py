"""What the five programs' refusals mean, in words."""

from __future__ import annotations

from functools import cache

from gridtokenx_pipeline.domain.settlement import kinds

from ..actions import Verdict
from ..idl import parse_idl
from ..programs.images import idl

PROGRAM_OF = {
    kinds.SUBMIT_ENERGY_READING: "oracle",
    kinds.RECORD_BATCH: "oracle",
    kinds.MINT_GRID: "energy_token",
    kinds.MINT_REC: "energy_token",
    kinds.RETIRE_REC: "energy_token",
    kinds.EXECUTE_TRADE: "trading",
    kinds.SETTLE_POSITION: "trading",
}
"""Which program an action's instruction calls, and so whose codes its refusals have."""

# A later version of the interval has put its root there, so this one's was there or need not come any more.
_DONE = {("oracle", "BatchSuperseded")}
# True now, and not for long: a clock that is behind, a pause of governance.
_PASSING = {"FutureWindow", "Paused"}
_HINTS = {
    "WindowTooOld": "whether it was done the chain no longer remembers, so it is never done again",
    "MeterNotActive": "the device registry says why",
    "ImplausibleReading": "the registry keeps the limit that the meter was registered with",
    "Unauthorized": "governance names other keys",
}
# Token-2022's own codes, which pass through (spl-token-2022 `TokenError`).
_TOKEN_ERRORS = {
    1: "InsufficientFunds: the account holds too little",
    4: "OwnerMismatch: the wallet has not approved the program as its delegate",
    17: "AccountFrozen: the token account is frozen",
}
# Anchor's, of what every instruction checks.
_ANCHOR_ERRORS = {
    2006: "ConstraintSeeds: an account is at another address than its seeds say",
    3007: "AccountOwnedByWrongProgram: an account that is needed does not exist",
    3010: "AccountNotSigner: a signature is missing",
}


def verdict(kind: str, code: int | None) -> Verdict:
    """Return what a program's `code` means for an action of `kind`; null is an error of the runtime."""
    name = _names(PROGRAM_OF.get(kind, "oracle")).get(code or 0, ("", ""))[0]
    if (PROGRAM_OF.get(kind), name) in _DONE:
        return "done"
    return "again" if name in _PASSING else "refused"


def explained(kind: str, code: int | None, error: str) -> str:
    """Return the refusal of an action of `kind` in words: program, name and meaning of `code`; `error` where there is none."""
    program = PROGRAM_OF.get(kind)
    if code is None or program is None:
        return error
    if code in (names := _names(program)):
        name, message = names[code]
        hint = f"; {_HINTS[name]}" if name in _HINTS else ""
        return f"{program} {code} {name}: {message}{hint}"
    if code in _TOKEN_ERRORS:
        return f"token-2022 {code} {_TOKEN_ERRORS[code]}"
    return f"{program} {code} {_ANCHOR_ERRORS[code]}" if code in _ANCHOR_ERRORS else f"{program} {code}"


@cache
def _names(program: str) -> dict[int, tuple[str, str]]:
    return {code: (error.name, error.message) for code, error in parse_idl(idl(program)).errors.items()}
