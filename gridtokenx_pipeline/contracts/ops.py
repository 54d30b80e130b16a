"""What the pipeline knows about its own progress."""

from .table import Column, Table, Type

WATERMARKS = Table(
    schema="ops",
    name="watermarks",
    comment="How far each stage has read: an interval closes when everything received until its end plus the tolerance was parsed.",
    columns=(
        Column("zone", Type.TEXT, "Market area."),
        Column("stage", Type.TEXT, "landing (loaded into raw.messages) or readings (parsed and validated)."),
        Column("complete_until", Type.TIMESTAMP, "Everything acknowledged before this moment went through the stage.", "UTC"),
    ),
    key=("zone", "stage"),
    window=None,
)

TABLES = (WATERMARKS,)
