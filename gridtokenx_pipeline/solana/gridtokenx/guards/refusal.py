"""What the chain would say to an instruction, known before it is sent."""

from __future__ import annotations

from dataclasses import dataclass

ACCOUNT_IN_USE = 0
"""Error of the system program for an account that exists: what Anchor's `init` ends in. An instruction's `Custom(0)`."""

NOT_DESERIALIZED = 102
"""Anchor's `InstructionDidNotDeserialize`."""

MAX_SEED = 32
U64_MAX = 2**64 - 1


@dataclass(frozen=True)
class Refusal:
    """An error the instruction would get: `code` as in `InstructionError: Custom(code)`, `None` where it has no number."""

    code: int | None
    name: str
    detail: str


def seed_too_long(what: str, value: str) -> Refusal | None:
    """Return the runtime's refusal of a text that is a seed and has more than 32 bytes of UTF-8, or `None`.

    It comes before the program's own check of the length, which therefore never speaks.
    """
    size = len(value.encode())
    if size <= MAX_SEED:
        return None
    return Refusal(None, "MaxSeedLengthExceeded", f"{what} has {size} bytes, {MAX_SEED} are allowed")
