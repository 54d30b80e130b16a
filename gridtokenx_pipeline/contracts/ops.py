"""What the pipeline knows about its own progress."""

from .table import Column, Table, Type

WATERMARKS = Table(
    schema="ops",
    name="watermarks",
    comment="How far each receipt hour was read: an interval closes when everything received until its end plus the tolerance was parsed.",
    columns=(
        Column("zone", Type.TEXT, "Market area."),
        Column("stage", Type.TEXT, "landing (loaded into raw.messages) or readings (parsed and validated)."),
        Column("receipt_hour", Type.TIMESTAMP, "Start of the receipt hour.", "UTC"),
        Column("complete_until", Type.TIMESTAMP, "Everything acknowledged in the hour before this moment went through the stage.", "UTC"),
    ),
    key=("zone", "stage", "receipt_hour"),
    window="receipt_hour",
)

TABLES = (WATERMARKS,)
