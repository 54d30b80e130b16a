"""An Anchor IDL (spec 0.1.0) as checked, immutable data. Source: Anchor's `idl/spec` crate and its TypeScript `Idl` type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

INTEGERS: Mapping[str, tuple[int, bool]] = {
    f"{sign}{bits}": (bits // 8, sign == "i") for bits in (8, 16, 32, 64, 128, 256) for sign in "ui"
}
"""Name of an integer type -> (bytes, signed)."""

PRIMITIVES = frozenset(INTEGERS) | {"bool", "f32", "f64", "string", "bytes", "pubkey"}


@dataclass(frozen=True)
class Primitive:
    """A type of the language: one of `PRIMITIVES`."""

    name: str


@dataclass(frozen=True)
class Option:
    """Borsh option: one byte, then the value where there is one."""

    item: Type


@dataclass(frozen=True)
class COption:
    """C option of SPL token accounts: a u32, then the value's width whether there is one or not."""

    item: Type


@dataclass(frozen=True)
class Vec:
    """A u32 count, then the items."""

    item: Type


@dataclass(frozen=True)
class Generic:
    """A parameter of the type definition it stands in: a type or an array's length."""

    name: str


@dataclass(frozen=True)
class Array:
    """`length` items without a count."""

    item: Type
    length: int | Generic


@dataclass(frozen=True)
class Defined:
    """A type of the IDL's `types`; its arguments are types or numbers (const generics)."""

    name: str
    arguments: tuple[Type | int, ...] = ()


Type = Primitive | Option | COption | Vec | Array | Defined | Generic


@dataclass(frozen=True)
class Field:
    """A field; fields of tuples have their number as name."""

    name: str
    type: Type


@dataclass(frozen=True)
class Fields:
    """Fields in order, all with names or all without (a tuple)."""

    items: tuple[Field, ...] = ()
    named: bool = True


@dataclass(frozen=True)
class Struct:
    """The body of a struct."""

    fields: Fields


@dataclass(frozen=True)
class Variant:
    """One variant of an enum; a unit variant has no fields."""

    name: str
    fields: Fields


@dataclass(frozen=True)
class Enum:
    """The body of an enum; a variant's number is its place."""

    variants: tuple[Variant, ...]


@dataclass(frozen=True)
class Alias:
    """The body of a type alias."""

    type: Type


@dataclass(frozen=True)
class Parameter:
    """A generic parameter of a type definition."""

    name: str
    const: bool


@dataclass(frozen=True)
class Repr:
    """Rust's `repr` of a definition: how its memory is laid out, which matters to zero-copy types only."""

    kind: Literal["rust", "c", "transparent"]
    packed: bool = False
    align: int | None = None


@dataclass(frozen=True)
class TypeDef:
    """A definition of the IDL's `types`. `serialization` is `borsh`, `bytemuck`, `bytemuckunsafe` or `custom: NAME`."""

    name: str
    body: Struct | Enum | Alias
    parameters: tuple[Parameter, ...] = ()
    serialization: str = "borsh"
    repr: Repr | None = None


@dataclass(frozen=True)
class AccountItem:
    """An account of an instruction; one in a group is named `group.account`."""

    name: str
    writable: bool = False
    signer: bool = False
    optional: bool = False
    address: str | None = None


@dataclass(frozen=True)
class Instruction:
    """An instruction: its discriminator precedes the arguments in the data."""

    name: str
    discriminator: bytes
    arguments: Fields
    accounts: tuple[AccountItem, ...]


@dataclass(frozen=True)
class ErrorCode:
    """An error of the program. Tables of IDLs can be shorter than the program's own."""

    code: int
    name: str
    message: str


@dataclass(frozen=True)
class Idl:
    """A whole IDL. `accounts` and `events` map a type's name to its discriminator; `sha256` is of the canonical form."""

    name: str
    version: str
    address: str
    sha256: str
    instructions: Mapping[str, Instruction]
    accounts: Mapping[str, bytes]
    events: Mapping[str, bytes]
    errors: Mapping[int, ErrorCode]
    types: Mapping[str, TypeDef]
