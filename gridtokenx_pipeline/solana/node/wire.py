"""Wire forms of the JSON-RPC: base58, transactions in and out, accounts."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from solders.transaction import VersionedTransaction

PACKET_BYTES = 1232
_ENCODED_LIMIT = {"base58": 1683, "base64": 1644}
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_TYPE = "solana_transaction::versioned::VersionedTransaction"


class RpcError(Exception):
    """An error answer of the JSON-RPC: `code`, `message` and optional `data`."""

    def __init__(self, code: int, message: str, data: Any = None):
        super().__init__(message)
        self.body = {"code": code, "message": message} | ({} if data is None else {"data": data})


def invalid(message: str) -> RpcError:
    """Return the error for bad parameters (-32602)."""
    return RpcError(-32602, message)


def b58encode(data: bytes) -> str:
    """Return `data` in base58."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def b58decode(text: str) -> bytes:
    """Return the bytes of a base58 text. Raises `RpcError` (-32602)."""
    number = 0
    for character in text:
        if character not in _VALUES:
            raise invalid(f"invalid base58 encoding: character {character!r}")
        number = number * 58 + _VALUES[character]
    return b"\0" * (len(text) - len(text.lstrip("1"))) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def b64decode(text: str) -> bytes:
    """Return the bytes of a base64 text. Raises `RpcError` (-32602)."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"invalid base64 encoding: {error}") from error


def decode_transaction(text: Any, encoding: str) -> tuple[bytes, VersionedTransaction]:
    """Return (raw, transaction). Raises `RpcError` (-32602): bad encoding, over 1,232 bytes, malformed."""
    if not isinstance(text, str):
        raise invalid("expected an encoded transaction")
    if encoding not in _ENCODED_LIMIT:
        raise invalid(f"unsupported encoding: {encoding}. Supported encodings: base58, base64")
    limit = _ENCODED_LIMIT[encoding]
    if len(text) > limit:
        raise invalid(f"{encoding} encoded {_TYPE} too large: {len(text)} bytes (max: encoded/raw {limit}/{PACKET_BYTES})")
    raw = b64decode(text) if encoding == "base64" else b58decode(text)
    if len(raw) > PACKET_BYTES:
        raise invalid(f"decoded {_TYPE} too large: {len(raw)} bytes (max: {PACKET_BYTES} bytes)")
    try:
        transaction = VersionedTransaction.from_bytes(raw)
        transaction.sanitize()
    except Exception as error:
        raise invalid(f"failed to deserialize {_TYPE}: {error}") from error
    return raw, transaction


def account_json(account: Any, options: dict[str, Any]) -> dict[str, Any] | None:
    """Return an account in base64 form, `jsonParsed` falling back to it as on a real node, or `None`. Raises `RpcError`."""
    if account is None:
        return None
    encoding = options.get("encoding", "base64")
    if encoding not in ("base58", "base64", "jsonParsed"):
        raise invalid(f"unsupported account encoding: {encoding}")
    data = bytes(account.data)
    cut = options.get("dataSlice")
    part = data[cut["offset"] : cut["offset"] + cut["length"]] if cut else data
    form = [b58encode(part), "base58"] if encoding == "base58" else [base64.b64encode(part).decode(), "base64"]
    return {
        "lamports": account.lamports,
        "owner": str(account.owner),
        "executable": account.executable,
        "rentEpoch": account.rent_epoch,
        "space": len(data),
        "data": form,
    }


def inner_instructions_json(groups: list[list[Any]]) -> list[dict[str, Any]]:
    """Return the inner instructions of every top-level instruction that made some."""
    return [
        {
            "index": index,
            "instructions": [
                {
                    "programIdIndex": inner.instruction().program_id_index,
                    "accounts": list(inner.instruction().accounts),
                    "data": b58encode(bytes(inner.instruction().data)),
                    "stackHeight": inner.stack_height(),
                }
                for inner in group
            ],
        }
        for index, group in enumerate(groups)
        if group
    ]
