"""What an IDL does not say and a program needs: addresses of accounts, who signs, units of arguments. Read from TOML."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..idl import Expected, Layout
from .units import AS_IS, SCALES

_SEED = r"^(text|key|argument|value|u64|shard):[a-z0-9_]+$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Argument(_Strict):
    """An argument: its type as `argument_list` writes it, its unit, and for a choice what the pipeline's words become."""

    name: str
    type: str
    unit: str
    choices: dict[str, str] | None = None

    @model_validator(mode="after")
    def _known_unit(self) -> Argument:
        if self.unit not in AS_IS and self.unit not in SCALES:
            raise ValueError(f"{self.name}: no unit is named {self.unit!r}")
        if (self.unit == "choice") != (self.choices is not None):
            raise ValueError(f"{self.name}: choices go with the unit choice")
        return self


class Ata(_Strict):
    """An associated token account: names of the accounts that own it, that it is of, and whose program it is of."""

    owner: str
    mint: str
    token_program: str


class Account(_Strict):
    """An account: where its address comes from, and its flags as `account_list` writes them.

    Exactly one of: `pda` (seeds, of `program` or of the instruction's own), `address` (always this one), `program_of`
    (a program of the profile), `ata`, `role` (a key that signs, by the name of its role) and `given` (the caller's).
    """

    name: str
    flags: str = ""
    pda: tuple[Annotated[str, Field(pattern=_SEED)], ...] | None = None
    program: str | None = None
    address: str | None = None
    program_of: str | None = None
    ata: Ata | None = None
    role: str | None = None
    given: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Account:
        sources = [self.pda, self.address, self.program_of, self.ata, self.role, self.given]
        if sum(source is not None for source in sources) != 1:
            raise ValueError(f"{self.name}: one source of the address is wanted")
        if self.program is not None and self.pda is None:
            raise ValueError(f"{self.name}: program goes with pda")
        if (self.role is not None) != ("signer" in self.flags):
            raise ValueError(f"{self.name}: roles sign and others do not")
        return self


class InstructionRule(_Strict):
    """Everything about one instruction, in the order of its IDL."""

    discriminator: Annotated[str, Field(pattern=r"^([0-9a-f]{2})+$")]
    arguments: tuple[Argument, ...]
    accounts: tuple[Account, ...]

    def account(self, name: str) -> Account | None:
        """Return the account of this name, or `None`."""
        return next((account for account in self.accounts if account.name == name), None)

    def layout(self) -> Layout:
        """Return what the IDL must say of this instruction."""
        return Layout(
            bytes.fromhex(self.discriminator),
            tuple(f"{argument.name}: {argument.type}" for argument in self.arguments),
            tuple(f"{account.name}: {account.flags}" if account.flags else account.name for account in self.accounts),
        )


class ProgramRule(_Strict):
    """A program: the id and IDL it was published with, and its instructions in use."""

    program_id: str
    idl_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    instructions: dict[str, InstructionRule]

    def expected(self, idl_sha256: str | None = None) -> Expected:
        """Return what to bind, with another hash where a user has looked at another IDL and accepts it."""
        layouts = {name: rule.layout() for name, rule in self.instructions.items()}
        return Expected(idl_sha256 or self.idl_sha256, layouts)


class Sidecar(_Strict):
    """A profile. `actions` maps what the pipeline does to `program.instruction`s, in the order in which they must land."""

    profile: str
    spec: Literal["0.1.0"]
    programs: dict[str, ProgramRule]
    actions: dict[str, tuple[str, ...]]

    @model_validator(mode="after")
    def _complete(self) -> Sidecar:
        for action, names in self.actions.items():
            for name in names:
                program, _, instruction = name.partition(".")
                if program not in self.programs or instruction not in self.programs[program].instructions:
                    raise ValueError(f"{action}: no instruction is named {name}")
        return self

    def rule(self, name: str) -> InstructionRule:
        """Return the rule of `program.instruction`; raise `KeyError` where there is none."""
        program, _, instruction = name.partition(".")
        return self.programs[program].instructions[instruction]


def parse_sidecar(text: str) -> Sidecar:
    """Return the sidecar of a TOML text; raise pydantic's `ValidationError` naming every place that is wrong."""
    return Sidecar.model_validate(tomllib.loads(text))


def sidecar_2026_08() -> Sidecar:
    """Return the profile of the programs published in August 2026."""
    return parse_sidecar((files(__package__) / "gridtokenx_2026_08.toml").read_text())
