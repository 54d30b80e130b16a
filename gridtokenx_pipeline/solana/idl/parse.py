"""Strict parsing of an Anchor IDL: what this returns has no dangling names, no unknown keys and no ambiguous discriminators."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from .canonical import idl_sha256
from .errors import IdlError
from .json_walk import Node
from .model import AccountItem, ErrorCode, Idl, Instruction
from .parse_types import check_references, parse_fields, parse_type_def

SPEC = "0.1.0"
_TOP = "docs accounts events errors types constants"


def read_idl(path: Path) -> Idl:
    """Return the IDL of a file; an `IdlError` starts with the file's name."""
    try:
        return parse_idl(path.read_bytes())
    except (IdlError, UnicodeDecodeError) as error:
        raise IdlError(f"{path.name}: {error}") from error


def parse_idl(content: bytes | str | dict[str, Any]) -> Idl:
    """Return the IDL of a JSON text or of the object parsed from it.

    Raises `IdlError` naming the place: not JSON, an older or newer spec, unknown keys, duplicate names, types that
    refer to nothing, discriminators of which one begins another.
    """
    document = content if isinstance(content, dict) else _load(content)
    top = Node(document)
    _check_spec(top)
    top.object("address metadata instructions", _TOP)
    metadata = top.get("metadata")
    types = _by_name(((node, parse_type_def(node)) for node in top.get("types").items()), "type")
    instructions = _by_name(((node, _instruction(node)) for node in top.get("instructions").items()), "instruction")
    check_references(types, instructions.values())
    accounts, events = (_discriminated(top.get(key), types) for key in ("accounts", "events"))
    _check_prefixes("instructions", {name: instruction.discriminator for name, instruction in instructions.items()})
    _check_prefixes("accounts", accounts)
    _check_prefixes("events", events)
    return Idl(
        name=metadata.get("name").text(),
        version=metadata.get("version").text(),
        address=top.get("address").text(),
        sha256=idl_sha256(document),
        instructions=instructions,
        accounts=accounts,
        events=events,
        errors={error.code: error for error in map(_error, top.get("errors").items())},
        types=types,
    )


def _load(content: bytes | str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            raise IdlError(f"the key {next(name for name in names if names.count(name) > 1)!r} twice in one object")
        return found

    try:
        document = json.loads(content, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise IdlError(f"not JSON: {error}") from error
    except RecursionError as error:
        raise IdlError("nested too deeply") from error
    if not isinstance(document, dict):
        raise IdlError("an IDL is a JSON object")
    return document


def _check_spec(top: Node) -> None:
    metadata = top.value.get("metadata")
    spec = metadata.get("spec") if isinstance(metadata, dict) else None
    if spec == SPEC:
        return
    if spec is not None:
        raise IdlError(f"metadata.spec: IDLs of spec {spec!r} are not supported, those of {SPEC} are")
    if "name" in top.value and "version" in top.value:
        raise IdlError(
            "metadata.spec: an IDL of Anchor before 0.30 (name and version at the top, no spec); "
            f"`anchor idl convert` makes one of spec {SPEC} of it"
        )
    raise IdlError(f"metadata.spec: missing; IDLs of spec {SPEC} are supported")


def _instruction(node: Node) -> Instruction:
    node.object("name discriminator accounts args", "docs returns")
    return Instruction(
        name=node.get("name").text(),
        discriminator=_discriminator(node.get("discriminator")),
        arguments=parse_fields(node.get("args"), named=True),
        accounts=_account_items(node.get("accounts")),
    )


def _account_items(node: Node, group: str = "") -> tuple[AccountItem, ...]:
    found: list[AccountItem] = []
    for item in node.items():
        if isinstance(item.value, dict) and "accounts" in item.value:
            item.object("name accounts", "docs")
            found += _account_items(item.get("accounts"), f"{group}{item.get('name').text()}.")
            continue
        item.object("name", "docs writable signer optional address pda relations")
        found.append(
            AccountItem(
                name=group + item.get("name").text(),
                writable=item.get("writable").flag(),
                signer=item.get("signer").flag(),
                optional=item.get("optional").flag(),
                address=item.get("address").text() if item.has("address") else None,
            )
        )
    names = [account.name for account in found]
    if len(set(names)) < len(names):
        raise node.fail(f"the account {next(name for name in names if names.count(name) > 1)} twice")
    return tuple(found)


def _discriminated(node: Node, types: dict[str, Any]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for item in node.items():
        item.object("name discriminator", "docs")
        name = item.get("name").text()
        if name in found:
            raise item.fail(f"{name} twice")
        if name not in types:
            raise item.fail(f"{name} has no definition in types")
        if types[name].parameters:
            raise item.fail(f"{name} is generic")
        found[name] = _discriminator(item.get("discriminator"))
    return found


def _discriminator(node: Node) -> bytes:
    value = bytes(item.number(0, 255) for item in node.items())
    if not value:
        raise node.fail("empty")
    return value


def _check_prefixes(what: str, discriminators: dict[str, bytes]) -> None:
    # Sorted, whatever begins another stands right before one that it begins.
    ordered = sorted(discriminators.items(), key=lambda item: item[1])
    for (name, shorter), (other, longer) in pairwise(ordered):
        if longer.startswith(shorter):
            raise IdlError(f"{what}: the discriminator of {name} begins that of {other}, so data of both look alike")


def _error(node: Node) -> ErrorCode:
    node.object("code name", "msg docs")
    code = node.get("code").number(0, 2**32 - 1)
    return ErrorCode(code, node.get("name").text(), node.value.get("msg") or "")


def _by_name(items: Iterable[tuple[Node, Any]], what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for node, item in items:
        if item.name in found:
            raise node.fail(f"the {what} {item.name} twice")
        found[item.name] = item
    return found
