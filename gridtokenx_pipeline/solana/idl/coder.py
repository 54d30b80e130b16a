"""Instructions, accounts and events of one IDL as bytes and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .codecs import Codec, take
from .compiler import Compiler
from .errors import DecodeError, EncodeError
from .memory import Memory, memory
from .model import Defined, Idl, Instruction


class Coder:
    """Encodes and decodes by an IDL. Types are compiled when first used and kept."""

    def __init__(self, idl: Idl) -> None:
        self.idl = idl
        self._compiler = Compiler(idl)
        self._arguments: dict[str, Codec] = {}
        self._memories: dict[str, Memory] = {}

    def encode_instruction(self, name: str, arguments: Mapping[str, Any]) -> bytes:
        """Return an instruction's data: its discriminator and its arguments in borsh.

        Integers are `int`, keys `Pubkey` or base58 text, bytes `bytes`, nothing is `None`, structs mappings, tuples
        lists, enums as `EnumCodec` says. Raises `EncodeError` with the path (`args.payload.order_id[3]: 300 is not a
        u8`) for a value that does not fit, and for missing and unknown arguments.
        """
        instruction = self.instruction(name)
        out = bytearray(instruction.discriminator)
        try:
            self._codec(instruction).encode(arguments, out)
        except EncodeError as error:
            raise error.within("args") from None
        except RecursionError:
            raise EncodeError("args are nested too deeply") from None
        return bytes(out)

    def decode_instruction(self, data: bytes) -> tuple[str, dict[str, Any]]:
        """Return name and arguments of an instruction's data; raise `DecodeError` for unknown or surplus bytes."""
        name, start = _find(data, {name: item.discriminator for name, item in self.idl.instructions.items()}, "instruction")
        return name, self._read(self._codec(self.idl.instructions[name]), data, start, f"{name}.args", exact=True)

    def decode_account(self, name: str, data: bytes) -> Any:
        """Return an account's content as a mapping, from borsh or from a zero-copy struct's memory.

        Bytes after the content are room the program reserved and are ignored. Raises `DecodeError` for another
        account's discriminator or too few bytes, and `IdlError` for a type that has no form (see `memory`).
        """
        discriminator = self.idl.accounts.get(name)
        if discriminator is None:
            raise DecodeError(f"{self.idl.name} has no account {name}")
        if not data.startswith(discriminator):
            found = next((other for other, start in self.idl.accounts.items() if data.startswith(start)), None)
            raise DecodeError(f"not an account {name} of {self.idl.name}" + (f" but {found}" if found else ""))
        if not self.idl.types[name].serialization.startswith("bytemuck"):
            return self._read(self._compiler.codec(Defined(name)), data, len(discriminator), name, exact=False)
        if name not in self._memories:
            self._memories[name] = memory(self.idl, name)
        try:
            # All of it must be there, padding at the end too: the program casts the whole struct.
            take(data, len(discriminator), self._memories[name].size)
            return self._memories[name].read(data, len(discriminator))
        except DecodeError as error:
            raise error.within(name) from None

    def account_name(self, data: bytes) -> str | None:
        """Return the name of the account whose discriminator `data` starts with, or `None`."""
        return next((name for name, start in self.idl.accounts.items() if data.startswith(start)), None)

    def decode_event(self, data: bytes) -> tuple[str, Any]:
        """Return name and content of an event (the bytes of a `Program data:` log line); raise `DecodeError`."""
        name, start = _find(data, self.idl.events, "event")
        return name, self._read(self._compiler.codec(Defined(name)), data, start, name, exact=True)

    def instruction(self, name: str) -> Instruction:
        """Return an instruction of the IDL or raise `EncodeError`."""
        if name not in self.idl.instructions:
            raise EncodeError(f"{self.idl.name} has no instruction {name}")
        return self.idl.instructions[name]

    def _codec(self, instruction: Instruction) -> Codec:
        if instruction.name not in self._arguments:
            self._arguments[instruction.name] = self._compiler.fields(instruction.arguments, noun="argument")
        return self._arguments[instruction.name]

    def _read(self, codec: Codec, data: bytes, start: int, name: str, *, exact: bool) -> Any:
        try:
            value, end = codec.decode(data, start)
        except DecodeError as error:
            raise error.within(name) from None
        except RecursionError:
            raise DecodeError(f"{name} is nested too deeply") from None
        if exact and end != len(data):
            raise DecodeError(f"{name}: {len(data) - end} bytes too many")
        return value


def _find(data: bytes, discriminators: Mapping[str, bytes], what: str) -> tuple[str, int]:
    for name, start in discriminators.items():
        if data.startswith(start):
            return name, len(start)
    raise DecodeError(f"no {what} starts with {data[:8].hex() or 'no bytes'}")
