"""Comparing the chain with the warehouse: all it needs is an RPC and rows of the warehouse."""

from .chain import Chain, NotReadable
from .compared import Compared, merged
from .known import Known, known_actions, of_kinds
from .meters import ahead, compare_totals, compare_windows, wallets_on_chain
from .once import compare_deeds
from .proof import Proof, prove
from .roots import compare_memos, compare_roots
from .standing import Expected, compare_balances, compare_supply, compare_transactions
from .verify import Rules, verify, verify_supply, verify_window
from .whole import OWN_PROFILE, compare_actions, compared_twice

__all__ = [
    "OWN_PROFILE",
    "Chain",
    "Compared",
    "Expected",
    "Known",
    "NotReadable",
    "Proof",
    "Rules",
    "ahead",
    "compare_actions",
    "compare_balances",
    "compare_deeds",
    "compare_memos",
    "compare_roots",
    "compare_supply",
    "compare_totals",
    "compare_transactions",
    "compare_windows",
    "compared_twice",
    "known_actions",
    "merged",
    "of_kinds",
    "prove",
    "verify",
    "verify_supply",
    "verify_window",
    "wallets_on_chain",
]
