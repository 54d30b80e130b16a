"""How an item that a device posts to a list is addressed."""

from __future__ import annotations

import hashlib

_DIGITS = 16


def item_id(owner: str, list_path: str, *key: str) -> str:
    """Return the path element of an item of a list: 16 upper-case hex digits.

    The same item (`key`: the `repr` of each field that it is known by) of the same `owner` (LFDI) in the same list (`list_path`,
    its address with placeholders) has the same one for ever, so that a repeated post is one item.
    """
    return hashlib.sha256("|".join((owner, list_path, *key)).encode()).hexdigest()[:_DIGITS].upper()
