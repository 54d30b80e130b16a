"""The hash by which an IDL is known, and the text of an instruction's argument and account lists that a binding compares."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .model import (
    Alias,
    Array,
    COption,
    Defined,
    Fields,
    Generic,
    Idl,
    Instruction,
    Option,
    Primitive,
    Struct,
    Type,
    Vec,
)
from .substitute import environment, substitute


def idl_sha256(document: Any) -> str:
    """Return the sha256 in hex of the IDL's canonical form.

    The canonical form is its JSON with sorted keys, no white space and no `docs`, as UTF-8, without the top level's
    `address`: comments change nothing that is sent, and where a program lives is bound by its own id.
    """
    bare = {key: value for key, value in document.items() if key != "address"}
    text = json.dumps(_without_docs(bare), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def argument_list(idl: Idl, instruction: Instruction) -> tuple[str, ...]:
    """Return the arguments as `name: type`, with defined types written out.

    Names of types are left out where their content is written: only what changes bytes or meaning counts.
    """
    return tuple(f"{field.name}: {type_text(idl, field.type)}" for field in instruction.arguments.items)


def account_list(instruction: Instruction) -> tuple[str, ...]:
    """Return the accounts as `name` or `name: writable signer optional` (those that hold)."""
    return tuple(
        f"{account.name}: {flags}" if flags else account.name
        for account in instruction.accounts
        for flags in [
            " ".join(
                flag
                for flag, holds in (
                    ("writable", account.writable),
                    ("signer", account.signer),
                    ("optional", account.optional),
                )
                if holds
            )
        ]
    )


def type_text(idl: Idl, type_: Type, above: tuple[Defined, ...] = ()) -> str:
    """Return a type written out, as `vec<{order_id: [u8; 16], side: u8}>`; one inside itself is named instead."""
    match type_:
        case Primitive(name):
            return name
        case Option(item):
            return f"option<{type_text(idl, item, above)}>"
        case COption(item):
            return f"coption<{type_text(idl, item, above)}>"
        case Vec(item):
            return f"vec<{type_text(idl, item, above)}>"
        case Array(item, length):
            return f"[{type_text(idl, item, above)}; {length}]"
        case Generic(name):
            return name
        case Defined():
            return type_.name if type_ in above else _definition_text(idl, type_, (*above, type_))


def _definition_text(idl: Idl, type_: Defined, above: tuple[Defined, ...]) -> str:
    definition = idl.types[type_.name]
    values = environment(definition, type_)

    def fields_text(fields: Fields) -> str:
        texts = [(field.name, type_text(idl, substitute(field.type, values), above)) for field in fields.items]
        if fields.named:
            return "{" + ", ".join(f"{name}: {text}" for name, text in texts) + "}"
        return "(" + ", ".join(text for _, text in texts) + ")"

    body = definition.body
    if isinstance(body, Alias):
        return type_text(idl, substitute(body.type, values), above)
    if isinstance(body, Struct):
        return fields_text(body.fields)
    variants = (variant.name + (fields_text(variant.fields) if variant.fields.items else "") for variant in body.variants)
    return "enum{" + ", ".join(variants) + "}"


def _without_docs(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_docs(item) for key, item in value.items() if key != "docs"}
    if isinstance(value, list):
        return [_without_docs(item) for item in value]
    return value
