"""Small changes to the market engine that its tests have to notice: module, what stands there once, what is put in its place."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    module: str
    before: str
    after: str


MUTANTS = (
    # amounts
    Mutant("model", "energy_wh * price_micro_per_kwh + 500", "energy_wh * price_micro_per_kwh"),
    Mutant("book", "energy_wh * price_micro_per_kwh + 500", "energy_wh * price_micro_per_kwh + 499"),
    # prices
    Mutant("prices", "if supply_wh >= demand_wh:", "if supply_wh > demand_wh:"),
    Mutant("prices", "return floor * retail * demand_wh // (", "return 1 + floor * retail * demand_wh // ("),
    Mutant("prices", "((retail - floor) * supply_wh", "((retail + floor) * supply_wh"),
    Mutant("prices", "between = floor * retail * demand //", "between = 1 + floor * retail * demand //"),
    Mutant("prices", "np.where(supply >= demand, floor, retail)", "np.where(supply >= demand, retail, floor)"),
    Mutant("prices", "(tariff.pool_floor_micro_per_kwh + tariff", "(tariff.feed_in_micro_per_kwh + tariff"),
    Mutant("prices", "(one & other & 1)", "((one | other) & 1)"),
    Mutant("prices", "(mid * demand_wh + tariff.feed_in", "(mid * supply_wh + tariff.feed_in"),
    Mutant("prices", "(mid * supply_wh + tariff.retail", "(mid * demand_wh + tariff.retail"),
    # volumes
    Mutant("pairing", "group * NARROW - value", "group * NARROW + value"),
    Mutant("pairing", "missing = totals - sums(scaled, bounds)", "missing = totals * 0"),
    Mutant("pairing", "< missing[of]", "<= missing[of]"),
    Mutant("pairing", "(-(volumes[meter] * total % whole), meter)", "((volumes[meter] * total % whole), meter)"),
    Mutant("pairing", "for meter in by_remainder[: total - sum(scaled.values())]:", "for meter in by_remainder[:0]:"),
    Mutant("mechanisms", "np.minimum(pools.supply, pools.demand)", "np.maximum(pools.supply, pools.demand)"),
    # pairs
    Mutant("pairing", "falling(group[sellers], sold[sellers])", "falling(group[sellers], sold[sellers] * 0)"),
    Mutant("pairing", "falling(group[buyers], bought[buyers])", "falling(group[buyers], bought[buyers] * 0)"),
    Mutant("pairing", "np.diff(ends, prepend=0)", "np.diff(ends, prepend=1)"),
    Mutant("one_interval", "if selling[m]), key=lambda m: (-selling[m], m))", "if selling[m]), key=lambda m: (selling[m], m))"),
    Mutant("matching", "exact[book.group[partners > max_partners]] = True", "pass"),
    Mutant("one_interval", "len(partners) >= self._cap", "len(partners) > self._cap"),
    Mutant("one_interval", " and other not in partners", ""),
    # agreements
    Mutant("standing", "key=lambda a: (a.priority, a.seller", "key=lambda a: (-a.priority, a.seller"),
    Mutant("matching", "partners[seller] += 1", "partners[seller] += 0"),
    Mutant("matching", "surplus[seller] -= energy", "surplus[seller] -= 0"),
    Mutant("matching", "deficit[buyer] -= energy", "deficit[buyer] -= 0"),
    Mutant("matching", "* 2 + (agreement < 0)", "* 2 + (agreement >= 0)"),
    Mutant("standing", "prices.feed_in > price", "prices.feed_in >= price"),
    Mutant("standing", "earlier.valid_until > (later", "earlier.valid_until >= (later"),
    Mutant("book", "self.start < micros(valid_until)", "self.start <= micros(valid_until)"),
    Mutant("book", "self.start >= micros(valid_from)", "self.start > micros(valid_from)"),
    # orders with limits
    Mutant("double_auction", "ask_costs[a] <= -bid_costs[b]", "ask_costs[a] < -bid_costs[b]"),
    Mutant("double_auction", "meet = -bid >= ask", "meet = -bid > ask"),
    Mutant("double_auction", "orders.cost < margin", "orders.cost > margin"),
    Mutant("double_auction", "np.clip(limit, prices.floor,", "np.clip(limit, prices.feed_in,"),
    Mutant("double_auction", "takes_price[rows] = False", "takes_price[rows] = True"),
    Mutant("double_auction", "return (last_ask - last_bid) // 2", "return (last_ask - last_bid + 1) // 2"),
    # the way through the network
    Mutant(
        "one_interval",
        "return -(-energy_wh * _PPM // (_PPM - link.loss_ppm))",
        "return energy_wh * _PPM // (_PPM - link.loss_ppm)",
    ),
    Mutant(
        "one_interval",
        "delivered = energy * (_PPM - link.loss_ppm) // _PPM",
        "delivered = -(-energy * (_PPM - link.loss_ppm) // _PPM)",
    ),
    Mutant("one_interval", "if delivered == 0 or too_dear or", "if delivered == 0 or"),
    Mutant("one_interval", "- link.wheeling_micro_per_kwh) *", "+ link.wheeling_micro_per_kwh) *"),
    Mutant("one_interval", "buying[buyer] -= energy - made.loss_wh", "buying[buyer] -= energy"),
    Mutant("one_interval", "deficit[buyer] -= energy - made.loss_wh", "deficit[buyer] -= energy"),
    Mutant("one_interval", "(way[0].loss_ppm,", "(-way[0].loss_ppm,"),
    Mutant("matching", " | has(target, sellers) & has(source, buyers)", ""),
    # statements
    Mutant("clearing", "<= micros(closed_before)", "< micros(closed_before)"),
    Mutant("statements", "flags[trades.seller] | flags[trades.buyer]", "flags[trades.seller] & flags[trades.buyer]"),
    Mutant("statements", "trades.buyer, trades.energy_wh - trades.loss_wh", "trades.buyer, trades.energy_wh"),
    Mutant("statements", "np.where(rest >= 0, amount, -amount)", "np.where(rest >= 0, amount, amount)"),
    Mutant("statements", "np.where(closed, outcome.capped_wh, 0)", "np.where(closed, 0, 0)"),
)
