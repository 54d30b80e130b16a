"""Rows of a query as a table, JSON or CSV."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import polars as pl


def show(frame: pl.DataFrame, *, json_: bool = False, csv: bool = False) -> None:
    """Print a frame. Raises `typer.BadParameter` for both formats at once."""
    import polars as pl

    if json_ and csv:
        raise typer.BadParameter("choose one of --json and --csv")
    if csv:
        # CSV knows neither bytes (message bodies) nor lists and structs.
        odd = [name for name, dtype in frame.schema.items() if dtype == pl.Binary or dtype.is_nested()]
        frame.with_columns(
            pl.Series(name, [_text(value) for value in frame[name].to_list()], pl.String) for name in odd
        ).write_csv(sys.stdout)
    elif json_:
        typer.echo(json.dumps(frame.to_dicts(), default=_text, indent=2))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else -1
        with pl.Config(tbl_rows=200, tbl_cols=-1, tbl_hide_dataframe_shape=True, fmt_str_lengths=80, tbl_width_chars=width):
            typer.echo(str(frame))


def _text(value: Any) -> str | None:
    """A value of a cell as text: bytes as the UTF-8 they nearly always are, lists and structs as JSON."""
    if value is None:
        return None
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return json.dumps(value, default=_text) if isinstance(value, list | dict) else str(value)
