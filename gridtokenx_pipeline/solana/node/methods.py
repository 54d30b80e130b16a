"""The methods of the JSON-RPC over a bank: those of a Solana node that solana-py, wallets and explorers ask for.

Source of names, shapes and codes: the Solana RPC reference and Agave's `rpc-custom-error.rs`.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from solders.hash import Hash
from solders.message import MessageV0, from_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from .bank import DEPTH, STATUS_CACHE_SLOTS, Bank
from .checks import at_most, commitment_of, confirmed_at_least, reached, verify
from .execution import Execution
from .forms import account_filter, meta_json, simulation_json
from .lookups import REFUSALS, LoadedAddresses
from .slots import BLOCKHASH_SLOTS, FINALITY_SLOTS
from .transactions import transaction_json
from .wire import RpcError, account_json, b64decode, decode_transaction, invalid

MAX_STATUSES = 256
MAX_ACCOUNTS = 100
MAX_SIGNATURES = 1000
_SLOTS_IN_EPOCH = 432_000
_Options = dict[str, Any] | None


class Methods:
    """One method per RPC name, parameters positional as on the wire. Raises `RpcError`; a `ValueError` means -32602."""

    def __init__(self, bank: Bank, *, loopback: bool):
        self._bank, self._loopback = bank, loopback

    def getHealth(self) -> str:  # noqa: N802
        """Say that the node serves."""
        return "ok"

    def getVersion(self) -> Any:  # noqa: N802
        """Return the version of the machine inside."""
        return {"solana-core": f"litesvm (solders {version('solders')})", "feature-set": 0}

    def getGenesisHash(self) -> str:  # noqa: N802
        """Return the hash that names this ledger."""
        return str(self._bank.genesis_hash)

    def getSlot(self, options: _Options = None) -> int:  # noqa: N802
        """Return the newest slot of the commitment."""
        return self._bank.slot_at(commitment_of(options))

    def getBlockHeight(self, options: _Options = None) -> int:  # noqa: N802
        """Return the newest block height of the commitment."""
        return self._bank.slot_at(commitment_of(options))

    def getEpochInfo(self, options: _Options = None) -> Any:  # noqa: N802
        """Return slot and block height of one moment."""
        slot = self._bank.slot_at(commitment_of(options))
        epoch, index = divmod(slot, _SLOTS_IN_EPOCH)
        return {
            "epoch": epoch,
            "slotIndex": index,
            "slotsInEpoch": _SLOTS_IN_EPOCH,
            "absoluteSlot": slot,
            "blockHeight": slot,
            "transactionCount": self._bank.transaction_count,
        }

    def getLatestBlockhash(self, options: _Options = None) -> Any:  # noqa: N802
        """Return the newest blockhash of the commitment and the last height it serves."""
        return self._context(self._latest_blockhash(commitment_of(options)), options)

    def isBlockhashValid(self, blockhash: str, options: _Options = None) -> Any:  # noqa: N802
        """Say whether the bank of the commitment accepts the blockhash."""
        return self._context(self._bank.valid_blockhash(Hash.from_string(blockhash), commitment_of(options)), options)

    def getBalance(self, address: str, options: _Options = None) -> Any:  # noqa: N802
        """Return lamports."""
        return self._context(self._bank.balance(Pubkey.from_string(address)), options)

    def getAccountInfo(self, address: str, options: _Options = None) -> Any:  # noqa: N802
        """Return one account."""
        return self._context(account_json(self._bank.account(Pubkey.from_string(address)), options or {}), options)

    def getMultipleAccounts(self, addresses: list[str], options: _Options = None) -> Any:  # noqa: N802
        """Return up to 100 accounts."""
        at_most(addresses, MAX_ACCOUNTS)
        found = [account_json(self._bank.account(Pubkey.from_string(address)), options or {}) for address in addresses]
        return self._context(found, options)

    def getProgramAccounts(self, program: str, options: _Options = None) -> Any:  # noqa: N802
        """Return what a program owns, filtered by `dataSize` and `memcmp`."""
        options = options or {}
        tests = [account_filter(form) for form in options.get("filters") or ()]
        found = [
            {"pubkey": str(address), "account": account_json(account, options)}
            for address, account in self._bank.program_accounts(Pubkey.from_string(program))
            if all(test(bytes(account.data)) for test in tests)
        ]
        return self._context(found, options) if options.get("withContext") else found

    def getMinimumBalanceForRentExemption(self, size: int, _options: _Options = None) -> int:  # noqa: N802
        """Return lamports for an account of `size` bytes."""
        return self._bank.rent_exemption(size)

    def getFeeForMessage(self, message: str, options: _Options = None) -> Any:  # noqa: N802
        """Return the fee of a base64 message, or null where its blockhash has expired."""
        parsed = from_bytes_versioned(b64decode(message))
        known = self._bank.valid_blockhash(parsed.recent_blockhash, commitment_of(options))
        return self._context(self._bank.fee(parsed) if known else None, options)

    def getRecentPrioritizationFees(self, _addresses: list[str] | None = None) -> Any:  # noqa: N802
        """Return zero: nobody competes for blocks here."""
        return [{"slot": self._bank.slot, "prioritizationFee": 0}]

    def requestAirdrop(self, address: str, lamports: int, _options: _Options = None) -> str:  # noqa: N802
        """Give lamports to an address, to loopback clients only."""
        if not self._loopback:
            raise RpcError(-32600, "requestAirdrop is for clients on the loopback interface")
        if not 0 < lamports < 1 << 63:
            raise invalid("lamports must be a positive 64-bit integer")
        signature = self._bank.airdrop(Pubkey.from_string(address), lamports)
        if signature is None:
            raise RpcError(-32603, "Internal error: the faucet cannot pay this airdrop")
        return signature

    def sendTransaction(self, text: str, options: _Options = None) -> str:  # noqa: N802
        """Take a transaction. Its signature comes back even where it will never land, unless preflight finds out."""
        options = options or {}
        raw, transaction = decode_transaction(text, options.get("encoding", "base58"))
        outcome = self._sanitized(transaction)
        if not options.get("skipPreflight"):
            self._preflight(transaction, outcome, commitment_of({"commitment": options.get("preflightCommitment")}))
        self._bank.submit(raw, transaction)
        return str(transaction.signatures[0])

    def simulateTransaction(self, text: str, options: _Options = None) -> Any:  # noqa: N802
        """Run a transaction without landing it."""
        options = options or {}
        _, transaction = decode_transaction(text, options.get("encoding", "base58"))
        replace = bool(options.get("replaceRecentBlockhash"))
        if options.get("sigVerify"):
            if replace:
                raise invalid("sigVerify may not be used with replaceRecentBlockhash")
            verify(transaction)
        level, outcome = commitment_of(options), self._sanitized(transaction)
        if not replace and not self._bank.valid_blockhash(transaction.message.recent_blockhash, level):
            return self._context(simulation_json("BlockhashNotFound"), options)
        outcome = outcome or self._bank.simulate(transaction)
        value = simulation_json(outcome.err, outcome)
        wanted = (options.get("accounts") or {}).get("addresses")
        if wanted is not None:
            after = {a: outcome.accounts.get(a) or self._bank.account(Pubkey.from_string(a)) for a in wanted}
            value["accounts"] = [account_json(after[a], options["accounts"]) for a in wanted]
        if options.get("innerInstructions"):
            value["innerInstructions"] = outcome.inner_instructions
        if replace:
            value["replacementBlockhash"] = self._latest_blockhash(level)
        return self._context(value, options)

    def getSignatureStatuses(self, signatures: list[str], options: _Options = None) -> Any:  # noqa: N802
        """Return the status of up to 256 signatures; those older than 300 slots only with `searchTransactionHistory`."""
        at_most(signatures, MAX_STATUSES)
        history = bool((options or {}).get("searchTransactionHistory"))
        slot = self._bank.slot
        return self._context([self._status(str(Signature.from_string(s)), slot, history) for s in signatures], None)

    def getTransaction(self, signature: str, options: _Options | str = None) -> Any:  # noqa: N802
        """Return a landed transaction (`json`, `jsonParsed`, `base64` or `base58`); null until the commitment is reached."""
        options = {"encoding": options} if isinstance(options, str) else options or {}
        level = confirmed_at_least(options)
        entry = self._bank.entry(str(Signature.from_string(signature)))
        if entry is None or self._bank.slot - entry.slot < DEPTH[level]:
            return None

        form = 0 if isinstance(VersionedTransaction.from_bytes(entry.raw).message, MessageV0) else "legacy"
        if form == 0 and options.get("maxSupportedTransactionVersion") is None:
            raise RpcError(
                -32015,
                "Transaction version (0) is not supported by the requesting client. Please try the request again with the "
                'following configuration parameter: "maxSupportedTransactionVersion": 0',
            )
        return {
            "slot": entry.slot,
            "blockTime": entry.block_time,
            "version": form,
            "transaction": transaction_json(entry.raw, options.get("encoding", "json"), LoadedAddresses.of(entry.detail)),
            "meta": meta_json(entry),
        }

    def getSignaturesForAddress(self, address: str, options: _Options = None) -> Any:  # noqa: N802
        """Return signatures of what names an address, or loads it from a lookup table, newest first."""
        options = options or {}
        level = confirmed_at_least(options)
        limit = MAX_SIGNATURES if options.get("limit") is None else options["limit"]
        if not 1 <= limit <= MAX_SIGNATURES:
            raise invalid(f"Invalid limit; max {MAX_SIGNATURES}")
        slot = self._bank.slot
        entries = self._bank.signatures_for(
            str(Pubkey.from_string(address)), before=options.get("before"), until=options.get("until"), limit=limit
        )
        return [
            {
                "signature": entry.signature,
                "slot": entry.slot,
                "err": entry.err,
                "memo": None,
                "blockTime": entry.block_time,
                "confirmationStatus": reached(slot - entry.slot),
            }
            for entry in entries
            if slot - entry.slot >= DEPTH[level]
        ]

    def _sanitized(self, transaction: VersionedTransaction) -> Execution | None:
        """Refuse what loads addresses that cannot be loaded, as a node does before anything else, preflight or not.

        Return what that took: the simulation of a transaction that loads some, else `None`.
        """
        message = transaction.message
        if not isinstance(message, MessageV0) or not message.address_table_lookups:
            return None
        outcome = self._bank.simulate(transaction)
        if isinstance(outcome.err, str) and outcome.err in REFUSALS:
            raise invalid(f"invalid transaction: {REFUSALS[outcome.err]}")
        return outcome

    def _preflight(self, transaction: VersionedTransaction, outcome: Execution | None, level: str) -> None:
        verify(transaction)
        err: Any = None
        if self._bank.entry(str(transaction.signatures[0])) is not None:
            err, text, outcome = "AlreadyProcessed", "This transaction has already been processed", None
        elif not self._bank.valid_blockhash(transaction.message.recent_blockhash, level):
            err, text, outcome = "BlockhashNotFound", "Blockhash not found", None
        else:
            outcome = outcome or self._bank.simulate(transaction)
            err, text = outcome.err, json.dumps(outcome.err)
        if err is not None:
            raise RpcError(-32002, f"Transaction simulation failed: {text}", simulation_json(err, outcome))

    def _status(self, signature: str, slot: int, history: bool) -> Any:
        entry = self._bank.entry(signature)
        if entry is None or (not history and slot - entry.slot > STATUS_CACHE_SLOTS):
            return None
        depth = slot - entry.slot
        return {
            "slot": entry.slot,
            "confirmations": None if depth >= FINALITY_SLOTS else depth,
            "err": entry.err,
            "status": {"Ok": None} if entry.err is None else {"Err": entry.err},
            "confirmationStatus": reached(depth),
        }

    def _latest_blockhash(self, level: str) -> dict[str, Any]:
        slot = self._bank.slot_at(level)
        return {"blockhash": str(self._bank.blockhash(slot)), "lastValidBlockHeight": slot + BLOCKHASH_SLOTS}

    def _context(self, value: Any, options: _Options) -> dict[str, Any]:
        slot = self._bank.slot if options is None else self._bank.slot_at(commitment_of(options))
        return {"context": {"slot": slot, "apiVersion": "2.0.0"}, "value": value}


METHODS = frozenset(name for name in vars(Methods) if not name.startswith("_"))
