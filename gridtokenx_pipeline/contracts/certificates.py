"""Renewable energy certificates: bundles of 1-Wh granular certificates, their append-only events, and what these fold to."""

from .table import Column, Table, Type

_ZONE = Column("zone", Type.TEXT, "Market area.")

BUNDLES = Table(
    schema="certificates",
    name="bundles",
    comment="Bundles of 1-Wh certificates as issued on the generation register; what became of them is in events and holdings.",
    columns=(
        Column(
            "bundle_id",
            Type.TEXT,
            "UUIDv5 of meter, interval and carrier (and of storage and correction, where it is one): a re-run cannot issue twice.",
        ),
        _ZONE,
        Column("meter_id", Type.TEXT, "Generating meter."),
        Column("interval_start", Type.TIMESTAMP, "Start of generation.", "UTC"),
        Column("interval_end", Type.TIMESTAMP, "End of generation.", "UTC"),
        Column(
            "energy_wh",
            Type.BIGINT,
            "floor(register at the end) - floor(register at the start); of storage, what came out of locked certificates.",
            "Wh",
        ),
        Column(
            "first_wh",
            Type.BIGINT,
            "Id of the first certificate: its Wh on the generation (of storage: the discharge) register, counted from 0.",
            "Wh",
        ),
        Column("last_wh", Type.BIGINT, "Id of the last certificate; energy_wh = last_wh - first_wh + 1.", "Wh"),
        Column("carrier", Type.TEXT, "Energy carrier: electricity."),
        Column("source", Type.TEXT, "Energy source: solar."),
        Column(
            "state",
            Type.TEXT,
            "issued (of generation), released (of what a store gave back, in place of cancelled certificates), or pending where the energy "
            "was estimated, questionable or incomplete.",
        ),
        Column("owner", Type.TEXT, "Meter that owns the bundle."),
        Column("quality_flags", Type.INTEGER, "Quality flags of the generation.", "IEEE 2030.5 qualityFlags bits"),
        Column("origin", Type.TEXT, "production or storage_discharge.", default="production"),
        Column(
            "version", Type.INTEGER, "Settlement version of the interval that issued (or holds) it.", "count from 1", default=1
        ),
    ),
    key=("bundle_id",),
    window="interval_start",
)

EVENTS = Table(
    schema="certificates",
    name="events",
    comment="What happened to bundles or ranges of their certificates, append-only. The state of every certificate is the fold of its events.",
    columns=(
        Column("event_id", Type.TEXT, "UUIDv5 of bundle, kind, number (and of the interval and range, after issue)."),
        Column("bundle_id", Type.TEXT, "Bundle."),
        _ZONE,
        Column("interval_start", Type.TIMESTAMP, "Start of the market interval in which it happened.", "UTC"),
        Column("number", Type.INTEGER, "Order of the bundle's events in that interval.", "count from 1"),
        Column(
            "kind",
            Type.TEXT,
            "held (pending), issued, locked (for storage), cancelled (locked, for what storage gave), transferred, claimed (by the "
            "producer's own consumption), retired, withdrawn (by the issuer), expired, or shortfall (issued too much and no longer the "
            "producer's: the device's next issue makes up for it).",
        ),
        Column("energy_wh", Type.BIGINT, "Energy the event is about.", "Wh"),
        Column("owner", Type.TEXT, "Owner after the event."),
        Column("reason", Type.TEXT, "Why, where it needs saying.", nullable=True),
        Column("bundle_interval_start", Type.TIMESTAMP, "Start of the bundle's own interval.", "UTC", nullable=True),
        Column("first_wh", Type.BIGINT, "Id of the first certificate it is about.", "Wh", nullable=True),
        Column("last_wh", Type.BIGINT, "Id of the last certificate it is about.", "Wh", nullable=True),
        Column("from_owner", Type.TEXT, "Owner before, of transfers.", nullable=True),
        Column("trade_id", Type.TEXT, "Trade that it moved with, of transfers.", nullable=True),
        Column(
            "counter_bundle_id",
            Type.TEXT,
            "Of cancellations: the storage-discharge bundle they made possible; of withdrawals for a shortfall: the bundle that is short.",
            nullable=True,
        ),
        Column("beneficiary", Type.TEXT, "Of retirements and claims: for whose consumption.", nullable=True),
        Column("purpose", Type.TEXT, "Of retirements: what for.", nullable=True),
        Column("period_start", Type.TIMESTAMP, "Of retirements and claims: start of the consumption.", "UTC", nullable=True),
        Column("period_end", Type.TIMESTAMP, "Of retirements and claims: end of the consumption.", "UTC", nullable=True),
        Column("actor", Type.TEXT, "Who did it: pipeline, or the person.", default="pipeline"),
        Column("version", Type.INTEGER, "Settlement version of the interval it happened in.", "count from 1", default=1),
    ),
    key=("event_id",),
    window="interval_start",
)

HOLDINGS = Table(
    schema="certificates",
    name="holdings",
    comment="The fold of all events: every range of certificates that shares an owner and a state.",
    columns=(
        Column("bundle_id", Type.TEXT, "Bundle."),
        Column("first_wh", Type.BIGINT, "Id of the range's first certificate.", "Wh"),
        Column("last_wh", Type.BIGINT, "Id of the range's last certificate.", "Wh"),
        Column("energy_wh", Type.BIGINT, "Certificates in the range; last_wh - first_wh + 1.", "Wh"),
        _ZONE,
        Column("meter_id", Type.TEXT, "Generating meter."),
        Column("interval_start", Type.TIMESTAMP, "Start of the bundle's interval.", "UTC"),
        Column("owner", Type.TEXT, "Owner."),
        Column(
            "state", Type.TEXT, "pending, active, locked, and the final ones: cancelled, claimed, retired, withdrawn, expired."
        ),
        Column("events", Type.INTEGER, "Events of the bundle that were folded.", "count"),
    ),
    key=("bundle_id", "first_wh"),
    window="interval_start",
)

STORAGE = Table(
    schema="certificates",
    name="storage",
    comment="Green and grey energy in each meter's store: what went in, what came out, and what is left. Wh at the meter's AC side, as charged.",
    columns=(
        _ZONE,
        Column("meter_id", Type.TEXT, "Meter."),
        Column("interval_start", Type.TIMESTAMP, "Start of the market interval.", "UTC"),
        Column("duration_s", Type.INTEGER, "Length of the interval.", "s"),
        Column("charge_wh", Type.BIGINT, "Charged.", "Wh"),
        Column(
            "green_in_wh", Type.BIGINT, "min(charge, generation - load): charged from own surplus, its certificates locked.", "Wh"
        ),
        Column("grey_in_wh", Type.BIGINT, "The rest of the charge.", "Wh"),
        Column("discharge_wh", Type.BIGINT, "Discharged.", "Wh"),
        Column("used_wh", Type.BIGINT, "Taken out of the store for it: min(ceil(discharge / efficiency), store).", "Wh"),
        Column("green_used_wh", Type.BIGINT, "floor(used x green / store): certificates cancelled.", "Wh"),
        Column(
            "green_out_wh", Type.BIGINT, "min(discharge, floor(green_used x efficiency)): storage-discharge certificates.", "Wh"
        ),
        Column("green_wh", Type.BIGINT, "Green energy in the store after the interval.", "Wh"),
        Column("grey_wh", Type.BIGINT, "Grey energy in the store after the interval.", "Wh"),
        Column("efficiency_ppm", Type.INTEGER, "Round-trip efficiency that was applied.", "parts per million"),
        Column(
            "late",
            Type.BOOLEAN,
            "Whether later intervals of the meter were settled before: then nothing is green and the store stays as it is.",
        ),
    ),
    key=("zone", "meter_id", "interval_start"),
    window="interval_start",
)

DEVICES = Table(
    schema="certificates",
    name="devices",
    comment="Production devices as registered for certificates: the attributes every certificate of theirs has (EnergyTag).",
    columns=(
        Column("meter_id", Type.TEXT, "Meter, which is the device's id."),
        _ZONE,
        Column("device_name", Type.TEXT, "Name of the device."),
        Column("carrier", Type.TEXT, "Energy carrier."),
        Column("source", Type.TEXT, "Energy source."),
        Column("fuel_code", Type.TEXT, "Fuel code of the issuing scheme, such as ES100 (solar).", nullable=True),
        Column("technology", Type.TEXT, "Technology, such as photovoltaic."),
        Column("technology_code", Type.TEXT, "Technology code of the issuing scheme, such as TC110.", nullable=True),
        Column("capacity_kw", Type.INTEGER, "Rated power.", "kW"),
        Column("storage_kwh", Type.INTEGER, "Rated storage behind the same meter.", "kWh"),
        Column("commissioned_at", Type.TIMESTAMP, "Commissioning: start of the local day.", "UTC"),
        Column("country", Type.TEXT, "Country, ISO 3166-1 alpha-2."),
        Column("region", Type.TEXT, "Region, ISO 3166-2.", nullable=True),
        Column("location", Type.TEXT, "Latitude and longitude of the site, in degrees."),
        Column("issuer", Type.TEXT, "Who issues its certificates."),
        Column("registry", Type.TEXT, "The one registry they are in."),
        Column("configuration", Type.INTEGER, "EnergyTag: 1 issued alone, 2 from cancelled certificates, 3 alongside.", "code"),
    ),
    key=("meter_id",),
    window=None,
)

ISSUES = (BUNDLES, EVENTS, STORAGE, HOLDINGS)
TABLES = (*ISSUES, DEVICES)
