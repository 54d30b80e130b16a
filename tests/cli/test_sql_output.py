"""Message bodies, lists and structs come out of `gridtokenx sql` as text; every command of the tree is documented."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import click
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from gridtokenx_pipeline.cli import app
from gridtokenx_pipeline.contracts import raw
from gridtokenx_pipeline.warehouse import Append, Warehouse

BODY = "<Reading>ö \"x\", 'y'\n</Reading>"
QUERY = (
    "SELECT message_id, body, [sequence, 2] AS list, {'at': received_at, 'n': sequence} AS struct, "
    "CAST(1.5 AS DECIMAL(18,3)) AS energy_wh FROM raw.messages ORDER BY message_id"
)


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with one message of text and one of bytes that are no text."""
    data = tmp_path_factory.mktemp("landed")
    frame = pl.DataFrame(
        [
            {name: "x" for name, type_ in raw.MESSAGES.frame_schema().items() if type_ == pl.String}
            | {"message_id": name, "body": body, "sequence": 7, "received_at": "2026-06-21T12:00:00Z"}
            for name, body in (("bytes", b"a\xff"), ("text", BODY.encode()))
        ]
    ).with_columns(pl.col("received_at").str.to_datetime(time_unit="us", time_zone="UTC"))
    frame = frame.with_columns(pl.lit(None, pl.Datetime("us", "UTC")).alias("body_removed_at"))
    with Warehouse(data / "warehouse") as warehouse:
        warehouse.commit(Append(raw.MESSAGES, frame))
    return data


def _sql(data: Path, *arguments: str) -> str:
    answer = CliRunner().invoke(app, ["sql", "--data", str(data), *arguments])
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_csv_holds_bodies_lists_and_structs(landed: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(_sql(landed, "--csv", QUERY))))
    assert [row["body"] for row in rows] == ["a\\xff", BODY]
    assert json.loads(rows[0]["list"]) == [7, 2]
    assert json.loads(rows[0]["struct"]) == {"at": "2026-06-21 12:00:00+00:00", "n": 7}
    assert rows[0]["energy_wh"] == "1.500"


def test_json_holds_bodies_as_they_were_sent(landed: Path) -> None:
    rows = json.loads(_sql(landed, "--json", QUERY))
    assert [row["body"] for row in rows] == ["a\\xff", BODY]
    assert rows[0]["list"] == [7, 2]
    assert rows[0]["struct"]["n"] == 7
    assert rows[0]["energy_wh"] == "1.500", "an exact decimal, not a float"


def test_no_rows_are_an_empty_list_and_a_header(landed: Path) -> None:
    nothing = QUERY.replace("ORDER", "WHERE false ORDER")
    assert json.loads(_sql(landed, "--json", nothing)) == []
    assert _sql(landed, "--csv", nothing).splitlines() == ["message_id,body,list,struct,energy_wh"]


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    # Typer may carry its own copy of click: what has subcommands is a group, whichever class it is.
    inner = getattr(command, "commands", None)
    if inner is None:
        return [(path, command)]
    return [found for name, child in inner.items() for found in _commands(child, (*path, name))]


def test_no_command_or_option_lacks_its_explanation() -> None:
    commands = _commands(typer.main.get_command(app))
    assert len(commands) > 10
    for path, command in commands:
        name = " ".join(path)
        assert f"Example: gridtokenx {name}" in (command.help or ""), name
        lacking = [p.name for p in command.params if not getattr(p, "help", None)]
        assert not lacking, f"{name}: {lacking}"
