"""`gridtokenx settle`: what is on its way to the chain; with --dry-run, what other mechanisms or prices would have come to."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options, settle_outbox, settle_setup, settle_status, settle_verify

if TYPE_CHECKING:
    from gridtokenx_pipeline.comparison import Comparison

_WIDE = 160

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
app.command("status")(settle_status.status)
app.command("retry")(settle_outbox.retry)
app.command("park")(settle_outbox.park)
app.command("verify")(settle_verify.verify)
app.command("setup")(settle_setup.setup)


class Mechanism(StrEnum):
    """Clearing mechanisms."""

    SDR = "sdr_bilateral"
    MMR = "mmr"
    AUCTION = "double_auction"


@app.callback()
def settle(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare, and write nothing.")] = False,
    from_: Annotated[str, typer.Option("--from", help="First interval, ISO 8601; UTC where no offset is given.")] = "",
    to: Annotated[str, typer.Option("--to", help="End, exclusive.")] = "",
    mechanism: Annotated[
        list[Mechanism] | None, typer.Option("--mechanism", help="Mechanism to compare with the one in force; repeat for more.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Compare all mechanisms; so it is where none is named.")] = False,
    retail: Annotated[int | None, typer.Option("--retail", min=0, help="Retail tariff, micro-currency per kWh.")] = None,
    feed_in: Annotated[int | None, typer.Option("--feed-in", min=0, help="Feed-in tariff, micro-currency per kWh.")] = None,
    compensation: Annotated[
        int | None, typer.Option("--compensation", min=0, help="Seller compensation, micro-currency per kWh.")
    ] = None,
    by_meter: Annotated[bool, typer.Option("--by-meter", help="List the bill of every meter.")] = False,
    plot: Annotated[Path | None, typer.Option("--plot", help="Write a plot of the prices to this PNG file.")] = None,
    data: options.Data = None,
    config: options.Config = None,
    json_: options.Json = False,
) -> None:
    """Compare clearing mechanisms, or other prices, on past energy: prices, incomes, savings, who would gain and who would lose.

    The mechanism in force is always beside them, at the configured prices. Agreements, offers and the network are those of the
    window. Settling itself is the pipeline's work: its job `settle` does it every five minutes.

    Example: gridtokenx settle --dry-run --mechanism mmr --from 2026-11-01 --to 2026-11-08 --by-meter

    Example: gridtokenx settle --dry-run --all --retail 300000 --from 2026-11-01 --to 2026-11-08 --plot prices.png
    """
    if context.invoked_subcommand is not None:
        return
    if not dry_run:
        typer.echo(
            "gridtokenx: settling is the pipeline's work: the job `settle` does it (gridtokenx up, or the Dagster UI). "
            "To compare mechanisms and write nothing, add --dry-run.",
            err=True,
        )
        raise typer.Exit(2)
    start, end = _moment(from_, "--from"), _moment(to, "--to")
    if not start < end:
        raise typer.BadParameter("--from must be before --to")
    names = list(Mechanism) if all_ or not mechanism else mechanism

    from gridtokenx_pipeline.comparison import NothingToCompare, Prices, compare
    from gridtokenx_pipeline.domain.market import MarketInputError
    from gridtokenx_pipeline.warehouse import Warehouse

    settings = options.settings(data, config)
    with Warehouse(settings.warehouse_dir, read_only=True) as warehouse, _bar(shown=not json_) as progress:
        try:
            found = compare(
                warehouse, settings, start, end, [str(name) for name in names], Prices(feed_in, retail, compensation), progress
            )
        except NothingToCompare as nothing:
            _end(str(nothing), 1)
        except MarketInputError as wrong:
            _end(str(wrong), 2)
    if plot is not None:
        from gridtokenx_pipeline.comparison.chart import write_picture

        write_picture(plot, found.outcomes, found.currency)
    if json_:
        typer.echo(json.dumps(_as_json(found, by_meter=by_meter), indent=2))
        return
    _print(found, by_meter=by_meter, prices=str(Prices(feed_in, retail, compensation)))
    if plot is not None:
        typer.echo(f"wrote {plot}")


def _end(text: str, code: int) -> Any:
    typer.echo(f"gridtokenx: {text}", err=True)
    raise typer.Exit(code)


def _moment(text: str, option: str) -> Any:
    if not text:
        raise typer.BadParameter("a window is needed: --from and --to", param_hint=option)
    return options.moment(text)


def _as_json(found: Comparison, *, by_meter: bool) -> dict[str, Any]:
    outcomes = []
    for name in found.outcomes:
        one = found.summary(name)
        if by_meter:
            one["meters"] = (
                found.outcomes[name]
                .meters.join(found.against_in_force(name).select("meter_id", "difference_micro"), on="meter_id")
                .to_dicts()
            )
        outcomes.append(one)
    return {"in_force": found.in_force, "currency": found.currency, "open_intervals": found.open_intervals, "outcomes": outcomes}


def _print(found: Comparison, *, by_meter: bool, prices: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from gridtokenx_pipeline.comparison.chart import lines

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
    summaries = [found.summary(name) for name in found.outcomes]
    table = Table(title=f"What if: {prices}" if prices else None, title_justify="left")
    table.add_column("")
    for name in found.outcomes:
        table.add_column(name, justify="right")
    for label, text in _rows(found.currency):
        table.add_row(label, *(text(one) for one in summaries))
    console.print(table)
    if found.open_intervals:
        console.print(f"{found.open_intervals} intervals of the window are still open and left out.")
    if by_meter:
        console.print(_meters(found))
    for line in lines(found.outcomes, found.currency, min(console.width, 120)):
        console.print(line, markup=False)


def _rows(currency: str) -> list[tuple[str, Callable[[dict[str, Any]], str]]]:
    """Labels of the table's rows, and what they say of a summary."""

    def wh(name: str) -> Callable[[dict[str, Any]], str]:
        return lambda one: f"{one[name]:,} Wh"

    def money(name: str) -> Callable[[dict[str, Any]], str]:
        return lambda one: f"{_units(one[name])} {currency}"

    def price(name: str) -> Callable[[dict[str, Any]], str]:
        return lambda one: "-" if one[name] is None else f"{_units(one[name])} {currency}/kWh"

    def meter(name: str) -> Callable[[dict[str, Any]], str]:
        return lambda one: (
            "-" if one[name] is None else f"{one[name]['meter_id']} {_units(one[name]['micro'], signed=True)} {currency}"
        )

    return [
        ("intervals", lambda one: f"{one['intervals']:,}"),
        ("supply", wh("supply_wh")),
        ("demand", wh("demand_wh")),
        ("traded", wh("traded_wh")),
        ("lost on the way", wh("loss_wh")),
        ("price, least", price("price_min_micro_per_kwh")),
        ("price, mean by energy", price("price_mean_micro_per_kwh")),
        ("price, highest", price("price_max_micro_per_kwh")),
        ("sellers' extra income against feed-in", money("sellers_extra_micro")),
        ("buyers' savings against retail", money("buyers_savings_micro")),
        ("wheeling", money("wheeling_micro")),
        ("meters better off than in force", lambda one: str(one["better_off"])),
        ("meters worse off than in force", lambda one: str(one["worse_off"])),
        ("gains most", meter("largest_gain")),
        ("loses most", meter("largest_loss")),
    ]


def _meters(found: Comparison) -> Any:
    from rich.table import Table

    table = Table(
        title=f"Bills in {found.currency}: + received, - paid; in brackets the difference to what is in force",
        title_justify="left",
    )
    table.add_column("meter")
    table.add_column("surplus Wh", justify="right")
    table.add_column("deficit Wh", justify="right")
    bills = {name: {row[0]: row[1:] for row in found.against_in_force(name).iter_rows()} for name in found.outcomes}
    for name in found.outcomes:
        table.add_column(name, justify="right")
    for row in found.outcomes[found.in_force].meters.iter_rows(named=True):
        cells = []
        for name, of in bills.items():
            bill, difference = of[row["meter_id"]]
            cells.append(_units(bill) if name == found.in_force else f"{_units(bill)} ({_units(difference, signed=True)})")
        table.add_row(row["meter_id"], f"{row['surplus_wh']:,}", f"{row['deficit_wh']:,}", *cells)
    return table


def _units(micro: int, *, signed: bool = False) -> str:
    """Micro-currency in units, exactly."""
    sign = "-" if micro < 0 else "+" if signed and micro > 0 else ""
    return f"{sign}{abs(micro) // 1_000_000:,}.{abs(micro) % 1_000_000:06d}"


@contextlib.contextmanager
def _bar(*, shown: bool) -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar of days on standard error; nothing where output is for a program."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not shown, transient=True) as bar:
        task = bar.add_task("clearing", total=None)
        yield lambda done, total, what: bar.update(task, completed=done, total=total, description=f"clearing {what}")
