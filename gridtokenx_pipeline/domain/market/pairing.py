"""Volumes and pairs of all groups at once, in 64-bit integers: for groups that are not `book.too_wide`.

And the volumes of one group in integers of any size.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .book import NARROW, Ints, sums


def falling(group: Ints, value: Ints) -> Ints:
    """Return the order by (group, value falling, row) of rows whose values are from 0 to below `NARROW`."""
    return np.argsort(group * NARROW - value, kind="stable")


def pro_rata(volumes: Ints, group: Ints, bounds: Ints, totals: Ints) -> Ints:
    """Scale the volumes of each group down to sum to its total, by largest remainders; equal ones favour the lower row.

    `volumes` (>= 0) and `group` (ascending) are int64 of one value a row, `bounds` the first rows of the groups, `totals` of
    one value a group, none above the sum of its volumes.
    """
    whole = sums(volumes, bounds)
    long = whole > totals
    if not long.any():
        return volumes
    rows = np.flatnonzero(long[group] & (volumes > 0))
    of = group[rows]
    shares, remainders = np.divmod(volumes[rows] * totals[of], whole[of])
    scaled = volumes.copy()
    scaled[rows] = shares
    missing = totals - sums(scaled, bounds)
    order = falling(of, remainders)
    first = np.searchsorted(of, np.arange(len(whole)))
    scaled[rows[order[np.arange(len(rows)) - first[of] < missing[of]]]] += 1
    return scaled


def shares(volumes: Mapping[str, int], total: int) -> dict[str, int]:
    """Do as `pro_rata` for one group of meters by id, in integers of any size; equal remainders favour the lower id."""
    whole = sum(volumes.values())
    if whole == total:
        return dict(volumes)
    scaled = {meter: volume * total // whole for meter, volume in volumes.items()}
    by_remainder = sorted(volumes, key=lambda meter: (-(volumes[meter] * total % whole), meter))
    for meter in by_remainder[: total - sum(scaled.values())]:
        scaled[meter] += 1
    return scaled


def paired(sold: Ints, bought: Ints, group: Ints) -> tuple[Ints, Ints, Ints]:
    """Pair the sellers and buyers of each group, each by falling volume and rising row; return seller rows, buyer rows and Wh.

    `sold` and `bought` (>= 0, one value a row) have equal sums in each group. Two pointers that walk the two lists meet at the
    ends of both sides' running sums, so the pairs are the pieces between them: at most one fewer than a group has meters.
    """
    sellers, buyers = np.flatnonzero(sold), np.flatnonzero(bought)
    sellers = sellers[falling(group[sellers], sold[sellers])]
    buyers = buyers[falling(group[buyers], bought[buyers])]
    sold_until, bought_until = np.cumsum(sold[sellers]), np.cumsum(bought[buyers])
    ends, energy = pieces(sold_until, bought_until)
    return sellers[np.searchsorted(sold_until, ends)], buyers[np.searchsorted(bought_until, ends)], energy


def pieces(one: Ints, other: Ints) -> tuple[Ints, Ints]:
    """Return the distinct ends of two rising running sums, and the length up to each."""
    ends = np.concatenate((one, other))
    ends.sort(kind="stable")
    lengths = np.diff(ends, prepend=0)
    kept = lengths > 0
    return ends[kept], lengths[kept]
