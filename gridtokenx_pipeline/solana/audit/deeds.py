"""What the programs remember of what they did once: the digests of `programs/include/once.h` and of the instructions.

An entry has the window, the first 16 bytes of the digest of the id, and the first 8 of that of the content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

from solders.pubkey import Pubkey

from gridtokenx_pipeline.domain.settlement import EXECUTE_TRADE, MINT_GRID, MINT_REC, RETIRE_REC, SETTLE_POSITION

from ..idl import Coder, parse_idl
from ..programs.addresses import identifier
from ..programs.images import idl
from .known import Known, named_window

Standing = Literal["there", "other", "absent", "forgotten"]
_DISCRIMINATOR = 8
# What of an instruction's data is its id: a window with the discriminator, or 32 bytes with it (energy_token.c, `enter_once`).
_WINDOW_ID, _NAMED_ID = 8, 32


class Deed(NamedTuple):
    """What an entry has of one deed."""

    window: int
    id: bytes
    content: bytes


class Asked(NamedTuple):
    """The deed that an action asks for: the program's instruction, and the event that it says when it does it."""

    deed: Deed
    program: str
    data: bytes
    event: str
    fields: Mapping[str, Any]


def asked(known: Known, wallets: Mapping[str, Pubkey]) -> Asked:
    """Return what an action of the kinds that happen once asks for. `wallets` are the owners' by meter id.

    Raises `KeyError` for a meter without a wallet and for another kind.
    """
    return _ASKED[known.action.kind](known, wallets)


class Memory:
    """The entries of one account: a TradeBook, Position or TokenLedger by its IDL's fields."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._floor = fields["floor"]
        made = fields["entries"][: fields["entered"]]
        self._entries = {bytes(one["id"]): (one["window"], bytes(one["content"])) for one in made}

    def standing(self, deed: Deed) -> Standing:
        """Say whether `deed` is there, another has its id, it never happened, or it is older than what is remembered."""
        found = self._entries.get(deed.id)
        if found is not None:
            return "there" if found == (deed.window, deed.content) else "other"
        # What is below the floor would be refused now; it may have been done before its entry left.
        return "forgotten" if deed.window < self._floor else "absent"


def _grid(known: Known, _wallets: Mapping[str, Pubkey]) -> Asked:
    values = known.action.values
    # Netted, it is minted in the last interval in which the meter sold: the one whose reading bounds it.
    window = named_window(values["last_window"], known.duration_s) if "last_window" in values else known.window
    arguments = {"window": window, "energy_wh": values["energy_wh"]}
    return _ledgered("mint_grid", arguments, window, _WINDOW_ID, "GridMinted", values["meter_id"])


def _rec(known: Known, _wallets: Mapping[str, Pubkey]) -> Asked:
    values = known.action.values
    first, last = (named_window(values[name], known.duration_s) for name in ("first_window", "last_window"))
    arguments = {
        "bundle_id": identifier("bundle", values["bundle_id"]),
        "first_window": first,
        "last_window": last,
        "energy_wh": values["energy_wh"],
    }
    return _ledgered("mint_rec", arguments, last, _NAMED_ID, "RecMinted", values["meter_id"])


def _retirement(known: Known, _wallets: Mapping[str, Pubkey]) -> Asked:
    values = known.action.values
    window = named_window(values["window"], known.duration_s)
    arguments = {
        "retirement_id": identifier("retirement", values["retirement_id"]),
        "window": window,
        "energy_wh": values["energy_wh"],
    }
    return _ledgered("retire_for", arguments, window, _NAMED_ID, "RecRetiredFor", values["meter_id"])


def _trade(known: Known, wallets: Mapping[str, Pubkey]) -> Asked:
    values = known.action.values
    seller, buyer = wallets[values["seller_meter_id"]], wallets[values["buyer_meter_id"]]
    arguments = {
        "trade_id": identifier("trade", values["trade_id"]),
        "window": known.window,
        "energy_wh": values["energy_wh"],
        "price_micro_per_kwh": values["price_micro_per_kwh"],
    }
    data = _coder("trading").encode_instruction("execute_trade", arguments)
    content = data[_DISCRIMINATOR:]
    deed = Deed(known.window, _digest(content[:_NAMED_ID], 16), _digest(content + bytes(buyer), 8))
    said = arguments | {"seller": seller, "buyer": buyer, "amount_micro": values["amount_micro"]}
    return Asked(deed, "trading", data, "TradeExecuted", said)


def _position(known: Known, wallets: Mapping[str, Pubkey]) -> Asked:
    values = known.action.values
    first, last = (named_window(values[name], known.duration_s) for name in ("first_window", "last_window"))
    arguments = {
        "first_window": first,
        "last_window": last,
        "number": values["number"],
        "energy_wh": values["energy_wh"],
        "amount_micro": values["amount_micro"],
    }
    data = _coder("trading").encode_instruction("settle_position", arguments)
    content = data[_DISCRIMINATOR:]
    # The id is the last window (8 bytes, after the first) and the number (4 bytes).
    deed = Deed(last, _digest(content[8:20], 16), _digest(content, 8))
    return Asked(deed, "trading", data, "PositionSettled", arguments | {"wallet": wallets[values["meter_id"]]})


_ASKED = {
    EXECUTE_TRADE: _trade,
    MINT_GRID: _grid,
    MINT_REC: _rec,
    RETIRE_REC: _retirement,
    SETTLE_POSITION: _position,
}


def _ledgered(name: str, arguments: dict[str, Any], window: int, id_bytes: int, event: str, meter_id: str) -> Asked:
    data = _coder("energy_token").encode_instruction(name, arguments)
    deed = Deed(window, _digest(data[: _DISCRIMINATOR + id_bytes], 16), _digest(data, 8))
    return Asked(deed, "energy_token", data, event, arguments | {"meter_id": identifier("meter", meter_id)})


def _digest(data: bytes, length: int) -> bytes:
    return hashlib.sha256(data).digest()[:length]


@cache
def _coder(program: str) -> Coder:
    # Data of instructions is the same on every cluster, whatever ids it has the programs at.
    return Coder(parse_idl(idl(program)))
