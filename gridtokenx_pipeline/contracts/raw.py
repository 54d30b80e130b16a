"""Raw messages: what devices wrote, byte for byte, kept for as long as retention says (for ever where it says nothing)."""

from .table import Column, Table, Type

MESSAGES = Table(
    schema="raw",
    name="messages",
    comment="Every message the ingest server acknowledged, as received. Append-only; loaded from the landing store once.",
    columns=(
        Column("message_id", Type.TEXT, "Landing segment and sequence; unique for ever."),
        Column("received_at", Type.TIMESTAMP, "When the ingest server received the message.", "UTC"),
        Column("zone", Type.TEXT, "Market area of the device at receipt."),
        Column(
            "device_lfdi",
            Type.TEXT,
            "LFDI of the TLS client certificate: 40 upper-case hex digits; zeros where there was none (source gateway).",
        ),
        Column(
            "meter_id",
            Type.TEXT,
            "Meter that the certificate stood for at receipt, or that a gateway message is of; empty where it is of several.",
        ),
        Column("method", Type.TEXT, "HTTP method; IMPORT for a file."),
        Column("path", Type.TEXT, "Request path, without the query."),
        Column("content_type", Type.TEXT, "Media type of the body, as sent."),
        Column("body", Type.BYTES, "Request body, unchanged; empty where body_removed_at is set."),
        Column("body_sha256", Type.TEXT, "SHA-256 of the body, lower-case hex."),
        Column("source", Type.TEXT, "How it came: sep2, gateway or replay."),
        Column("segment", Type.TEXT, "Landing segment the message was read from."),
        Column("sequence", Type.BIGINT, "Position in the segment; the loader's high-water mark.", "count from 1"),
        Column(
            "sender_lfdi",
            Type.TEXT,
            "LFDI of the TLS client certificate that posted for the device, an aggregator's for one; none where it was the device's.",
            nullable=True,
        ),
        Column(
            "body_removed_at",
            Type.TIMESTAMP,
            "When retention or the erasure of a person's data removed the body, whose hash stays; null while it is there.",
            "UTC",
            nullable=True,
        ),
    ),
    key=("message_id",),
    window="received_at",
)

TABLES = (MESSAGES,)
