"""Byte-equal to Anchor's own coder: vectors that `make_golden.mjs` took from it."""

from __future__ import annotations

from typing import Any

import pytest
from idl_documents import GOLDEN, from_golden, idl_named

from gridtokenx_pipeline.solana.idl import Coder, EncodeError


def plain(value: Any) -> Any:
    """Tuples as lists, so that what was read compares with what was written; -0.0 and NaN do not occur in keys."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def named(vectors: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(vector, id=f"{vector['name']}-{number}") for number, vector in enumerate(vectors)]


@pytest.mark.parametrize("vector", named(GOLDEN["instructions"]))
def test_instructions_are_byte_equal_and_read_back(vector: dict[str, Any]) -> None:
    coder = Coder(idl_named(vector["program"]))
    args = from_golden(vector["args"])
    data = coder.encode_instruction(vector["name"], args)
    assert data.hex() == vector["data"]
    name, read = coder.decode_instruction(data)
    assert name == vector["name"]
    # What was read writes the same bytes again: of a float's 32 bits that is more than equality.
    assert coder.encode_instruction(name, read) == data
    if name != "plain":
        assert plain(read) == plain(args)


@pytest.mark.parametrize("vector", named(GOLDEN["accounts"]))
def test_accounts_read_as_anchor_wrote_them(vector: dict[str, Any]) -> None:
    coder = Coder(idl_named(vector["program"]))
    data = bytes.fromhex(vector["data"])
    assert plain(coder.decode_account(vector["name"], data)) == plain(from_golden(vector["content"]))
    # Accounts are made with room to grow.
    assert coder.decode_account(vector["name"], data + bytes(8)) == coder.decode_account(vector["name"], data)
    assert coder.account_name(data) == vector["name"]


@pytest.mark.parametrize("vector", named(GOLDEN["events"]))
def test_events_read_as_anchor_wrote_them(vector: dict[str, Any]) -> None:
    name, content = Coder(idl_named(vector["program"])).decode_event(bytes.fromhex(vector["data"]))
    assert (name, plain(content)) == (vector["name"], plain(from_golden(vector["content"])))


@pytest.mark.parametrize("vector", named(GOLDEN["refused"]))
def test_what_does_not_fit_is_refused_with_its_path(vector: dict[str, Any]) -> None:
    with pytest.raises(EncodeError) as caught:
        Coder(idl_named(vector["program"])).encode_instruction(vector["name"], from_golden(vector["args"]))
    assert str(caught.value).startswith(vector["error"])


def test_anchor_itself_lets_some_of_it_pass() -> None:
    """Why a number below an i64 and an argument that is none are among the refused: Anchor writes other bytes for them."""
    passed = {vector["error"] for vector in GOLDEN["refused"] if vector["anchor"] != "throws"}
    assert passed == {"args.d: ", "args: unknown argument g"}
