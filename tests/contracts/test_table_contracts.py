from __future__ import annotations

import datetime as dt
from decimal import Decimal

import polars as pl
import pytest
import yaml

from gridtokenx_pipeline.config import PROJECT_ROOT
from gridtokenx_pipeline.contracts import TABLES, Column, ContractViolation, Table, Type, core
from gridtokenx_pipeline.warehouse.documentation import data_dictionary, dbt_sources

WHEN = dt.datetime(2026, 6, 1, 10, tzinfo=dt.UTC)

METERED = Table(
    schema="test",
    name="metered",
    comment="A table of every type.",
    columns=(
        Column("meter_id", Type.TEXT, "Meter."),
        Column("at", Type.TIMESTAMP, "Time.", "UTC"),
        Column("energy_wh", Type.ENERGY, "Energy.", "Wh"),
        Column("settled_wh", Type.BIGINT, "Whole energy.", "Wh", nullable=True),
        Column("count", Type.INTEGER, "Count."),
        Column("valid", Type.BOOLEAN, "Valid."),
        Column("body", Type.BYTES, "Body."),
        Column("soc_pct", Type.PERCENT, "Charge.", "%", nullable=True),
    ),
    key=("meter_id", "at"),
    window="at",
)
ROW = {
    "meter_id": "A",
    "at": WHEN,
    "energy_milli_wh": 1,
    "settled_wh": None,
    "count": 1,
    "valid": True,
    "body": b"x",
    "soc_pct": Decimal("1.50"),
}

# What tools, dashboards and checks of ours read. More columns are welcome, these names stay.
KEY_COLUMNS = {
    "raw.messages": "message_id received_at zone device_lfdi meter_id method path content_type body body_sha256 source",
    "core.readings": (
        "zone meter_id channel interval_start duration_s energy_wh register_wh quality_flags device_quality_flags version "
        "message_id received_at"
    ),
    "core.rejected_readings": "message_id zone meter_id channel interval_start reason detail received_at",
    **{
        f"core.energy_{length}": (
            "zone meter_id interval_start generation_wh load_wh charge_wh discharge_wh import_wh export_wh state_of_charge_pct "
            "readings_expected readings_present quality_flags version"
        )
        for length in ("15s", "5min", "15min")
    },
    "market.intervals": (
        "zone interval_start supply_wh demand_wh traded_wh price_micro_per_kwh feed_in_micro_per_kwh retail_micro_per_kwh "
        "mechanism version state"
    ),
    "market.trades": (
        "trade_id zone interval_start seller_meter_id buyer_meter_id energy_wh price_micro_per_kwh amount_micro kind mechanism version"
    ),
    "market.grid_settlements": "zone interval_start meter_id energy_wh amount_micro version",
    "certificates.bundles": "bundle_id zone meter_id interval_start interval_end energy_wh carrier source state owner",
    "settlement.batches": "batch_id zone window_start items merkle_root state",
    "settlement.transactions": "signature batch_id kind slot fee_lamports state",
}

TABLE_BY_NAME = {table.full_name: table for table in TABLES}
EVERY_TABLE = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.full_name)


def _frame(*rows: dict, **columns: object) -> pl.DataFrame:
    return pl.DataFrame(list(rows) or [{**ROW, **columns}], schema=METERED.frame_schema())


def test_conform_puts_the_columns_in_the_contracts_order():
    shuffled = _frame().select(sorted(METERED.frame_schema()))
    conformed = METERED.conform(shuffled)
    assert conformed.schema == pl.Schema(METERED.frame_schema())
    assert conformed.row(0, named=True) == ROW


def test_conform_accepts_no_rows_and_nulls_where_the_contract_has_them():
    assert METERED.conform(METERED.empty()).is_empty()
    assert METERED.conform(_frame(soc_pct=None)).item(0, "soc_pct") is None


def test_conform_names_every_missing_and_every_unexpected_column():
    wrong = _frame().drop("at", "body").with_columns(surprise=pl.lit(1), energy_wh=pl.lit(1))
    with pytest.raises(ContractViolation) as caught:
        METERED.conform(wrong)
    message = str(caught.value)
    assert "test.metered" in message
    missing, unexpected = message.split("unexpected columns")
    assert "'at'" in missing
    assert "'body'" in missing
    assert "'surprise'" in unexpected
    # Frames carry milli-watt-hours: the stored name is not a column of a frame.
    assert "'energy_wh'" in unexpected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (_frame().drop("at"), r"missing columns \['at'\], unexpected columns \[\]"),
        (_frame().with_columns(surprise=pl.lit(1)), r"missing columns \[\], unexpected columns \['surprise'\]"),
    ],
    ids=["one missing", "one too many"],
)
def test_conform_takes_neither_less_nor_more(wrong: pl.DataFrame, message: str):
    with pytest.raises(ContractViolation, match=message):
        METERED.conform(wrong)


def test_conform_names_every_wrong_type_with_what_it_should_be():
    wrong = _frame().with_columns(
        pl.col("count").cast(pl.Int64), pl.col("at").dt.replace_time_zone(None), pl.col("energy_milli_wh").cast(pl.Float64)
    )
    with pytest.raises(ContractViolation, match=r"test\.metered: wrong types") as caught:
        METERED.conform(wrong)
    assert "count: Int64, not Int32" in str(caught.value)
    assert "at: Datetime" in str(caught.value)
    assert "energy_milli_wh: Float64, not Int64" in str(caught.value)
    assert "meter_id" not in str(caught.value)


@pytest.mark.parametrize("unit", ["ms", "ns"])
def test_conform_takes_microseconds_only(unit: str):
    with pytest.raises(ContractViolation, match="at: Datetime"):
        METERED.conform(_frame().with_columns(pl.col("at").dt.cast_time_unit(unit)))


def test_conform_takes_utc_only():
    with pytest.raises(ContractViolation, match="America/Los_Angeles"):
        METERED.conform(_frame().with_columns(pl.col("at").dt.convert_time_zone("America/Los_Angeles")))


def test_conform_names_every_column_with_forbidden_nulls():
    with pytest.raises(ContractViolation, match=r"nulls in \['at', 'valid'\]"):
        METERED.conform(_frame(at=None, valid=None))


def test_conform_counts_and_shows_repeated_keys():
    rows = [ROW, {**ROW, "count": 2}, {**ROW, "meter_id": "B"}]
    with pytest.raises(ContractViolation, match=r"2 rows repeat a key, such as .*'meter_id': 'A'"):
        METERED.conform(_frame(*rows))


def test_conform_compares_the_whole_key():
    rows = [ROW, {**ROW, "at": WHEN + dt.timedelta(microseconds=1)}, {**ROW, "meter_id": "B"}]
    assert len(METERED.conform(_frame(*rows))) == 3


@pytest.mark.parametrize(
    ("name", "type_", "frame_name"),
    [
        ("energy_wh", Type.ENERGY, "energy_milli_wh"),
        ("generation_register_wh", Type.ENERGY, "generation_register_milli_wh"),
        ("traded_wh", Type.BIGINT, "traded_wh"),
        ("meter_id", Type.TEXT, "meter_id"),
    ],
)
def test_only_exact_energies_have_another_name_in_frames(name: str, type_: Type, frame_name: str):
    assert Column(name, type_, "A column.").frame_name == frame_name


@pytest.mark.parametrize(
    ("key", "window", "columns"),
    [
        (("nothing",), None, core.METERS.columns),
        (("meter_id",), "nothing", core.METERS.columns),
        (("meter_id",), None, (*core.METERS.columns, core.METERS.columns[0])),
    ],
    ids=["unknown key", "unknown window", "column twice"],
)
def test_a_contradictory_contract_cannot_be_made(key: tuple[str, ...], window: str | None, columns: tuple[Column, ...]):
    with pytest.raises(ValueError, match=r"x\.y: bad contract"):
        Table("x", "y", "A table.", columns, key, window)


def test_tables_are_named_once_and_schemas_come_in_one_block():
    names = [table.full_name for table in TABLES]
    assert len(set(names)) == len(names)
    # dbt sources group neighbours: a schema in two blocks would be declared twice.
    schemas = [table.schema for table in TABLES]
    blocks = [s for i, s in enumerate(schemas) if i == 0 or schemas[i - 1] != s]
    assert len(set(blocks)) == len(blocks)


@EVERY_TABLE
def test_every_table_says_what_it_is_and_what_identifies_a_row(table: Table):
    assert table.comment.strip().endswith(".")
    assert table.key
    assert not [name for name in table.key if table.by_name[name].nullable]
    if table.window is not None:
        assert table.by_name[table.window].type is Type.TIMESTAMP
        assert not table.by_name[table.window].nullable


@EVERY_TABLE
def test_every_column_says_what_it_is(table: Table):
    for column in table.columns:
        assert column.comment.strip().endswith("."), column.name
        assert (column.unit == "UTC") == (column.type is Type.TIMESTAMP), column.name
        assert (column.unit == "%") == (column.type is Type.PERCENT) == column.name.endswith("_pct"), column.name


@EVERY_TABLE
def test_energy_is_exact_and_named_in_watt_hours(table: Table):
    for column in table.columns:
        assert not column.name.endswith("_mwh"), "mwh reads as megawatt-hours"
        if column.unit == "Wh":
            # Metered energy is exact to the milli-watt-hour; the settled side counts whole watt-hours.
            assert column.type is (Type.ENERGY if table.schema == "core" else Type.BIGINT), column.name
            assert column.name.endswith("_wh"), column.name
        else:
            assert column.type is not Type.ENERGY, column.name
            assert not column.name.endswith("_wh"), column.name
        assert ("micro" in column.name) == column.unit.startswith("micro-currency"), column.name
        if "micro" in column.name:
            assert column.type is Type.BIGINT, column.name


@pytest.mark.parametrize("name", KEY_COLUMNS)
def test_the_columns_that_others_read_are_there(name: str):
    missing = set(KEY_COLUMNS[name].split()) - set(TABLE_BY_NAME[name].by_name)
    assert not missing


def test_the_channels_are_the_energy_columns():
    energies = {
        c.name.removesuffix("_wh") for c in core.ENERGY_5MIN.columns if c.type is Type.ENERGY and "register" not in c.name
    }
    assert energies == set(core.ENERGY_CHANNELS) == set(core.CHANNELS) - {"state_of_charge"}


@pytest.mark.parametrize(
    ("path", "made"),
    [("docs/data_dictionary.md", data_dictionary), ("dbt/models/sources.yml", dbt_sources)],
    ids=["dictionary", "dbt"],
)
def test_the_committed_documents_are_made_from_the_contracts(path: str, made):
    assert (PROJECT_ROOT / path).read_text(encoding="utf-8") == made(), "run: gridtokenx dictionary"


def test_dbt_reads_back_every_table_and_comment():
    document = yaml.safe_load(dbt_sources())
    described = {
        f"{source['schema']}.{table['name']}": (
            table["description"],
            table["config"]["meta"]["dagster"]["asset_key"],
            table["config"].get("event_time"),
            {c["name"]: c["description"] for c in table["columns"]},
        )
        for source in document["sources"]
        for table in source["tables"]
    }
    assert described.keys() == TABLE_BY_NAME.keys()
    for name, (description, asset_key, event_time, columns) in described.items():
        table = TABLE_BY_NAME[name]
        assert (description, asset_key, event_time) == (table.comment, [table.schema, table.name], table.window)
        assert columns == {c.name: f"{c.comment} [{c.unit}]" if c.unit else c.comment for c in table.columns}


def test_awkward_comments_survive_both_documents():
    column = Column("x", Type.TEXT, "It's 'a | b': # not a comment.", "a|b")
    table = Table("odd", "one", "A: 'quoted' table.", (column,), ("x",), None)
    read = yaml.safe_load(dbt_sources([table]))["sources"][0]["tables"][0]
    assert read["description"] == table.comment
    assert read["columns"][0]["description"] == f"{column.comment} [a|b]"
    line = next(line for line in data_dictionary([table]).splitlines() if line.startswith("| `x`"))
    assert line.count("|") == 6, "a bar in a comment must not make another cell"
