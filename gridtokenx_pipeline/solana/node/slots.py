"""What a slot leaves behind: its blockhash, and the hash of its bank that the SlotHashes sysvar lists.

All of it follows from the genesis seed, so a node that starts again knows the same.
"""

from __future__ import annotations

import hashlib
from collections import deque

from solders.hash import Hash

BLOCKHASH_SLOTS = 150
FINALITY_SLOTS = 32
SLOT_HASHES = 512  # entries of the sysvar, from Agave's `slot_hashes::MAX_ENTRIES`


class SlotHistory:
    """The hashes of past slots, newest last. `seed` is the ledger's."""

    def __init__(self, seed: bytes):
        self._seed = seed
        self._hashes: dict[Hash, int] = {}
        self._hashed = -1
        self._banks: deque[tuple[int, Hash]] = deque(maxlen=SLOT_HASHES)
        self._bank_slot = 0

    def blockhash(self, slot: int) -> Hash:
        """Return the blockhash of `slot`: sha256(genesis seed || slot as 8 bytes little endian), the same after a restart."""
        return Hash(hashlib.sha256(self._seed + slot.to_bytes(8, "little")).digest())

    def slot_of(self, blockhash: Hash, newest: int) -> int | None:
        """Return the slot of `blockhash` where it is within 150 + 32 slots of `newest`, the youngest that was asked about."""
        for slot in range(max(self._hashed + 1, newest - BLOCKHASH_SLOTS - FINALITY_SLOTS), newest + 1):
            self._hashes[self.blockhash(slot)] = slot
        self._hashed = newest
        while len(self._hashes) > BLOCKHASH_SLOTS + FINALITY_SLOTS + 1:
            del self._hashes[next(iter(self._hashes))]
        return self._hashes.get(blockhash)

    def slot_hashes(self, slot: int) -> list[tuple[int, Hash]]:
        """Return the SlotHashes sysvar as a bank of `slot` sees it: (slot, bank hash) of the 512 slots before, newest first."""
        if slot < self._bank_slot:
            self._banks.clear()
            self._bank_slot = 0
        for past in range(max(self._bank_slot, slot - SLOT_HASHES), slot):
            digest = hashlib.sha256(b"bank" + self._seed + past.to_bytes(8, "little")).digest()
            self._banks.appendleft((past, Hash(digest)))
        self._bank_slot = slot
        return list(self._banks)
