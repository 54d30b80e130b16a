"""A world with mints, a market, two wallets with real token accounts, and a meter whose generation was accepted."""

from __future__ import annotations

import struct
from typing import Any

from model_tokens import Mint
from solders.account import Account
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from spl.token.instructions import (
    approve_checked,
    create_idempotent_associated_token_account,
    get_associated_token_address,
    mint_to,
    transfer_checked,
)
from spl.token.models import ApproveCheckedParams, MintToParams, TransferCheckedParams
from svm_world import NOW_WINDOW, SYSTEM, TOKEN, World, instruction, key

from gridtokenx_pipeline.solana.programs.addresses import (
    book_address,
    config_address,
    issuer_address,
    ledger_address,
    market_address,
    meter_address,
    mint_address,
    position_address,
    state_address,
    vault_address,
)

METER, OTHER_METER = b"m" * 32, b"n" * 32
LAST = NOW_WINDOW - 1
CURRENCY = key("currency").pubkey()
GRID, REC = mint_address("grid"), mint_address("rec")


class Bazaar(World):
    """`seller` owns METER, whose newest accepted window is LAST, with 4,000 Wh in all."""

    def __init__(self) -> None:
        super().__init__()
        self.seller, self.buyer, self.bank = key("seller"), key("buyer"), key("bank")
        for each in (self.seller, self.buyer, self.bank):
            self.fund(each.pubkey())
        self.initialize()
        self.done(self.register_ix(METER, owner=self.seller.pubkey()), self.sync_ix(METER), self.register_ix(OTHER_METER))
        self.done(self.sync_ix(OTHER_METER), self.reading_ix(4000))
        self.svm.set_account(CURRENCY, Account(10**9, Mint(bytes(self.bank.pubkey()), 0, 6).encode(), TOKEN))

    def done(self, *instructions: Instruction) -> Any:
        outcome = self.send(*instructions)
        assert outcome.error is None, outcome.logs
        return outcome

    def open(self) -> Bazaar:
        """Initialize tokens and market, give the buyer 1,000,000 micro, and let both approve the market."""
        self.done(self.tokens_ix())
        self.done(self.market_ix())
        self.done(self.ledger_ix(METER), self.book_ix(self.seller.pubkey()))
        for wallet in (self.seller, self.buyer):
            for mint in (GRID, REC, CURRENCY):
                self.done(create_idempotent_associated_token_account(self.payer.pubkey(), wallet.pubkey(), mint, TOKEN))
        rich = self.ata(self.buyer, CURRENCY)
        self.done(
            mint_to(MintToParams(program_id=TOKEN, mint=CURRENCY, dest=rich, mint_authority=self.bank.pubkey(), amount=1_000_000))
        )
        self.approve(self.seller, GRID, 3, 10**9)
        self.approve(self.seller, REC, 6, 10**9, issuer_address())
        self.approve(self.buyer, CURRENCY, 6, 10**9)
        return self

    def fund_vaults(self, energy_wh: int, amount_micro: int) -> None:
        """Open the seller's position and the vaults, and put what the seller and the bank have into them."""
        self.done(self.position_ix(self.seller.pubkey()))
        for mint, amount, wallet in ((GRID, energy_wh, self.seller), (CURRENCY, amount_micro, self.bank)):
            self.done(create_idempotent_associated_token_account(self.payer.pubkey(), market_address(), mint, TOKEN))
            vault = vault_address(mint)
            if mint == CURRENCY:
                params = MintToParams(program_id=TOKEN, mint=mint, dest=vault, mint_authority=wallet.pubkey(), amount=amount)
                self.done(mint_to(params))
            else:
                self.move(wallet, mint, vault, amount)

    def move(self, wallet: Keypair, mint: Pubkey, target: Pubkey, amount: int) -> None:
        source, owner = self.ata(wallet, mint), wallet.pubkey()
        params = TransferCheckedParams(
            program_id=TOKEN, source=source, mint=mint, dest=target, owner=owner, amount=amount, decimals=3
        )
        self.done(transfer_checked(params))

    def ata(self, wallet: Keypair, mint: Pubkey) -> Pubkey:
        return get_associated_token_address(wallet.pubkey(), mint, TOKEN)

    def approve(self, wallet: Keypair, mint: Pubkey, decimals: int, amount: int, delegate: Pubkey | None = None) -> None:
        params = ApproveCheckedParams(
            program_id=TOKEN,
            source=self.ata(wallet, mint),
            mint=mint,
            delegate=delegate or market_address(),
            owner=wallet.pubkey(),
            amount=amount,
            decimals=decimals,
        )
        self.done(approve_checked(params))

    def balance(self, wallet: Keypair, mint: Pubkey) -> int:
        return self.held_at(self.ata(wallet, mint))

    def held_at(self, account: Pubkey) -> int:
        return struct.unpack_from("<Q", self.data(account), 64)[0]

    def supply(self, mint: Pubkey) -> int:
        return struct.unpack_from("<Q", self.data(mint), 36)[0]

    def reading_ix(self, produced_wh: int, window: int = LAST) -> Instruction:
        keys = [self.submitter.pubkey(), config_address(), state_address(METER)]
        args = {"window": window, "produced_wh": produced_wh, "consumed_wh": 0}
        return instruction("oracle", "submit_energy_reading", keys, **args)

    def tokens_ix(self) -> Instruction:
        keys = [self.authority.pubkey(), config_address(), issuer_address(), GRID, REC, TOKEN, SYSTEM]
        return instruction("energy_token", "initialize", keys)

    def market_ix(self) -> Instruction:
        keys = [self.authority.pubkey(), config_address(), market_address(), GRID, CURRENCY, SYSTEM]
        return instruction("trading", "open_market", keys)

    def ledger_ix(self, meter_id: bytes) -> Instruction:
        keys = [self.stranger.pubkey(), meter_address(meter_id), ledger_address(meter_id), SYSTEM]
        return instruction("energy_token", "open_ledger", keys)

    def book_ix(self, seller: Pubkey) -> Instruction:
        return instruction(
            "trading", "open_book", [self.submitter.pubkey(), config_address(), seller, book_address(seller), SYSTEM]
        )

    def _mint_keys(self, signer: Keypair, mint: Pubkey) -> list[Pubkey]:
        keys = [signer.pubkey(), config_address(), issuer_address(), meter_address(METER), state_address(METER)]
        return [*keys, ledger_address(METER), mint, self.ata(self.seller, mint), TOKEN]

    def grid_ix(self, energy_wh: int = 1500, window: int = LAST) -> Instruction:
        keys = self._mint_keys(self.submitter, GRID)
        return instruction("energy_token", "mint_grid", keys, window=window, energy_wh=energy_wh)

    def rec_ix(self, energy_wh: int = 1500, bundle: bytes = b"b" * 32, first: int = LAST - 11, last: int = LAST) -> Instruction:
        args = {"bundle_id": bundle, "first_window": first, "last_window": last, "energy_wh": energy_wh}
        return instruction("energy_token", "mint_rec", self._mint_keys(self.certifier, REC), **args)

    def retire_ix(self, energy_wh: int = 100) -> Instruction:
        keys = [self.seller.pubkey(), issuer_address(), REC, self.ata(self.seller, REC), TOKEN]
        return instruction("energy_token", "retire", keys, energy_wh=energy_wh, purpose=b"p" * 32)

    def retire_for_ix(self, energy_wh: int = 100, id_: bytes = b"r" * 32, window: int = LAST) -> Instruction:
        keys = [self.certifier.pubkey(), config_address(), issuer_address(), meter_address(METER), ledger_address(METER)]
        keys += [REC, self.ata(self.seller, REC), TOKEN]
        return instruction("energy_token", "retire_for", keys, retirement_id=id_, window=window, energy_wh=energy_wh)

    def trade_ix(self, trade: bytes = b"t" * 32, energy_wh: int = 750, price: int = 120_001, window: int = LAST) -> Instruction:
        keys = [self.submitter.pubkey(), config_address(), market_address(), book_address(self.seller.pubkey())]
        keys += [self.ata(self.seller, GRID), self.ata(self.buyer, GRID)]
        keys += [self.ata(self.seller, CURRENCY), self.ata(self.buyer, CURRENCY), GRID, CURRENCY, TOKEN]
        args = {"trade_id": trade, "window": window, "energy_wh": energy_wh, "price_micro_per_kwh": price}
        return instruction("trading", "execute_trade", keys, **args)

    def position_ix(self, wallet: Pubkey) -> Instruction:
        keys = [self.submitter.pubkey(), config_address(), wallet, position_address(wallet), SYSTEM]
        return instruction("trading", "open_position", keys)

    def settle_ix(
        self, energy_wh: int = -500, amount_micro: int = 60_000, number: int = 1, first: int = LAST - 11, last: int = LAST
    ) -> Instruction:
        """The seller's settlement."""
        keys = [self.submitter.pubkey(), config_address(), market_address(), position_address(self.seller.pubkey())]
        keys += [self.ata(self.seller, GRID), self.ata(self.seller, CURRENCY), vault_address(GRID), vault_address(CURRENCY)]
        args = {"first_window": first, "last_window": last, "number": number, "energy_wh": energy_wh}
        return instruction("trading", "settle_position", [*keys, GRID, CURRENCY, TOKEN], **args, amount_micro=amount_micro)
