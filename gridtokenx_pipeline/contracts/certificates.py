"""Renewable energy certificates: bundles of 1-Wh granular certificates and their append-only events."""

from .table import Column, Table, Type

_ZONE = Column("zone", Type.TEXT, "Market area.")

BUNDLES = Table(
    schema="certificates",
    name="bundles",
    comment="Bundles of 1-Wh certificates issued on the generation register, one for each meter and interval.",
    columns=(
        Column("bundle_id", Type.TEXT, "UUIDv5 of meter, interval and carrier: a re-run cannot issue twice."),
        _ZONE,
        Column("meter_id", Type.TEXT, "Generating meter."),
        Column("interval_start", Type.TIMESTAMP, "Start of generation.", "UTC"),
        Column("interval_end", Type.TIMESTAMP, "End of generation.", "UTC"),
        Column("energy_wh", Type.BIGINT, "floor(register at the end) - floor(register at the start).", "Wh"),
        Column("first_wh", Type.BIGINT, "Id of the first certificate: its Wh on the generation register, counted from 0.", "Wh"),
        Column("last_wh", Type.BIGINT, "Id of the last certificate; energy_wh = last_wh - first_wh + 1.", "Wh"),
        Column("carrier", Type.TEXT, "Energy carrier: electricity."),
        Column("source", Type.TEXT, "Energy source: solar."),
        Column("state", Type.TEXT, "issued, or pending where the energy was estimated, questionable or incomplete."),
        Column("owner", Type.TEXT, "Meter that owns the bundle."),
        Column("quality_flags", Type.INTEGER, "Quality flags of the generation.", "IEEE 2030.5 qualityFlags bits"),
    ),
    key=("bundle_id",),
    window="interval_start",
)

EVENTS = Table(
    schema="certificates",
    name="events",
    comment="What happened to bundles, append-only. A bundle's state is the fold of its events.",
    columns=(
        Column("event_id", Type.TEXT, "UUIDv5 of bundle, kind and number."),
        Column("bundle_id", Type.TEXT, "Bundle."),
        _ZONE,
        Column("interval_start", Type.TIMESTAMP, "Start of the bundle's interval.", "UTC"),
        Column("number", Type.INTEGER, "Order of the bundle's events.", "count from 1"),
        Column("kind", Type.TEXT, "issued or held (pending)."),
        Column("energy_wh", Type.BIGINT, "Energy the event is about.", "Wh"),
        Column("owner", Type.TEXT, "Owner after the event."),
        Column("reason", Type.TEXT, "Why, where it needs saying.", nullable=True),
    ),
    key=("event_id",),
    window="interval_start",
)

TABLES = (BUNDLES, EVENTS)
