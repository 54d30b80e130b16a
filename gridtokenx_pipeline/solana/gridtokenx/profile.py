"""The profile bound to the IDL files a user brought: logical actions become instructions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from ..idl import BindingError, Program, read_idl
from ..idl.model import INTEGERS
from .addresses import Addresses
from .sidecar import Argument, Sidecar
from .units import Converted, UnitError, convert


@dataclass(frozen=True)
class Prepared:
    """An instruction, its arguments in the chain's units (what guards judge), and what units left over by argument."""

    instruction: Instruction
    arguments: Mapping[str, Any]
    carried: Mapping[str, int]


class Profile:
    """Programs of one deployment, each bound to its id, IDL and the argument lists of the sidecar."""

    def __init__(self, sidecar: Sidecar, programs: Mapping[str, Program]) -> None:
        self.sidecar, self.programs = sidecar, programs
        self._ids = {name: program.program_id for name, program in programs.items()}

    @classmethod
    def bind(
        cls,
        sidecar: Sidecar,
        directory: Path,
        program_ids: Mapping[str, str] | None = None,
        accepted: Mapping[str, str] | None = None,
    ) -> Profile:
        """Bind the profile to `PROGRAM.json` in `directory` for each of its programs.

        `program_ids` replaces published ids where the programs were deployed anew. `accepted` replaces published
        hashes where a user looked at another IDL and takes it; argument and account lists must still be the profile's.
        Raises `BindingError` for files that are missing or differ, and `IdlError` for files that are no IDL.
        """
        ids, hashes = program_ids or {}, accepted or {}
        if unknown := (ids.keys() | hashes.keys()) - sidecar.programs.keys():
            raise BindingError(f"{sidecar.profile} has no program {', '.join(sorted(unknown))}")
        programs = {}
        for name, rule in sidecar.programs.items():
            path = directory / f"{name}.json"
            if not path.is_file():
                raise BindingError(f"{sidecar.profile} needs {name}.json in {directory}")
            program_id = Pubkey.from_string(ids.get(name, rule.program_id))
            programs[name] = Program(read_idl(path), program_id, rule.expected(hashes.get(name)))
        return cls(sidecar, programs)

    def prepare(
        self,
        name: str,
        quantities: Mapping[str, Any],
        keys: Mapping[str, Pubkey],
        values: Mapping[str, Any] | None = None,
        carried: Mapping[str, int] | None = None,
    ) -> Prepared:
        """Return `program.instruction` made of the pipeline's quantities.

        `quantities` are the arguments by name: whole Wh, micro-currency per kWh, aware datetimes, text, bytes, and the
        pipeline's words for choices. `keys` are signers by role and other accounts by name; `values` what addresses
        need beside; `carried` what an argument's unit left over the last time, by argument (of the same meter).
        Raises `UnitError`, `AddressError` or `EncodeError` naming the place.
        """
        program_name, _, instruction = name.partition(".")
        rule = self.sidecar.rule(name)
        program = self.programs[program_name]
        before = carried or {}
        if lost := before.keys() - {argument.name for argument in rule.arguments}:
            raise UnitError(f"{name} has no argument {', '.join(sorted(lost))} to carry to")
        converted = {
            argument.name: _convert(argument, quantities[argument.name], before.get(argument.name, 0))
            for argument in rule.arguments
            if argument.name in quantities
        }
        arguments: dict[str, Any] = dict(quantities) | {key: found.value for key, found in converted.items()}
        # First of all: it refuses missing, unknown and unfit arguments, so that seeds are made of fit ones.
        program.coder.encode_instruction(instruction, arguments)
        wanted = {seed.removeprefix("argument:") for account in rule.accounts for seed in account.pda or ()}
        seeds = {item.name: _seed(item.type, arguments[item.name]) for item in rule.arguments if item.name in wanted}
        addresses = Addresses(rule, program_name, self._ids, keys, values or {}, seeds)
        built = program.instruction(instruction, arguments, addresses.all())
        return Prepared(built, arguments, {key: found.carried for key, found in converted.items() if found.carried})


def _convert(argument: Argument, quantity: Any, carried: int) -> Converted:
    if argument.choices is not None:
        if quantity not in argument.choices:
            raise UnitError(f"{argument.name}: {quantity!r} is none of {', '.join(argument.choices)}")
        return Converted(argument.choices[quantity])
    try:
        return convert(argument.unit, quantity, carried)
    except UnitError as error:
        raise UnitError(f"{argument.name}: {error}") from None


def _seed(type_: str, value: Any) -> bytes:
    if type_ in INTEGERS:
        size, signed = INTEGERS[type_]
        return int(value).to_bytes(size, "little", signed=signed)
    return value.encode() if isinstance(value, str) else bytes(value)
