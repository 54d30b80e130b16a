"""Forms of a stored transaction: base64, base58, `json`, and `jsonParsed` with what needs no knowledge of programs."""

from __future__ import annotations

import base64
from typing import Any

from solders.message import MessageV0
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID

from .lookups import LoadedAddresses
from .wire import b58encode, invalid


def transaction_json(raw: bytes, encoding: str, loaded: LoadedAddresses) -> Any:
    """Return a stored transaction as `base64`, `base58`, `json` or `jsonParsed`. Raises `RpcError` (-32602) for another.

    `jsonParsed` names the accounts; of the programs it parses Memo alone and gives the others' instructions in the partly
    decoded form that a node has for programs it does not know.
    """
    if encoding == "base64":
        return [base64.b64encode(raw).decode(), "base64"]
    if encoding == "base58":
        return [b58encode(raw), "base58"]
    if encoding not in ("json", "jsonParsed"):
        raise invalid(f"unsupported transaction encoding: {encoding}. Supported encodings: base64, base58, json, jsonParsed")
    transaction = VersionedTransaction.from_bytes(raw)
    form = (_json if encoding == "json" else _parsed)(transaction.message, loaded)
    if isinstance(transaction.message, MessageV0):
        form["addressTableLookups"] = [
            {
                "accountKey": str(lookup.account_key),
                "writableIndexes": list(lookup.writable_indexes),
                "readonlyIndexes": list(lookup.readonly_indexes),
            }
            for lookup in transaction.message.address_table_lookups
        ]
    return {"signatures": [str(signature) for signature in transaction.signatures], "message": form}


def _json(message: Any, _loaded: LoadedAddresses) -> dict[str, Any]:
    return {
        "header": {
            "numRequiredSignatures": message.header.num_required_signatures,
            "numReadonlySignedAccounts": message.header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": message.header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            {
                "programIdIndex": each.program_id_index,
                "accounts": list(each.accounts),
                "data": b58encode(bytes(each.data)),
                "stackHeight": 1,
            }
            for each in message.instructions
        ],
    }


def _parsed(message: Any, loaded: LoadedAddresses) -> dict[str, Any]:
    own = [
        {
            "pubkey": str(key),
            "signer": message.is_signer(index),
            "writable": _writable(message, index),
            "source": "transaction",
        }
        for index, key in enumerate(message.account_keys)
    ]
    from_tables = [
        {"pubkey": str(key), "signer": False, "writable": index < len(loaded.writable), "source": "lookupTable"}
        for index, key in enumerate(loaded.all)
    ]
    keys = [*message.account_keys, *loaded.all]
    return {
        "accountKeys": own + from_tables,
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [_parsed_instruction(each, keys) for each in message.instructions],
    }


def _writable(message: Any, index: int) -> bool:
    header, count = message.header, len(message.account_keys)
    if any(index == each.program_id_index for each in message.instructions):
        return False  # called programs lose the lock
    if index < header.num_required_signatures:
        return index < header.num_required_signatures - header.num_readonly_signed_accounts
    return index < count - header.num_readonly_unsigned_accounts


def _parsed_instruction(instruction: Any, keys: list[Any]) -> dict[str, Any]:
    program, data = keys[instruction.program_id_index], bytes(instruction.data)
    form: dict[str, Any] = {"programId": str(program), "stackHeight": 1}
    if program == MEMO_PROGRAM_ID:
        try:
            return form | {"program": "spl-memo", "parsed": data.decode()}
        except UnicodeDecodeError:
            pass  # such a memo fails on chain and stays undecoded
    return form | {"accounts": [str(keys[index]) for index in instruction.accounts], "data": b58encode(data)}
