"""IDLs are taken strictly, and every refusal names its place."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from deployed_idls import PROGRAMS, deployed_idl
from idl_documents import HERE, document, idl_named

from gridtokenx_pipeline.solana.idl import IdlError, idl_sha256, parse_idl, read_idl

OPEN = {"name": "open", "discriminator": [2], "accounts": [], "args": []}


def changed(**top: Any) -> dict[str, Any]:
    return document("u8") | top


def instruction(**keys: Any) -> dict[str, Any]:
    return changed(instructions=[OPEN | keys])


def definition(**keys: Any) -> dict[str, Any]:
    return changed(types=[{"name": "T", "type": {"kind": "struct"}} | keys])


@pytest.mark.parametrize("program", PROGRAMS)
def test_real_idls_are_taken(program: str) -> None:
    path = deployed_idl(program)
    idl = read_idl(path)
    raw = json.loads(path.read_text())
    assert list(idl.instructions) == [item["name"] for item in raw["instructions"]]
    assert {name: list(value) for name, value in idl.accounts.items()} == {
        item["name"]: item["discriminator"] for item in raw["accounts"]
    }
    assert list(idl.errors) == [item["code"] for item in raw["errors"]]


@pytest.mark.parametrize(
    ("idl", "error"),
    [
        ({"version": "0.1.0", "name": "old", "instructions": []}, "metadata.spec: an IDL of Anchor before 0.30"),
        (changed(metadata={"name": "x", "version": "1", "spec": "0.2.0"}), "metadata.spec: IDLs of spec '0.2.0' are not supported, those of 0.1.0 are"),
        (changed(metadata={"name": "x", "version": "1"}), "metadata.spec: missing"),
        (changed(metadata=None), "metadata.spec: missing"),
        (changed(metadata={"name": 7, "version": "1", "spec": "0.1.0"}), "metadata.name: text is wanted, not 7"),
        (changed(state={}), "IDL: state unknown"),
        (changed(address=""), "address: text is wanted"),
        (changed(instructions={}), "instructions: a list is wanted, not an object"),
        (changed(instructions=[OPEN, OPEN]), "instructions[1]: the instruction open twice"),
        (instruction(args=None, accounts=[{"name": "a", "isMut": True}]), "instructions[0].accounts[0]: isMut unknown"),
        (instruction(accounts=[{"name": "a"}, {"name": "a"}]), "instructions[0].accounts: the account a twice"),
        (instruction(accounts=[{"name": "a", "signer": 1}]), "instructions[0].accounts[0].signer: true or false is wanted, not 1"),
        (instruction(discriminator=[]), "instructions[0].discriminator: empty"),
        (instruction(discriminator=[256]), "instructions[0].discriminator[0]: a number from 0 to 255 is wanted, not 256"),
        (instruction(discriminator=[True]), "instructions[0].discriminator[0]: a number"),
        (changed(instructions=[OPEN, OPEN | {"name": "b", "discriminator": [2, 1]}]), "instructions: the discriminator of open begins that of b"),
        (instruction(args=[{"name": "a", "type": "publicKey"}]), "instructions[0].args[0].type: no type is named 'publicKey'; IDLs of Anchor before"),
        (instruction(args=[{"name": "a", "type": "u512"}]), "instructions[0].args[0].type: no type is named 'u512'"),
        (instruction(args=["u8"]), "instructions[0].args: every field needs a name"),
        (instruction(args=[{"name": "a", "type": "u8"}, {"name": "a", "type": "u8"}]), "instructions[0].args[1]: the field a twice"),
        (instruction(args=[{"name": "a", "type": {"option": "u8", "vec": "u8"}}]), "instructions[0].args[0].type: a type has one key"),
        (instruction(args=[{"name": "a", "type": {"hashMap": "u8"}}]), "instructions[0].args[0].type: hashMap unknown"),
        (instruction(args=[{"name": "a", "type": {"array": ["u8"]}}]), "instructions[0].args[0].type.array: an array is [type, length]"),
        (instruction(args=[{"name": "a", "type": {"array": ["u8", -1]}}]), "instructions[0].args[0].type.array[1]: a number from 0"),
        (instruction(args=[{"name": "a", "type": {"array": ["u8", {"generic": "N"}]}}]), "instructions.open.a: N is no const parameter"),
        (instruction(args=[{"name": "a", "type": {"generic": "T"}}]), "instructions.open.a: T is no type parameter"),
        (instruction(args=[{"name": "a", "type": {"vec": {"defined": {"name": "Lost"}}}}]), "instructions.open.a: the type Lost is not in the IDL"),
        (definition(type={"kind": "union"}), "types[0].type: a definition is a struct, an enum or a type, not 'union'"),
        (definition(type={"kind": "enum", "variants": []}), "types[0].type: an enum has 1 to 256 variants, not 0"),
        (definition(type={"kind": "enum", "variants": [{"name": "A"}, {"name": "A"}]}), "types[0].type.variants[1]: the variant A twice"),
        (definition(type={"kind": "struct", "fields": [{"name": "a", "type": "u8"}, "u8"]}), "types[0].type.fields: every field needs a name, or none"),
        (definition(serialization="zero"), "types[0].serialization: no serialization is named 'zero'"),
        (definition(repr={"kind": "x"}), "types[0].repr: a repr is rust, c or transparent"),
        (definition(generics=[{"kind": "type", "name": "T"}, {"kind": "type", "name": "T"}]), "types.T: a generic parameter twice"),
        (changed(accounts=[{"name": "Lost", "discriminator": [1]}]), "accounts[0]: Lost has no definition in types"),
        (changed(errors=[{"code": -1, "name": "x"}]), "errors[0].code: a number from 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(idl: dict[str, Any], error: str) -> None:
    with pytest.raises(IdlError) as caught:
        parse_idl(json.dumps(idl))
    assert str(caught.value).startswith(error)


def test_generic_arguments_are_counted_and_of_their_kind() -> None:
    holder = {"name": "Holder", "generics": [{"kind": "const", "name": "N", "type": "usize"}], "type": {"kind": "struct"}}
    for generics, error in (
        ([], "Holder takes 1 generic arguments, not 0"),
        ([{"kind": "type", "type": "u8"}], "N of Holder is a number"),
        ([{"kind": "const", "value": "M"}], "N of Holder is a number"),
    ):
        use = {"defined": {"name": "Holder", "generics": generics}}
        with pytest.raises(IdlError, match=error):
            parse_idl(document(use, types=[holder]))


def test_texts_that_are_no_idl_are_refused(tmp_path: Path) -> None:
    for text, error in (
        ("{", "not JSON"),
        ("[]", "an IDL is a JSON object"),
        ('{"a": 1, "a": 2}', "the key 'a' twice"),
        ("[" * 100_000, "deep"),
    ):
        with pytest.raises(IdlError, match=error):
            parse_idl(text)
    (tmp_path / "oracle.json").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(IdlError, match=r"^oracle\.json: "):
        read_idl(tmp_path / "oracle.json")


def test_groups_of_accounts_are_named_by_both() -> None:
    group = {"name": "pool", "accounts": [{"name": "vault", "writable": True}, {"name": "mint"}]}
    idl = parse_idl(instruction(accounts=[{"name": "payer", "signer": True}, group]))
    assert [account.name for account in idl.instructions["open"].accounts] == ["payer", "pool.vault", "pool.mint"]


def test_the_hash_is_of_what_matters() -> None:
    raw = json.loads((HERE / "everything.json").read_text())
    assert idl_named("everything").sha256 == idl_sha256(raw)
    commented = copy.deepcopy(raw)
    commented["docs"] = ["of the program"]
    commented["instructions"][0]["docs"] = ["of the instruction"]
    commented["types"][0]["type"]["fields"][0]["docs"] = ["of the field"]
    reordered = json.loads(json.dumps(dict(reversed(raw.items())), indent=9))
    elsewhere = raw | {"address": "64Vgos61STZ8pW9NnHi2iGtXMTQr7NqBoMorK6Zg8RJU"}
    assert {idl_sha256(other) for other in (commented, reordered, elsewhere)} == {idl_sha256(raw)}
    widened = copy.deepcopy(raw)
    widened["types"][0]["type"]["fields"][0]["type"] = "u16"
    swapped = copy.deepcopy(raw)
    swapped["instructions"][0]["args"].reverse()
    assert len({idl_sha256(other) for other in (raw, widened, swapped)}) == 3
