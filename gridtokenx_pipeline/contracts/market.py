"""Market intervals, trades between meters, and settlement with the grid. Whole watt-hours and micro-currency."""

from .table import Column, Table, Type

_ZONE = Column("zone", Type.TEXT, "Market area.")
_START = Column("interval_start", Type.TIMESTAMP, "Start of the market interval.", "UTC")
_VERSION = Column("version", Type.INTEGER, "Settlement version: 1 first, one more for each correction.", "count from 1")
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
        Column("capped_wh", Type.BIGINT, "Energy that cleared but went to the grid because of the partner cap.", "Wh"),
        Column("price_micro_per_kwh", Type.BIGINT, "Price of the pool.", "micro-currency per kWh"),
        Column("feed_in_micro_per_kwh", Type.BIGINT, "What the grid pays for a surplus.", "micro-currency per kWh"),
        Column("retail_micro_per_kwh", Type.BIGINT, "What the grid asks for a deficit.", "micro-currency per kWh"),
        Column("meters", Type.INTEGER, "Meters with energy in the interval.", "count"),
        Column("meters_grid_only", Type.INTEGER, "Meters settled at grid tariffs alone, their data being incomplete.", "count"),
        _MECHANISM,
        _VERSION,
        Column("state", Type.TEXT, "open (still receiving), closed (cleared, may be recomputed) or settled (final)."),
        Column("currency", Type.TEXT, "Currency of all amounts, ISO 4217."),
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
        Column("energy_wh", Type.BIGINT, "Energy traded.", "Wh"),
        Column("price_micro_per_kwh", Type.BIGINT, "Price of this trade.", "micro-currency per kWh"),
        Column(
            "amount_micro", Type.BIGINT, "(energy_wh x price + 500) // 1000, paid by the buyer to the seller.", "micro-currency"
        ),
        Column("kind", Type.TEXT, "agreement (standing bilateral contract) or pool."),
        _MECHANISM,
        _VERSION,
        Column("quality_flags", Type.INTEGER, "OR of the quality flags of both meters' energy.", "IEEE 2030.5 qualityFlags bits"),
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
        Column("traded_wh", Type.BIGINT, "Sold (+) or bought (-) in trades.", "Wh"),
        Column("energy_wh", Type.BIGINT, "Settled with the grid: + export, - import. net_wh = traded_wh + energy_wh.", "Wh"),
        Column("amount_micro", Type.BIGINT, "+ paid to the meter, - paid by the meter.", "micro-currency"),
        Column(
            "reason",
            Type.TEXT,
            "residual (after the market), incomplete (data below the completeness rule) or no_register (no whole-Wh difference could be made).",
        ),
        _VERSION,
        Column("quality_flags", Type.INTEGER, "Quality flags of the meter's energy.", "IEEE 2030.5 qualityFlags bits"),
    ),
    key=("grid_settlement_id",),
    window="interval_start",
)

TABLES = (INTERVALS, TRADES, GRID_SETTLEMENTS)
