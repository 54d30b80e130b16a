from __future__ import annotations

from random import Random

from differential import WALLETS, put
from model_tokens import Mint, Ring, Token
from model_trading import Market, Position, TradeBook
from play_registry import Registry
from solders.instruction import Instruction
from solders.pubkey import Pubkey
from svm_world import NOW, SYSTEM, TOKEN, WINDOW_S, instruction, key

from gridtokenx_pipeline.solana.programs.addresses import book_address, config_address, market_address, position_address
from gridtokenx_pipeline.solana.programs.images import program_id

GRID, CURRENCY = key("grid").pubkey(), key("currency").pubkey()
BUMP = Pubkey.find_program_address([b"market"], program_id("trading"))[1]
TRADERS = WALLETS[2:]
# The market is tried as a party too, with accounts beside its vaults.
PARTIES = [*TRADERS, market_address()]
ENERGY = {wallet: key(f"energy {wallet}").pubkey() for wallet in PARTIES}
MONEY = {wallet: key(f"money {wallet}").pubkey() for wallet in PARTIES}
VAULTS = {mint: key(f"vault {mint}").pubkey() for mint in (GRID, CURRENCY)}


class Trading(Registry):
    """Three traders and vaults whose balances, and approvals, are sometimes short; books and positions that are new, full
    or run over."""

    def restart(self) -> None:
        super().restart()
        self.now = NOW
        self.put(GRID, Mint(bytes(WALLETS[0]), 10**9, 3))
        self.put(CURRENCY, Mint(bytes(WALLETS[0]), 10**9, 6))
        for wallet in PARTIES:
            self.fill(wallet)
        self.fill_vaults()
        self.trades: list[dict] = []
        self.settlements: list[dict] = []
        if self.rng.random() < 0.8:
            self.put(market_address(), Market(bytes(GRID), bytes(CURRENCY), BUMP))
        if self.rng.random() < 0.8:
            last, number = NOW // WINDOW_S - 1, self.rng.choice([1, 126, 128, 300])
            entries = {n % 128: (last - self.rng.randrange(3), bytes([n % 256]) * 16, b"x" * 8) for n in range(number)}
            ring = Ring(0 if number <= 128 else last - 9, number, entries)
            self.put(book_address(TRADERS[0]), TradeBook(bytes(TRADERS[0]), ring, 255))
        if self.rng.random() < 0.8:
            last, number = NOW // WINDOW_S - 1, self.rng.choice([1, 14, 16, 40])
            entries = {n % 16: (last - self.rng.randrange(3), bytes([n]) * 16, b"x" * 8) for n in range(number)}
            ring = Ring(0 if number <= 16 else last - 9, number, entries, 16)
            self.put(position_address(TRADERS[0]), Position(bytes(TRADERS[0]), ring, 255))

    def fill_vaults(self) -> None:
        for mint, address in VAULTS.items():
            amount = self.rng.choice([0, 700, *[10**14] * 6])
            self.put(address, Token(bytes(mint), bytes(market_address()), amount))

    def put(self, address, record) -> None:
        put(self.world, self.accounts, address, record)

    def fill(self, wallet) -> None:
        amounts = [0, 3, 100_000, *[10**12] * 9]
        for address, mint in ((ENERGY[wallet], GRID), (MONEY[wallet], CURRENCY)):
            delegate, delegated = self.rng.choice([(SYSTEM, 0), (WALLETS[0], 10**12), *[(market_address(), 10**12)] * 15])
            if delegated and self.rng.random() < 0.05:
                delegated = 70_000
            self.put(address, Token(bytes(mint), bytes(wallet), self.rng.choice(amounts), bytes(delegate), delegated))

    def stir(self) -> None:
        super().stir()
        if self.rng.random() < 0.1:
            self.fill(self.rng.choice(PARTIES))
        if self.rng.random() < 0.05:
            self.fill_vaults()

    def draw(self) -> Instruction:
        rng = self.rng
        if bytes(market_address()) not in self.accounts or rng.random() < 0.02:
            keys = [WALLETS[0], config_address(), market_address(), GRID, CURRENCY, SYSTEM]
            return instruction("trading", "open_market", keys)
        if rng.random() < 0.5:
            return self.draw_settlement()
        seller, buyer = rng.sample(TRADERS, 2) if rng.random() < 0.97 else rng.sample(PARTIES, 2)
        seller, buyer = (seller, buyer) if rng.random() < 0.97 else (TRADERS[0], TRADERS[0])
        if bytes(book_address(seller)) not in self.accounts or rng.random() < 0.05:
            keys = [self.submitter, config_address(), seller, book_address(seller), SYSTEM]
            return instruction("trading", "open_book", keys)
        last = self.now // WINDOW_S - 1
        if self.trades and rng.random() < 0.25:
            trade = rng.choice(self.trades[-150:])
            if rng.random() < 0.3:
                trade = trade | rng.choice([{"energy_wh": 5}, {"price": 1}, {"window": last}, {"buyer": buyer}])
        else:
            trade = {
                "trade_id": rng.randbytes(32),
                "window": rng.choice([*[last] * 9, last - 1, last - 1, last - 3, last - 12, last + 1, 0, 2**64 - 1]),
                "energy_wh": rng.choice([1, 333, 1500, 5000, 0, 2**32, 2**32 - 1]) if rng.random() < 0.3 else 750,
                "price": rng.choice([0, 1, 5, 190_000, 2**31]) if rng.random() < 0.3 else 120_000,
                "seller": seller,
                "buyer": buyer,
            }
            self.trades.append(trade)
        seller, buyer = trade["seller"], trade["buyer"]
        keys = [self.submitter, config_address(), market_address(), book_address(seller), ENERGY[seller], ENERGY[buyer]]
        keys += [MONEY[seller], MONEY[buyer], GRID, CURRENCY, TOKEN]
        args = {"trade_id": trade["trade_id"], "window": trade["window"], "energy_wh": trade["energy_wh"]}
        return instruction("trading", "execute_trade", keys, **args, price_micro_per_kwh=trade["price"])

    def draw_settlement(self) -> Instruction:
        rng = self.rng
        wallet = rng.choice(TRADERS) if rng.random() < 0.97 else market_address()
        if bytes(position_address(wallet)) not in self.accounts or rng.random() < 0.05:
            keys = [self.submitter, config_address(), wallet, position_address(wallet), SYSTEM]
            return instruction("trading", "open_position", keys)
        last = self.now // WINDOW_S - 1
        if self.settlements and rng.random() < 0.25:
            args = rng.choice(self.settlements[-40:])
            wallet = args["wallet"]
            if rng.random() < 0.4:
                args = args | rng.choice([{"energy_wh": 5}, {"amount_micro": -5}, {"first_window": 0}, {"number": 9}])
        else:
            odd = [0, 1, -1, 600, -600, 2**53 - 1, 1 - 2**53, 2**53, -(2**53), 2**63 - 1, -(2**63)]
            energy_wh, amount_micro = (rng.choice(odd) if rng.random() < 0.15 else rng.randrange(-5000, 5000) for _ in range(2))
            last = rng.choice([*[last] * 9, last - 1, last - 1, last - 3, last - 12, last + 1, 0, 2**64 - 1])
            args = {"wallet": wallet, "last_window": last, "number": rng.choice([0, *[1] * 9, 2, 3, 2**32 - 1])}
            args |= {"first_window": max(0, min(2**64 - 1, last - rng.choice([*[0] * 6, *[11] * 6, 47, -1])))}
            args |= {"energy_wh": energy_wh, "amount_micro": amount_micro}
            self.settlements.append(args)
        keys = [self.submitter, config_address(), market_address(), position_address(wallet), ENERGY[wallet], MONEY[wallet]]
        names = ("first_window", "last_window", "number", "energy_wh", "amount_micro")
        keys += [*VAULTS.values(), GRID, CURRENCY, TOKEN]
        return instruction("trading", "settle_position", keys, **{name: args[name] for name in names})


def make(rng: Random) -> Trading:
    return Trading(rng)
