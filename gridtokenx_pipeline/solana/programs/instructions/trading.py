"""Instructions of trading: energy against payment, both or neither."""

from __future__ import annotations

from solders.instruction import Instruction
from solders.pubkey import Pubkey
from spl.token.constants import TOKEN_2022_PROGRAM_ID

from ..addresses import (
    book_address,
    config_address,
    market_address,
    mint_address,
    position_address,
    token_address,
    vault_address,
)
from .bound import SYSTEM_PROGRAM, Bound, distinct


class Trading(Bound):
    """Who sold what to whom."""

    program = "trading"

    def open_market(self, authority: Pubkey, *, currency_mint: Pubkey) -> Instruction:
        """Open the market, once: GRID is paid in `currency_mint`. Governance's authority signs and pays rent."""
        accounts = {
            "authority": authority,
            "config": config_address(self.ids),
            "market": market_address(self.ids),
            "grid_mint": mint_address("grid", self.ids),
            "currency_mint": currency_mint,
            "system_program": SYSTEM_PROGRAM,
        }
        return self._instruction("open_market", {}, accounts)

    def open_book(self, submitter: Pubkey, *, seller: Pubkey) -> Instruction:
        """Make the trade book of the wallet `seller`; a no-op where it exists. `submitter` signs and pays rent."""
        accounts = {
            "submitter": submitter,
            "config": config_address(self.ids),
            "seller": seller,
            "book": book_address(seller, self.ids),
            "system_program": SYSTEM_PROGRAM,
        }
        return self._instruction("open_book", {}, accounts)

    def execute_trade(
        self,
        submitter: Pubkey,
        *,
        seller: Pubkey,
        buyer: Pubkey,
        currency_mint: Pubkey,
        trade_id: bytes,
        window: int,
        energy_wh: int,
        price_micro_per_kwh: int,
    ) -> Instruction:
        """Move `energy_wh` of GRID to `buyer` and its price to `seller`; the same trade again is a no-op.

        Both wallets' associated Token-2022 accounts are meant, and both have approved the market as their delegate.
        """
        distinct([seller, buyer], ["seller", "buyer"])
        grid = mint_address("grid", self.ids)
        accounts = {
            "submitter": submitter,
            "config": config_address(self.ids),
            "market": market_address(self.ids),
            "book": book_address(seller, self.ids),
            "seller_energy": token_address(seller, grid),
            "buyer_energy": token_address(buyer, grid),
            "seller_currency": token_address(seller, currency_mint),
            "buyer_currency": token_address(buyer, currency_mint),
            "grid_mint": grid,
            "currency_mint": currency_mint,
            "token_program": TOKEN_2022_PROGRAM_ID,
        }
        arguments = {
            "trade_id": trade_id,
            "window": window,
            "energy_wh": energy_wh,
            "price_micro_per_kwh": price_micro_per_kwh,
        }
        return self._instruction("execute_trade", arguments, accounts)

    def open_position(self, submitter: Pubkey, *, wallet: Pubkey) -> Instruction:
        """Make the position of `wallet`, which remembers its settlements; a no-op where it exists.

        `submitter` signs and pays rent.
        """
        accounts = {
            "submitter": submitter,
            "config": config_address(self.ids),
            "wallet": wallet,
            "position": position_address(wallet, self.ids),
            "system_program": SYSTEM_PROGRAM,
        }
        return self._instruction("open_position", {}, accounts)

    def settle_position(
        self,
        submitter: Pubkey,
        *,
        wallet: Pubkey,
        currency_mint: Pubkey,
        first_window: int,
        last_window: int,
        number: int,
        energy_wh: int,
        amount_micro: int,
    ) -> Instruction:
        """Settle what the trades of `wallet` in a period come to; the same again is a no-op.

        Positive amounts go from the market's vaults to the wallet, negative ones back. `number`, from 1, tells settlements of
        one last window apart. Associated Token-2022 accounts are meant, and the wallet has approved the market as the delegate
        of those it gives from.
        """
        distinct([market_address(self.ids), wallet], ["market", "wallet"])
        grid = mint_address("grid", self.ids)
        accounts = {
            "submitter": submitter,
            "config": config_address(self.ids),
            "market": market_address(self.ids),
            "position": position_address(wallet, self.ids),
            "party_energy": token_address(wallet, grid),
            "party_currency": token_address(wallet, currency_mint),
            "vault_energy": vault_address(grid, self.ids),
            "vault_currency": vault_address(currency_mint, self.ids),
            "grid_mint": grid,
            "currency_mint": currency_mint,
            "token_program": TOKEN_2022_PROGRAM_ID,
        }
        arguments = {
            "first_window": first_window,
            "last_window": last_window,
            "number": number,
            "energy_wh": energy_wh,
            "amount_micro": amount_micro,
        }
        return self._instruction("settle_position", arguments, accounts)
