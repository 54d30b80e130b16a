"""A program of the project at an id, spoken to by the IDL that lies beside its image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from ...idl import EncodeError, Expected, Layout, Program, account_list, argument_list, parse_idl
from ..images import Ids, idl, program_id

SYSTEM_PROGRAM = Pubkey.default()


class Bound:
    """Base of a program's instructions. Subclasses set `program`."""

    program: ClassVar[str]

    def __init__(self, ids: Ids | None = None) -> None:
        """Bind the program at its local id, or at that of `ids`. Raises `OSError`, `IdlError`."""
        self.ids = ids
        self.program_id = program_id(self.program, ids)
        parsed = parse_idl(idl(self.program, ids))
        # Image and IDL are of one build and lie side by side, so the IDL at hand is the one that is expected.
        layouts = {
            name: Layout(instruction.discriminator, argument_list(parsed, instruction), account_list(instruction))
            for name, instruction in parsed.instructions.items()
        }
        self._bound = Program(parsed, self.program_id, Expected(parsed.sha256, layouts))

    def _instruction(
        self,
        name: str,
        arguments: Mapping[str, Any],
        accounts: Mapping[str, Pubkey],
        remaining: Sequence[AccountMeta] = (),
    ) -> Instruction:
        return self._bound.instruction(name, arguments, accounts, remaining)


def distinct(keys: Sequence[Pubkey], names: Sequence[str]) -> None:
    """Raise `EncodeError` where two of `keys` are one: the programs refuse an account named twice (2040)."""
    seen: dict[Pubkey, str] = {}
    for key, name in zip(keys, names, strict=True):
        if key in seen:
            raise EncodeError(f"the same account as {seen[key]}").within(name)
        seen[key] = name
