"""A program as it was bound: its id, its IDL's hash, and the argument and account lists of the instructions in use.

A discriminator says nothing about what follows it: programs have kept one and changed the arguments behind it. So an IDL
is believed only where all of it is the one that was looked at when its use was written down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from solders.instruction import AccountMeta
from solders.instruction import Instruction as SolanaInstruction
from solders.pubkey import Pubkey

from .canonical import account_list, argument_list
from .coder import Coder
from .errors import BindingError, EncodeError
from .model import ErrorCode, Idl


@dataclass(frozen=True)
class Layout:
    """What an instruction is expected to be: `arguments` and `accounts` as `argument_list` and `account_list` write them."""

    discriminator: bytes
    arguments: tuple[str, ...]
    accounts: tuple[str, ...]


@dataclass(frozen=True)
class Expected:
    """What a program's IDL is expected to be: sha256 of its canonical form, and the instructions in use."""

    idl_sha256: str
    instructions: Mapping[str, Layout]


class Program:
    """A program at an address, spoken to by its IDL."""

    def __init__(self, idl: Idl, program_id: Pubkey, expected: Expected) -> None:
        """Bind `idl` to `program_id`.

        Raises `BindingError` where the IDL is of a program at another address, an expected instruction is missing or
        has another discriminator, argument list or account list, or the IDL differs anywhere else.
        """
        self.idl, self.program_id, self.expected = idl, program_id, expected
        self.coder = Coder(idl)
        if idl.address != str(program_id):
            # A program that Anchor compiled for one address refuses to run at another (4100 DeclaredProgramIdMismatch).
            raise BindingError(f"{idl.name}: the IDL is of the program {idl.address}, not of {program_id}")
        # Lists before the hash: what differs in them is worth more than that something differs.
        for name, layout in expected.instructions.items():
            self._check_layout(name, layout)
        if idl.sha256 != expected.idl_sha256:
            raise BindingError(f"{idl.name}: sha256 of the IDL is {idl.sha256}, {expected.idl_sha256} is bound")

    def instruction(
        self,
        name: str,
        arguments: Mapping[str, Any],
        accounts: Mapping[str, Pubkey | None],
        remaining: Sequence[AccountMeta] = (),
    ) -> SolanaInstruction:
        """Return an instruction ready to be put in a transaction.

        `accounts` are all accounts of the IDL by name (`None` leaves an optional one out, which Anchor reads from the
        program's own id in its place); who signs and what is written is the IDL's. `remaining` follow unnamed.
        Raises `EncodeError` for arguments or accounts that do not fit, `BindingError` for an instruction not bound.
        """
        if name not in self.expected.instructions:
            raise BindingError(f"{self.idl.name}.{name} is not bound: its argument list was not looked at")
        data = self.coder.encode_instruction(name, arguments)
        items = self.idl.instructions[name].accounts
        names = [item.name for item in items]
        if missing := [name for name in names if name not in accounts]:
            raise EncodeError(f"missing account {', '.join(missing)}").within("accounts")
        if unknown := sorted(accounts.keys() - set(names)):
            raise EncodeError(f"unknown account {', '.join(unknown)}").within("accounts")
        metas = []
        for item in items:
            key = accounts[item.name]
            if key is None and not item.optional:
                raise EncodeError("must be given").within(f".{item.name}").within("accounts")
            if key is not None and item.address is not None and str(key) != item.address:
                raise EncodeError(f"must be {item.address}, not {key}").within(f".{item.name}").within("accounts")
            if key is None:
                metas.append(AccountMeta(self.program_id, is_signer=False, is_writable=False))
            else:
                metas.append(AccountMeta(key, is_signer=item.signer, is_writable=item.writable))
        return SolanaInstruction(self.program_id, data, [*metas, *remaining])

    def error(self, code: int) -> ErrorCode | None:
        """Return the program's error of `code`, or `None`: IDLs list fewer errors than their programs raise."""
        return self.idl.errors.get(code)

    def _check_layout(self, name: str, layout: Layout) -> None:
        instruction = self.idl.instructions.get(name)
        place = f"{self.idl.name}.{name}"
        if instruction is None:
            raise BindingError(f"{place}: the IDL has no such instruction")
        if instruction.discriminator != layout.discriminator:
            raise BindingError(f"{place}: discriminator {instruction.discriminator.hex()}, {layout.discriminator.hex()} is bound")
        for what, found, bound in (
            ("arguments", argument_list(self.idl, instruction), layout.arguments),
            ("accounts", account_list(instruction), layout.accounts),
        ):
            if found != bound:
                raise BindingError(
                    f"{place}: same discriminator, other {what}: the IDL has ({', '.join(found)}), ({', '.join(bound)}) is bound"
                )
