"""What the programs' accounts hold and their events say, by the IDLs."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey

from ..idl import Coder, DecodeError, parse_idl
from .addresses import PAGE_WINDOWS
from .images import PROGRAMS, Ids, idl, program_id

REMEMBERED_WINDOWS = 2048
_INVOKE = re.compile(r"Program (\w{32,44}) invoke \[(\d+)\]")
_END = re.compile(r"Program \w{32,44} (?:success|failed: .*)")
_DATA = "Program data: "


@dataclass(frozen=True)
class Content:
    """An account of `program`: `name` and `fields` as its IDL has them, keys as `Pubkey`, byte arrays as `bytes`."""

    program: str
    name: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Event:
    """An event of `program`, logged by the transaction's top-level instruction `instruction` or by a call it made."""

    instruction: int
    program: str
    name: str
    fields: Mapping[str, Any]


class Contents:
    """Reads accounts and events of the programs at their local ids, or at `ids`."""

    def __init__(self, ids: Ids | None = None) -> None:
        """Raises `OSError` and `IdlError` where the IDLs cannot be read."""
        self._programs = {program_id(name, ids): name for name in PROGRAMS}
        self._coders = {name: Coder(parse_idl(idl(name, ids))) for name in PROGRAMS}

    def account(self, owner: Pubkey, data: bytes) -> Content:
        """Return the content of an account that `owner` owns; raise `DecodeError` where it is none of the programs'."""
        program = self._programs.get(owner)
        if program is None:
            raise DecodeError(f"the account's owner {owner} is none of the programs")
        coder = self._coders[program]
        name = coder.account_name(data)
        if name is None:
            raise DecodeError(f"no account of {program} starts with {data[:8].hex() or 'no bytes'}")
        return Content(program, name, coder.decode_account(name, data))

    def events(self, logs: Iterable[str]) -> list[Event]:
        """Return the programs' events in a transaction's logs, in their order.

        Lines belong to the program that ran when they were written: data that another program logs is no event of ours.
        Logs that the node has cut short end where they were cut. Raises `DecodeError` for data that the IDL does not know.
        """
        running: list[str] = []
        instruction, found = -1, []
        for line in logs:
            if match := _INVOKE.fullmatch(line):
                depth = int(match[2])
                del running[depth - 1 :]
                running.append(match[1])
                instruction += depth == 1
            elif _END.fullmatch(line):
                del running[-1:]
            elif line.startswith(_DATA) and running:
                program = self._programs.get(Pubkey.from_string(running[-1]))
                if program is not None:
                    name, fields = self._coders[program].decode_event(_bytes(line.removeprefix(_DATA)))
                    found.append(Event(instruction, program, name, fields))
        return found


def window_counted(state: Mapping[str, Any], window: int) -> bool | None:
    """Return whether `window` counted by the fields of a `MeterState`; `None` where it is too old for the chain to remember."""
    newest = state["newest_window"]
    if window > newest:
        return False
    if newest - window >= REMEMBERED_WINDOWS:
        return None
    place = window % REMEMBERED_WINDOWS
    return bool(state["accepted"][place // 8] >> place % 8 & 1)


def recorded_batch(page: Mapping[str, Any], window: int) -> Mapping[str, Any] | None:
    """Return version, leaves and root recorded for `window` by the fields of its `BatchPage`, or `None`.

    Raises `ValueError` where the window lies on another page.
    """
    if window // PAGE_WINDOWS != page["number"]:
        raise ValueError(f"window {window} lies on page {window // PAGE_WINDOWS}, not {page['number']}")
    batch: Mapping[str, Any] = page["batches"][window % PAGE_WINDOWS]
    return batch if batch["version"] else None


def _bytes(text: str) -> bytes:
    try:
        return b"".join(base64.b64decode(part, validate=True) for part in text.split())
    except binascii.Error as error:
        raise DecodeError(f"not base64: {error}") from None
