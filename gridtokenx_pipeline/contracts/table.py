"""What a warehouse table is: columns with types, units and comments, its key, its partition window.

Belongs here: the description of tables as data, and the renaming between pipeline frames and stored
tables that follows from it. Does not belong here: SQL execution (`gridtokenx_pipeline.warehouse`).

Energy has one representation on each side of the boundary. In Polars frames it is a whole number of
milli-watt-hours in an `Int64` column named `*_milli_wh`; in the warehouse it is exact watt-hours in a
`DECIMAL(18,3)` column named `*_wh`. Settled energy is whole watt-hours (`BIGINT`, `*_wh`) on both sides.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import polars as pl


class Type(enum.Enum):
    """A column's logical type: its DuckDB type and the Polars type of the frames that carry it."""

    TEXT = ("VARCHAR", pl.String)
    INTEGER = ("INTEGER", pl.Int32)
    BIGINT = ("BIGINT", pl.Int64)
    BOOLEAN = ("BOOLEAN", pl.Boolean)
    BYTES = ("BLOB", pl.Binary)
    TIMESTAMP = ("TIMESTAMPTZ", pl.Datetime("us", "UTC"))
    ENERGY = ("DECIMAL(18,3)", pl.Int64)
    PERCENT = ("DECIMAL(5,2)", pl.Decimal(5, 2))

    @property
    def sql(self) -> str:
        """The DuckDB column type."""
        return self.value[0]

    @property
    def polars(self) -> pl.DataType | type[pl.DataType]:
        """The Polars type of the same column in a pipeline frame."""
        return self.value[1]


@dataclass(frozen=True)
class Column:
    """One column: `unit` is empty where a value has none (names, ids, states).

    `default` is what rows of an earlier version of the table have in a column that came later.
    """

    name: str
    type: Type
    comment: str
    unit: str = ""
    nullable: bool = False
    default: int | str | None = None

    @property
    def frame_name(self) -> str:
        """Its name in Polars frames: `energy_wh` is stored, `energy_milli_wh` is carried."""
        if self.type is Type.ENERGY:
            return self.name.removesuffix("_wh") + "_milli_wh"
        return self.name


class ContractViolation(ValueError):
    """A frame does not have the columns, types or key its table's contract states."""


@dataclass(frozen=True)
class Table:
    """A table's contract.

    `key` identifies a row for ever: a second row with the same key is an error, not a version.
    `window` is the timestamp column by which whole hours or days are replaced; a table without one is replaced whole.
    """

    schema: str
    name: str
    comment: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    window: str | None
    by_name: dict[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {column.name: column for column in self.columns}
        missing = [name for name in (*self.key, *filter(None, [self.window])) if name not in by_name]
        if missing or len(by_name) != len(self.columns):
            raise ValueError(f"{self.full_name}: bad contract (missing {missing}, or a column named twice)")
        object.__setattr__(self, "by_name", by_name)

    @property
    def full_name(self) -> str:
        """`schema.name`, as analysts write it."""
        return f"{self.schema}.{self.name}"

    def frame_schema(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """The Polars schema of a frame that can be written to this table, in column order."""
        return {column.frame_name: column.type.polars for column in self.columns}

    def empty(self) -> pl.DataFrame:
        """A frame of this table without rows."""
        return pl.DataFrame(schema=self.frame_schema())

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return `frame` with this table's columns in order, after checking it against the contract.

        Raises `ContractViolation` for missing or unexpected columns, wrong types, nulls where the
        contract has none, or a repeated key. All problems of a kind are named at once.
        """
        wanted = self.frame_schema()
        missing = [name for name in wanted if name not in frame.columns]
        extra = [name for name in frame.columns if name not in wanted]
        if missing or extra:
            raise ContractViolation(f"{self.full_name}: missing columns {missing}, unexpected columns {extra}")
        frame = frame.select(list(wanted))
        wrong = [f"{n}: {frame.schema[n]}, not {t}" for n, t in wanted.items() if frame.schema[n] != t]
        if wrong:
            raise ContractViolation(f"{self.full_name}: wrong types: {'; '.join(wrong)}")
        nulls = [c.frame_name for c in self.columns if not c.nullable and frame[c.frame_name].null_count()]
        if nulls:
            raise ContractViolation(f"{self.full_name}: nulls in {nulls}")
        keys = [self.by_name[name].frame_name for name in self.key]
        repeated = frame.select(keys).is_duplicated()
        if repeated.any():
            first = frame.filter(repeated).select(keys).row(0, named=True)
            raise ContractViolation(f"{self.full_name}: {repeated.sum()} rows repeat a key, such as {first}")
        return frame
