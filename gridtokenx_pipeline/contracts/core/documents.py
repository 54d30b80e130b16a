"""What devices said in other function sets than metering: their DER, reservations, responses and log."""

from ..table import Column, Table, Type
from .common import MESSAGE, METER, RECEIVED, ZONE

_POSITION = Column("position", Type.INTEGER, "Position among the documents of its kind in the message.", "count from 0")
_BODY = Column(
    "attributes", Type.TEXT, "Every element of the document, as a JSON object: names as in the standard, texts as sent."
)

DER_DOCUMENTS = Table(
    schema="core",
    name="der_documents",
    comment="DERCapability, DERSettings, DERStatus and DERAvailability as devices put them: state, limits and storage.",
    columns=(
        MESSAGE,
        ZONE,
        METER,
        _POSITION,
        Column("document", Type.TEXT, "DERCapability, DERSettings, DERStatus or DERAvailability."),
        Column("measured_at", Type.TIMESTAMP, "readingTime or updatedTime; null where it has none.", "UTC", nullable=True),
        Column(
            "operational_mode",
            Type.INTEGER,
            "operationalModeStatus: 0 not applicable, 1 off, 2 operational, 3 test.",
            "IEEE 2030.5 code",
            nullable=True,
        ),
        Column(
            "connect_status",
            Type.INTEGER,
            "genConnectStatus, else storConnectStatus.",
            "IEEE 2030.5 ConnectStatusType bits",
            nullable=True,
        ),
        Column("inverter_status", Type.INTEGER, "inverterStatus.", "IEEE 2030.5 code", nullable=True),
        Column(
            "storage_mode",
            Type.INTEGER,
            "storageModeStatus: 0 charging, 1 discharging, 2 holding.",
            "IEEE 2030.5 code",
            nullable=True,
        ),
        Column("state_of_charge_pct", Type.PERCENT, "stateOfChargeStatus.", "%", nullable=True),
        Column("alarm_status", Type.INTEGER, "alarmStatus.", "IEEE 2030.5 AlarmStatus bits", nullable=True),
        Column("max_w", Type.BIGINT, "rtgMaxW, setMaxW, or statWAvail.", "W", nullable=True),
        _BODY,
        RECEIVED,
    ),
    key=("message_id", "position"),
    window="received_at",
)

FLOW_RESERVATIONS = Table(
    schema="core",
    name="flow_reservations",
    comment="FlowReservationRequests: energy a device asks to be allowed to take or give.",
    columns=(
        MESSAGE,
        ZONE,
        METER,
        _POSITION,
        Column("mrid", Type.TEXT, "mRID of the request.", nullable=True),
        Column("requested_at", Type.TIMESTAMP, "creationTime.", "UTC", nullable=True),
        Column("status", Type.INTEGER, "RequestStatus: 0 requested, 1 cancelled.", "IEEE 2030.5 code", nullable=True),
        Column("interval_start", Type.TIMESTAMP, "Start of intervalRequested.", "UTC", nullable=True),
        Column("duration_s", Type.INTEGER, "Duration of intervalRequested.", "s", nullable=True),
        Column("duration_requested_s", Type.INTEGER, "durationRequested: time it needs within the interval.", "s", nullable=True),
        Column("energy_wh", Type.ENERGY, "energyRequested; negative is to the network.", "Wh", nullable=True),
        Column("power_w", Type.BIGINT, "powerRequested; negative is to the network.", "W", nullable=True),
        _BODY,
        RECEIVED,
    ),
    key=("message_id", "position"),
    window="received_at",
)

RESPONSES = Table(
    schema="core",
    name="responses",
    comment="Responses of devices to events: received, started, completed, refused.",
    columns=(
        MESSAGE,
        ZONE,
        METER,
        _POSITION,
        Column(
            "document",
            Type.TEXT,
            "Response, DERControlResponse, DrResponse, PriceResponse, TextResponse, FlowReservationResponseResponse.",
        ),
        Column("subject", Type.TEXT, "mRID of the event it is about.", nullable=True),
        Column(
            "status",
            Type.INTEGER,
            "1 received, 2 started, 3 completed, 4 opted out, 5 opted in, 6 cancelled, 7 superseded and others.",
            "IEEE 2030.5 code",
            nullable=True,
        ),
        Column("responded_at", Type.TIMESTAMP, "createdDateTime.", "UTC", nullable=True),
        Column("end_device_lfdi", Type.TEXT, "endDeviceLFDI.", nullable=True),
        _BODY,
        RECEIVED,
    ),
    key=("message_id", "position"),
    window="received_at",
)

LOG_EVENTS = Table(
    schema="core",
    name="log_events",
    comment="LogEvents of devices: power failures, resets, alarms. A reset explains a register that starts again.",
    columns=(
        MESSAGE,
        ZONE,
        METER,
        _POSITION,
        Column("logged_at", Type.TIMESTAMP, "createdDateTime.", "UTC", nullable=True),
        Column("function_set", Type.INTEGER, "functionSet.", "IEEE 2030.5 code", nullable=True),
        Column("code", Type.INTEGER, "logEventCode.", "IEEE 2030.5 code", nullable=True),
        Column("event_id", Type.INTEGER, "logEventID.", nullable=True),
        Column("profile_id", Type.INTEGER, "profileID: 2 IEEE 2030.5.", "IEEE 2030.5 code", nullable=True),
        Column("pen", Type.BIGINT, "logEventPEN: IANA number of whoever defined the code.", nullable=True),
        Column("details", Type.TEXT, "details.", nullable=True),
        _BODY,
        RECEIVED,
    ),
    key=("message_id", "position"),
    window="received_at",
)

P2P_DOCUMENTS = Table(
    schema="core",
    name="p2p_documents",
    comment="Standing offers and bilateral agreements as devices put and deleted them (P2P extension); what counts is in market.offers and market.agreements.",
    columns=(
        MESSAGE,
        ZONE,
        METER,
        Column("kind", Type.TEXT, "offer or agreement."),
        Column("action", Type.TEXT, "put (POST or PUT) or delete."),
        Column("mrid", Type.TEXT, "mRID of the document; null where only its address is known.", nullable=True),
        Column("path", Type.TEXT, "Its address; of one that was posted, the address that it got."),
        Column("side", Type.TEXT, "Of offers sell or buy, of agreements seller or buyer.", nullable=True),
        Column("status", Type.TEXT, "As sent: active, suspended, cancelled; proposed, accepted, rejected.", nullable=True),
        Column("counterparty_lfdi", Type.TEXT, "Of agreements: the other device.", nullable=True),
        Column("energy_limit_wh", Type.ENERGY, "Most energy in a market interval.", "Wh", nullable=True),
        Column("price_micro_per_kwh", Type.BIGINT, "Limit or agreed price.", "micro-currency per kWh", nullable=True),
        Column("priority", Type.INTEGER, "Of agreements: lower is served first.", "rank", nullable=True),
        Column("starts_at", Type.TIMESTAMP, "Start of its interval.", "UTC", nullable=True),
        Column("ends_at", Type.TIMESTAMP, "End of its interval.", "UTC", nullable=True),
        _BODY,
        RECEIVED,
    ),
    key=("message_id",),
    window="received_at",
)

TABLES = (DER_DOCUMENTS, FLOW_RESERVATIONS, RESPONSES, LOG_EVENTS, P2P_DOCUMENTS)
