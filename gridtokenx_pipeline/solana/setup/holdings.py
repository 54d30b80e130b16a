"""Token accounts of the meters' owners: made, approved, and on local clusters filled with money to pay with."""

from __future__ import annotations

from collections.abc import Mapping

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from spl.token.constants import TOKEN_2022_PROGRAM_ID
from spl.token.instructions import approve_checked, create_idempotent_associated_token_account, mint_to_checked
from spl.token.models import ApproveCheckedParams, MintToCheckedParams

from ..actions import Refusal
from ..client import RpcPool
from ..programs.addresses import issuer_address, market_address, mint_address, token_address, vault_address
from ..programs.images import Ids
from ..wallets import Wallets
from .chain import TOKEN_ACCOUNT_BYTES, TokenAccount, read_accounts, token_account
from .cluster import Cluster
from .landing import Unit
from .needs import Asset, Holding, Needs

NOT_APPROVED = 4
"""Token-2022's code for somebody who moves tokens without an approval."""
FLOAT_MICRO = 1_000_000_000
"""What local wallets get beyond what they have to pay, so that it lasts for many intervals."""
_EVERYTHING = (1 << 64) - 1
_NAMES: dict[Asset, tuple[str, str]] = {"grid": ("GRID", "Wh"), "currency": ("currency", "micro"), "rec": ("REC", "Wh")}
_DECIMALS: dict[Asset, int] = {"grid": 3, "currency": 6, "rec": 6}


class Holdings:
    """The token accounts of wallets on one cluster."""

    def __init__(
        self, cluster: Cluster, wallets: Wallets, payer: Pubkey, currency_authority: Keypair | None, ids: Ids | None
    ) -> None:
        """`payer` pays rent. `currency_authority` mints the currency that is missing; without it nobody does."""
        self._wallets, self._payer, self._ids = wallets, payer, ids
        self._mints: dict[Asset, Pubkey] = {
            "grid": mint_address("grid", ids),
            "currency": cluster.currency,
            "rec": mint_address("rec", ids),
        }
        self._delegates: dict[Asset, Pubkey] = {
            "grid": market_address(ids),
            "currency": market_address(ids),
            "rec": issuer_address(ids),
        }
        self._vault = vault_address(cluster.currency, ids)
        may_mint = currency_authority is not None and currency_authority.pubkey() == cluster.currency_authority
        self._bank = currency_authority if may_mint else None

    async def read(self, rpc: RpcPool, needs: Needs) -> dict[Pubkey, TokenAccount | None]:
        """Return the content of the accounts that `needs` names, by address; `None` where there is no account."""
        addresses = {self.address(holding) for holding in needs.holdings}
        if needs.payout_micro and self._bank:
            addresses.add(self._vault)
        found = await read_accounts(rpc, sorted(addresses, key=bytes))
        return {address: token_account(found.get(address)) for address in addresses}

    def address(self, holding: Holding) -> Pubkey:
        """Return the address of a token account."""
        meter, asset = holding
        return token_address(self._wallets.address(meter), self._mints[asset])

    def units(self, needs: Needs, held: Mapping[Pubkey, TokenAccount | None]) -> list[Unit]:
        """Return what makes the accounts that are missing, with the approvals of wallets in custody, and fills them."""
        units, seen = [], set()
        for holding in sorted(needs.holdings):
            address = self.address(holding)
            # Two meters may have one owner.
            if address in seen:
                continue
            seen.add(address)
            units.append(self._unit(holding, address, held[address], needs))
        if needs.payout_micro and self._bank:
            account = held[self._vault]
            if account is not None and account.amount < needs.payout_micro:
                unit = Unit()
                self._fill(unit, self._vault, needs.payout_micro - account.amount)
                units.append(unit)
        return [unit for unit in units if unit.instructions]

    def _unit(self, holding: Holding, address: Pubkey, account: TokenAccount | None, needs: Needs) -> Unit:
        (meter, asset), unit = holding, Unit()
        owner, key = self._wallets.address(meter), self._wallets.key(meter)
        needed = sum(spending.amount for spending in needs.spendings.get(holding, ()))
        if account is None:
            create = create_idempotent_associated_token_account(self._payer, owner, self._mints[asset], TOKEN_2022_PROGRAM_ID)
            unit.add(create, payer_makes=TOKEN_ACCOUNT_BYTES)
        # Approved with the account, whether it is needed now or not: it will be, and costs a transaction then.
        if key is not None and (account is None or self._approved(asset, account) < max(1, needed)):
            unit.add(self._approval(asset, address, owner), key)
        amount = account.amount if account else 0
        if asset == "currency" and self._bank and amount < needed:
            self._fill(unit, address, needed - amount)
        return unit

    def _approved(self, asset: Asset, account: TokenAccount) -> int:
        return account.delegated if account.delegate == self._delegates[asset] else 0

    def _approval(self, asset: Asset, address: Pubkey, owner: Pubkey) -> Instruction:
        parameters = ApproveCheckedParams(
            program_id=TOKEN_2022_PROGRAM_ID,
            source=address,
            mint=self._mints[asset],
            delegate=self._delegates[asset],
            owner=owner,
            amount=_EVERYTHING,
            decimals=_DECIMALS[asset],
        )
        return approve_checked(parameters)

    def _fill(self, unit: Unit, address: Pubkey, shortage: int) -> None:
        assert self._bank is not None
        parameters = MintToCheckedParams(
            program_id=TOKEN_2022_PROGRAM_ID,
            mint=self._mints["currency"],
            dest=address,
            mint_authority=self._bank.pubkey(),
            amount=shortage + FLOAT_MICRO,
            decimals=_DECIMALS["currency"],
        )
        unit.add(mint_to_checked(parameters), self._bank)

    def refusals(self, needs: Needs, held: Mapping[Pubkey, TokenAccount | None]) -> dict[str, Refusal]:
        """Return what owners of their own wallets have not approved, by action id, in the order of sending."""
        refused: dict[str, Refusal] = {}
        for holding, spendings in needs.spendings.items():
            meter, asset = holding
            if self._wallets.key(meter) is not None:
                continue
            address = self.address(holding)
            account = held[address]
            left = self._approved(asset, account) if account else 0
            for spending in spendings:
                if spending.amount > left:
                    refused[spending.action_id] = self._not_approved(holding, address, spending.amount)
                else:
                    left -= spending.amount
        return refused

    def _not_approved(self, holding: Holding, address: Pubkey, amount: int) -> Refusal:
        meter, asset = holding
        name, unit = _NAMES[asset]
        return Refusal(
            NOT_APPROVED,
            f"the owner of {meter}, wallet {self._wallets.address(meter)}, has to approve {self._delegates[asset]} "
            f"as the delegate of the {name} account {address} for at least {amount} {unit}",
        )
