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
        Column("state", Type.TEXT, "pending, submitted, confirmed or failed."),
    ),
    key=("batch_id",),
    window="window_start",
)

TRANSACTIONS = Table(
    schema="settlement",
    name="transactions",
    comment="Transactions that carried a batch, with the chain's receipt.",
    columns=(
        Column("signature", Type.TEXT, "Transaction signature, base58."),
        _BATCH,
        _ZONE,
        _WINDOW,
        Column("kind", Type.TEXT, "Logical action: memo."),
        Column("slot", Type.BIGINT, "Slot it landed in; null until it has.", nullable=True),
        Column("fee_lamports", Type.BIGINT, "Fee paid.", "lamports", nullable=True),
        Column("compute_units", Type.BIGINT, "Compute units consumed.", "CU", nullable=True),
        Column("state", Type.TEXT, "sent, confirmed, failed or expired."),
        Column("error", Type.TEXT, "Error of the chain, where it refused.", nullable=True),
    ),
    key=("signature",),
    window="window_start",
)

TABLES = (ITEMS, BATCHES, TRANSACTIONS)
