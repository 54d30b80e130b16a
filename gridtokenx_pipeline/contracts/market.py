"""The market: what it is told, market intervals, trades between meters, settlement with the grid, and the campus as a whole.

Whole watt-hours and micro-currency. Rows of version 1 are an interval's settlement. Those of a later version are a correction:
their energies and amounts are differences to the versions before, so that sums over all versions are what is known today.
"""

from .table import Column, Table, Type

_ZONE = Column("zone", Type.TEXT, "Market area.")
_START = Column("interval_start", Type.TIMESTAMP, "Start of the market interval.", "UTC")
_VERSION = Column(
    "version", Type.INTEGER, "Settlement version: 1 first, one more for each correction, which is a difference.", "count from 1"
)
_MECHANISM = Column("mechanism", Type.TEXT, "Clearing mechanism and its version, such as sdr_bilateral/1.")

INTERVALS = Table(
    schema="market",
    name="intervals",
    comment="One row for each zone and market interval: what was offered and wanted, what cleared and at what price.",
    columns=(
        _ZONE,
        _START,
        Column("duration_s", Type.INTEGER, "Length of the interval.", "s"),
        Column("supply_wh", Type.BIGINT, "Sum of the surpluses of the meters that took part.", "Wh"),
        Column("demand_wh", Type.BIGINT, "Sum of the deficits of the meters that took part.", "Wh"),
        Column("traded_wh", Type.BIGINT, "Energy traded between meters.", "Wh"),
        Column(
            "capped_wh",
            Type.BIGINT,
            "Energy that both sides had but that went to the grid: partner cap, limits of offers, or no pair that can pay for the way.",
            "Wh",
        ),
        Column("price_micro_per_kwh", Type.BIGINT, "Price of the pool.", "micro-currency per kWh"),
        Column("feed_in_micro_per_kwh", Type.BIGINT, "What the grid pays for a surplus.", "micro-currency per kWh"),
        Column("retail_micro_per_kwh", Type.BIGINT, "What the grid asks for a deficit.", "micro-currency per kWh"),
        Column("meters", Type.INTEGER, "Meters with energy in the interval.", "count"),
        Column("meters_grid_only", Type.INTEGER, "Meters settled at grid tariffs alone, their data being incomplete.", "count"),
        _MECHANISM,
        _VERSION,
        Column("state", Type.TEXT, "open (still receiving), closed (cleared, may be recomputed) or settled (final)."),
        Column("currency", Type.TEXT, "Currency of all amounts, ISO 4217."),
        Column("tariff", Type.TEXT, "Tariff and period in force, such as flat or tou/peak.", default="flat"),
        Column("loss_wh", Type.BIGINT, "Of traded_wh, lost between the grid zones of sellers and buyers.", "Wh", default=0),
        Column("wheeling_micro", Type.BIGINT, "Wheeling charges paid by buyers.", "micro-currency", default=0),
    ),
    key=("zone", "interval_start", "version"),
    window="interval_start",
)

TRADES = Table(
    schema="market",
    name="trades",
    comment="Energy sold by one meter to another. Each amount is computed once and booked to both sides.",
    columns=(
        Column("trade_id", Type.TEXT, "UUIDv5 of zone, interval, version, kind, seller and buyer."),
        _ZONE,
        _START,
        Column("seller_meter_id", Type.TEXT, "Meter with the surplus."),
        Column("buyer_meter_id", Type.TEXT, "Meter with the deficit."),
        Column("energy_wh", Type.BIGINT, "Energy sold; the buyer receives loss_wh less.", "Wh"),
        Column("price_micro_per_kwh", Type.BIGINT, "Price of this trade.", "micro-currency per kWh"),
        Column(
            "amount_micro", Type.BIGINT, "(energy_wh x price + 500) // 1000, paid by the buyer to the seller.", "micro-currency"
        ),
        Column("kind", Type.TEXT, "agreement (standing bilateral contract) or pool."),
        _MECHANISM,
        _VERSION,
        Column("quality_flags", Type.INTEGER, "OR of the quality flags of both meters' energy.", "IEEE 2030.5 qualityFlags bits"),
        Column("loss_wh", Type.BIGINT, "Of energy_wh, lost on the way between the two grid zones.", "Wh", default=0),
        Column("wheeling_micro", Type.BIGINT, "Paid by the buyer for the way, besides the amount.", "micro-currency", default=0),
        Column("agreement_id", Type.TEXT, "Agreement the trade fulfils; null in the pool.", nullable=True),
    ),
    key=("trade_id",),
    window="interval_start",
)

GRID_SETTLEMENTS = Table(
    schema="market",
    name="grid_settlements",
    comment="What each meter settles with the grid after its trades; zero rows are kept, so that every meter balances visibly.",
    columns=(
        Column("grid_settlement_id", Type.TEXT, "UUIDv5 of zone, interval, version and meter."),
        _ZONE,
        _START,
        Column("meter_id", Type.TEXT, "Meter."),
        Column("net_wh", Type.BIGINT, "generation + discharge - load - charge, as floor differences of the registers.", "Wh"),
        Column("traded_wh", Type.BIGINT, "Sold (+), or received (-) in trades.", "Wh"),
        Column("energy_wh", Type.BIGINT, "Settled with the grid: + export, - import. net_wh = traded_wh + energy_wh.", "Wh"),
        Column("amount_micro", Type.BIGINT, "+ paid to the meter, - paid by the meter.", "micro-currency"),
        Column(
            "reason",
            Type.TEXT,
            "residual (after the market), incomplete (data below the completeness rule), no_register (no whole-Wh difference could be made) "
            "or correction (late or edited energy, settled with the grid alone).",
        ),
        _VERSION,
        Column("quality_flags", Type.INTEGER, "Quality flags of the meter's energy.", "IEEE 2030.5 qualityFlags bits"),
    ),
    key=("grid_settlement_id",),
    window="interval_start",
)

CAMPUS_BALANCES = Table(
    schema="market",
    name="campus_balances",
    comment="The campus as one account at its connection (PCC): what its meters sum to, what the feeder's meter says, what is left over.",
    columns=(
        _ZONE,
        _START,
        Column("duration_s", Type.INTEGER, "Length of the interval.", "s"),
        _VERSION,
        Column("meters", Type.INTEGER, "Meters settled.", "count"),
        Column("net_wh", Type.BIGINT, "Sum of the meters' net: + export, - import.", "Wh"),
        Column("export_wh", Type.BIGINT, "Sum of what meters sold to the grid.", "Wh"),
        Column("import_wh", Type.BIGINT, "Sum of what meters bought from the grid.", "Wh"),
        Column("loss_wh", Type.BIGINT, "Losses booked with trades.", "Wh"),
        Column(
            "feeder_net_wh",
            Type.BIGINT,
            "Export - import of the feeder's meter, as floor differences; null without one or its data.",
            "Wh",
            nullable=True,
        ),
        Column(
            "unaccounted_wh",
            Type.BIGINT,
            "net_wh - loss_wh - feeder_net_wh: losses beyond those booked and energy nobody metered. Meters are never scaled to it.",
            "Wh",
            nullable=True,
        ),
        Column("trade_amount_micro", Type.BIGINT, "Sum of the trades' amounts.", "micro-currency"),
        Column("wheeling_micro", Type.BIGINT, "Wheeling charges, which the operator receives.", "micro-currency"),
        Column("grid_amount_micro", Type.BIGINT, "+ received from, - paid to the grid by all meters.", "micro-currency"),
    ),
    key=("zone", "interval_start", "version"),
    window="interval_start",
)

AGREEMENTS = Table(
    schema="market",
    name="agreements",
    comment="Standing bilateral agreements, from the configured file and from devices (P2P extension): one row for each version of terms.",
    columns=(
        Column("agreement_id", Type.TEXT, "UUIDv5 of zone, source, seller, buyer, terms and valid_from."),
        _ZONE,
        Column("seller_meter_id", Type.TEXT, "Meter that sells."),
        Column("buyer_meter_id", Type.TEXT, "Meter that buys."),
        Column("priority", Type.INTEGER, "Lower is served first; equal ones in order of seller and buyer.", "rank"),
        Column("max_wh", Type.BIGINT, "Most energy in an interval.", "Wh"),
        Column("price_micro_per_kwh", Type.BIGINT, "Agreed price.", "micro-currency per kWh"),
        Column("valid_from", Type.TIMESTAMP, "First moment: intervals that start then or later.", "UTC"),
        Column("valid_until", Type.TIMESTAMP, "First moment after; null while open.", "UTC", nullable=True),
        Column("source", Type.TEXT, "file or p2p."),
        Column("state", Type.TEXT, "in_force (accepted by both, in the times given), proposed (one side only) or refused."),
        Column("reason", Type.TEXT, "Why it is refused or not in force.", nullable=True),
        Column("seller_message_id", Type.TEXT, "Message with the seller's side of it.", nullable=True),
        Column("buyer_message_id", Type.TEXT, "Message with the buyer's side of it.", nullable=True),
    ),
    key=("agreement_id",),
    window=None,
)

OFFERS = Table(
    schema="market",
    name="offers",
    comment="Standing offers to the pool from devices (P2P extension): limits that the double auction clears by.",
    columns=(
        Column("offer_id", Type.TEXT, "UUIDv5 of zone, meter, address and valid_from."),
        _ZONE,
        Column("meter_id", Type.TEXT, "Meter."),
        Column("side", Type.TEXT, "sell or buy."),
        Column("energy_limit_wh", Type.BIGINT, "Most energy in an interval.", "Wh"),
        Column("price_limit_micro_per_kwh", Type.BIGINT, "Least (sell) or most (buy) price.", "micro-currency per kWh"),
        Column("valid_from", Type.TIMESTAMP, "First moment: intervals that start then or later.", "UTC"),
        Column("valid_until", Type.TIMESTAMP, "First moment after; null while open.", "UTC", nullable=True),
        Column("state", Type.TEXT, "in_force or refused."),
        Column("reason", Type.TEXT, "Why it is refused.", nullable=True),
        Column("message_id", Type.TEXT, "Message that made it."),
    ),
    key=("offer_id",),
    window=None,
)

PAIRS = Table(
    schema="market",
    name="pairs",
    comment="Every two meters that can trade with each other: 300 pairs of 25 meters. Of two meters the first in the alphabet is a.",
    columns=(
        Column("pair_id", Type.TEXT, "meter_a_id, a space, and meter_b_id."),
        _ZONE,
        Column("meter_a_id", Type.TEXT, "First meter."),
        Column("meter_b_id", Type.TEXT, "Second meter."),
        Column("building_type_a", Type.TEXT, "Type of the first meter's building."),
        Column("building_type_b", Type.TEXT, "Type of the second meter's building."),
        Column("pair_type", Type.TEXT, "intra (buildings of one type) or inter."),
    ),
    key=("pair_id",),
    window=None,
)

SETTLEMENTS = (INTERVALS, TRADES, GRID_SETTLEMENTS, CAMPUS_BALANCES)
INPUTS = (AGREEMENTS, OFFERS)
TABLES = (*SETTLEMENTS, *INPUTS, PAIRS)
