"""All comparisons that a profile allows, over actions of some intervals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence

from .chain import Chain
from .compared import Compared
from .known import Known
from .meters import compare_windows
from .once import compare_deeds
from .roots import compare_memos, compare_roots

OWN_PROFILE = "gridtokenx"


async def compare_actions(chain: Chain, actions: Collection[Known], profile: str) -> list[Compared]:
    """Compare `actions` (all versions of their intervals) with the chain, one by one.

    Only the profile `gridtokenx` has accounts that tell of each meter, trade and bundle; of others the memos are compared.
    """
    if profile != OWN_PROFILE:
        return [await compare_memos(chain, actions)]
    return [
        await compare_windows(chain, actions),
        await compare_roots(chain, actions),
        await compare_memos(chain, actions, recorded=True),
        *await compare_deeds(chain, actions),
    ]


async def compared_twice(chain: Chain, compare: Callable[[], Awaitable[Sequence[Compared]]]) -> list[Compared]:
    """Return what `compare` finds; where anything differs, what it finds once more after the accounts were read anew.

    Accounts are read once and kept, and settlement goes on meanwhile: what was only read too early agrees then.
    """
    found = list(await compare())
    if all(one.agrees for one in found):
        return found
    chain.forget()
    return list(await compare())
