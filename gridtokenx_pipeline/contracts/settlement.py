"""Settlement batches, their items (Merkle leaves) and the transactions that put them on chain."""

from .table import Column, Table, Type

_ZONE = Column("zone", Type.TEXT, "Market area.")
_WINDOW = Column("window_start", Type.TIMESTAMP, "Start of the market interval the batch settles.", "UTC")
_BATCH = Column("batch_id", Type.TEXT, "UUIDv5 of zone, window and version.")

ITEMS = Table(
    schema="settlement",
    name="items",
    comment="What a batch settles: one row for each Merkle leaf.",
    columns=(
        Column("item_id", Type.TEXT, "UUIDv5 of batch, kind and natural key."),
        _BATCH,
        _ZONE,
        _WINDOW,
        Column(
            "leaf_index",
            Type.INTEGER,
            "Position among the batch's leaves, which are sorted by kind and natural key.",
            "count from 0",
        ),
        Column("kind", Type.TEXT, "energy_reading, trade, grid_settlement or certificate."),
        Column("natural_key", Type.TEXT, "Meter id, trade id, grid settlement id or bundle id."),
        Column("payload", Type.TEXT, "Canonical JSON of the settled values (sorted keys, no spaces, ASCII)."),
        Column("leaf_sha256", Type.TEXT, "sha256(0x00 || payload), lower-case hex."),
        Column(
            "proof",
            Type.TEXT,
            "Way from the leaf to the batch's root: for each sibling L or R, the side it stands on, and its lower-case hex; empty for a lone leaf.",
            default="",
        ),
    ),
    key=("item_id",),
    window="window_start",
)

BATCHES = Table(
    schema="settlement",
    name="batches",
    comment="One settlement batch for each zone, market interval and version.",
    columns=(
        _BATCH,
        _ZONE,
        _WINDOW,
        Column("version", Type.INTEGER, "Settlement version.", "count from 1"),
        Column("items", Type.INTEGER, "Leaves in the batch.", "count"),
        Column(
            "merkle_root",
            Type.TEXT,
            "Root over the leaves: node = sha256(0x01 || left || right), an odd node is promoted; lower-case hex.",
        ),
        Column("traded_wh", Type.BIGINT, "Sum of the trades.", "Wh"),
        Column("amount_micro", Type.BIGINT, "Sum of the trades' amounts.", "micro-currency"),
        Column("certificate_wh", Type.BIGINT, "Sum of the issued certificates.", "Wh"),
        Column("memo", Type.TEXT, "Text that goes on chain."),
        Column("state", Type.TEXT, "pending, confirmed (all its actions are on chain), or failed (some were refused or parked)."),
    ),
    key=("batch_id",),
    window="window_start",
)

ACTIONS = Table(
    schema="settlement",
    name="actions",
    comment="What the chain has to do for a batch (or for a net of batches), each once: readings, roots, mints, trades, retirements.",
    columns=(
        Column("action_id", Type.TEXT, "UUIDv5 of kind and natural key: a re-run asks for the same again, and nothing happens."),
        Column("batch_id", Type.TEXT, "Batch, or net, that asks for it."),
        _ZONE,
        Column("window_start", Type.TIMESTAMP, "Start of the market interval, or of the netted period.", "UTC"),
        Column("stage", Type.INTEGER, "Actions of a lower stage land first.", "count from 1"),
        Column(
            "kind",
            Type.TEXT,
            "submit_energy_reading, record_batch, mint_grid, execute_trade, settle_position, mint_rec, retire_rec or memo.",
        ),
        Column(
            "natural_key", Type.TEXT, "What it is about: meter, trade, bundle, event, or batch; with the window where needed."
        ),
        Column("arguments", Type.TEXT, "Canonical JSON of the action's arguments (sorted keys, no spaces, ASCII)."),
        Column("state", Type.TEXT, "waiting, done, refused (by the chain), or parked (would be refused, or by the operator)."),
        Column("signature", Type.TEXT, "Transaction that carried it; null until one has.", nullable=True),
        Column("error_code", Type.INTEGER, "Code the chain refused it with, or would.", nullable=True),
        Column("error", Type.TEXT, "Why it was refused or parked.", nullable=True),
    ),
    key=("action_id",),
    window="window_start",
)

NETS = Table(
    schema="settlement",
    name="nets",
    comment="With netting: each meter's net of a period, in place of its trades, mints and retirements one by one.",
    columns=(
        Column("net_id", Type.TEXT, "UUIDv5 of zone, period and number."),
        _ZONE,
        Column("period_start", Type.TIMESTAMP, "Start of the netted period.", "UTC"),
        Column("period_end", Type.TIMESTAMP, "End of the netted period.", "UTC"),
        Column("number", Type.INTEGER, "1, and more for what was settled after the period was netted.", "count from 1"),
        Column("meter_id", Type.TEXT, "Meter."),
        Column("energy_wh", Type.BIGINT, "Bought less sold.", "Wh"),
        Column("amount_micro", Type.BIGINT, "Received less paid.", "micro-currency"),
        Column("certified_wh", Type.BIGINT, "Certificates minted less retired, of the meter's production.", "Wh"),
    ),
    key=("net_id", "meter_id"),
    window="period_start",
)

NETTED = Table(
    schema="settlement",
    name="netted",
    comment="Which batches a net holds: every batch is in one net at most.",
    columns=(
        _BATCH,
        _ZONE,
        _WINDOW,
        Column("net_id", Type.TEXT, "Net."),
    ),
    key=("batch_id",),
    window="window_start",
)

TRANSACTIONS = Table(
    schema="settlement",
    name="transactions",
    comment="Transactions that carried actions of a batch, with the chain's receipt.",
    columns=(
        Column("signature", Type.TEXT, "Transaction signature, base58."),
        _BATCH,
        _ZONE,
        _WINDOW,
        Column("kind", Type.TEXT, "Kinds of its actions, joined by +."),
        Column("actions", Type.INTEGER, "Actions it carried.", "count", default=1),
        Column("size_bytes", Type.INTEGER, "Length on the wire, at most 1232.", "bytes", nullable=True),
        Column("slot", Type.BIGINT, "Slot it landed in; null until it has.", nullable=True),
        Column("fee_lamports", Type.BIGINT, "Fee paid.", "lamports", nullable=True),
        Column("compute_units", Type.BIGINT, "Compute units consumed.", "CU", nullable=True),
        Column("state", Type.TEXT, "sent, confirmed, failed or expired."),
        Column("error", Type.TEXT, "Error of the chain, where it refused.", nullable=True),
    ),
    key=("signature",),
    window="window_start",
)

TABLES = (ITEMS, BATCHES, ACTIONS, NETS, NETTED, TRANSACTIONS)
