"""What a new node has from slot 0: the project's programs, which one key, the operator's, may upgrade.

Governance takes its upgrade authority alone for its initialization, so nobody can come before the operator.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from solders.account import Account
from solders.pubkey import Pubkey

from gridtokenx_pipeline.solana import keys
from gridtokenx_pipeline.solana.programs.images import PROGRAMS, image, program_id
from gridtokenx_pipeline.solana.programs.loader import LOADER, program_account, program_data_account, program_data_address

from .ledger import GenesisProgram, Ledger, LedgerError

OPERATOR_FILE = "operator.json"
_NO_RENT = 2**64 - 1  # the rent epoch of what is exempt from rent


def local_programs(operator: Pubkey) -> list[GenesisProgram]:
    """Return the project's programs at their local ids, upgradeable by `operator`. Raises `ProgramError`, `OSError`."""
    return [GenesisProgram(str(program_id(name)), image(name), str(operator)) for name in PROGRAMS]


def open_ledger(directory: Path, *, now_ms: int, slot_ms: int | None, operator: Pubkey | None) -> Ledger:
    """Open the ledger of `directory`, or found one with the project's programs.

    `operator` may initialize and upgrade them; without one a key is made at `OPERATOR_FILE`. Raises `LedgerError`, also
    where the ledger has another operator; `KeyFileError`; `ProgramError`.
    """

    def programs() -> list[GenesisProgram]:
        return local_programs(operator or keys.load_or_create(directory / OPERATOR_FILE).pubkey())

    ledger = Ledger(directory, now_ms=now_ms, slot_ms=slot_ms, programs=programs)
    if operator is not None and (known := operator_of(ledger)) != operator:
        ledger.close()
        raise LedgerError(f"{directory}: the ledger has the operator {known}, not {operator}; the operator is fixed at genesis")
    return ledger


def operator_of(ledger: Ledger) -> Pubkey | None:
    """Return the key that could upgrade the programs at genesis, or `None` where there were none."""
    return next((Pubkey.from_string(program.authority) for program in ledger.programs()), None)


def accounts_of(program: GenesisProgram, rent_exemption: Callable[[int], int]) -> list[tuple[Pubkey, Account]]:
    """Return the two accounts of a program under the upgradeable loader, the one with the image first."""
    address = Pubkey.from_string(program.program_id)
    held = program_data_account(program.image, Pubkey.from_string(program.authority))
    named = program_account(address)
    return [
        (program_data_address(address), Account(rent_exemption(len(held)), held, LOADER, False, _NO_RENT)),
        (address, Account(rent_exemption(len(named)), named, LOADER, True, _NO_RENT)),
    ]
