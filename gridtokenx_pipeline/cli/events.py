"""`gridtokenx events`: what the campus tells its devices to do, and what they answered."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import options

if TYPE_CHECKING:
    from gridtokenx_pipeline.config import Settings
    from gridtokenx_pipeline.publishing.events import Occasion
    from gridtokenx_pipeline.publishing.programs import Target
    from ingest_server.operational.resources import Publication, ResourceStore

app = typer.Typer(help="Events for devices: DER control, load control, prices, messages.", no_args_is_help=True)

Meters = Annotated[list[str] | None, typer.Option("--meter", help="Meter id; repeat for more. The whole campus without.")]
Start = Annotated[str, typer.Option("--start", help="When it begins: now, +15m, +2h, or a time like 2026-11-23T18:00:00Z.")]
Minutes = Annotated[int, typer.Option("--minutes", min=1, max=1440, help="How long it holds.")]
Randomize = Annotated[int, typer.Option("--randomize", min=0, max=3600, help="Seconds over which devices spread its start.")]
_KINDS = {"der": "DERControl", "load": "EndDeviceControl", "price": "TimeTariffInterval", "message": "TextMessage"}


@app.command("der")
def der(
    max_percent: Annotated[float | None, typer.Option("--max-percent", min=0, max=100, help="Limit of output.")] = None,
    fixed_percent: Annotated[
        float | None, typer.Option("--fixed-percent", min=-100, max=100, help="Output of storage; negative charges.")
    ] = None,
    disconnect: Annotated[bool, typer.Option("--disconnect", help="Stop generation and storage.")] = False,
    meter: Meters = None,
    start: Start = "now",
    minutes: Minutes = 15,
    randomize: Randomize = 0,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Limit, set or stop what generators and batteries feed.

    Example: gridtokenx events der --max-percent 50 --minutes 30 --meter AMI_METER_STANFORD_GYM_001
    """
    from gridtokenx_pipeline.publishing import events
    from ieee2030_5.resources import DERControlBase

    if max_percent is None and fixed_percent is None and not disconnect:
        raise typer.BadParameter("say what to do: --max-percent, --fixed-percent or --disconnect")
    base = DERControlBase(
        op_mod_connect=False if disconnect else None,
        op_mod_fixed_w=None if fixed_percent is None else round(fixed_percent * 100),
        op_mod_max_lim_w=None if max_percent is None else round(max_percent * 100),
    )
    settings = options.settings(data, config)
    occasion = _occasion(start, minutes, randomize)
    _publish(settings, (events.der_control(target, occasion, base) for target in _targets(settings, meter)))


@app.command("load")
def load(
    shed_percent: Annotated[int, typer.Option("--shed-percent", min=0, max=100, help="Share of the load to give up.")],
    mandatory: Annotated[bool, typer.Option("--mandatory", help="Devices may not opt out.")] = False,
    meter: Meters = None,
    start: Start = "now",
    minutes: Minutes = 15,
    randomize: Randomize = 0,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Ask loads to run less: demand response.

    Example: gridtokenx events load --shed-percent 20 --start 2026-11-23T18:00:00Z --minutes 60 --randomize 120
    """
    from gridtokenx_pipeline.publishing import events

    settings = options.settings(data, config)
    occasion = _occasion(start, minutes, randomize)
    targets = _targets(settings, meter)
    _publish(settings, (events.load_control(target, occasion, shed_percent, mandatory=mandatory) for target in targets))


@app.command("price")
def price(
    micro_per_kwh: Annotated[int, typer.Option("--micro-per-kwh", help="Price in micro-units of the currency per kWh.")],
    meter: Meters = None,
    start: Start = "now",
    minutes: Minutes = 15,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Publish a price for a time.

    Example: gridtokenx events price --micro-per-kwh 95000 --minutes 30
    """
    from gridtokenx_pipeline.publishing import currencies, events

    settings = options.settings(data, config)
    occasion, currency = _occasion(start, minutes, 0), currencies.number(settings.market.currency)
    _publish(settings, (events.price(target, occasion, micro_per_kwh, currency) for target in _targets(settings, meter)))


@app.command("message")
def message(
    text: Annotated[str, typer.Argument(help="What to say.")],
    priority: Annotated[int, typer.Option("--priority", min=0, max=3, help="0 low, 1 normal, 2 high, 3 critical.")] = 1,
    meter: Meters = None,
    start: Start = "now",
    minutes: Minutes = 60,
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Show a text at the customers' displays.

    Example: gridtokenx events message "Maintenance of the feeder at 22:00" --minutes 240
    """
    from gridtokenx_pipeline.publishing import events

    settings = options.settings(data, config)
    occasion = _occasion(start, minutes, 0)
    _publish(settings, (events.message(target, occasion, text, priority) for target in _targets(settings, meter)))


@app.command("list")
def list_(data: options.Data = None, config: options.Config = None, json_: options.Json = False) -> None:
    """List the events that have not ended, with their addresses and how many devices answered what.

    The hours of the grid's tariff, which follow from the configuration, are left out.

    Example: gridtokenx events list --json
    """
    from gridtokenx_pipeline.publishing.grid_tariff import TARIFF

    settings = options.settings(data, config)
    store = _store(settings)
    now = dt.datetime.now(dt.UTC).timestamp()
    answers = _answers(store)
    rows = [
        {
            "path": row.path,
            "kind": kind,
            "for": row.owner or "campus",
            "start": _time(row.starts_at),
            "end": _time(row.ends_at),
            "status": "cancelled" if row.event_status == 2 else "active" if (row.starts_at or 0) <= now else "scheduled",
            "responses": answers.get(_mrid(row.fragment), {}),
        }
        for kind, name in _KINDS.items()
        for row in store.owned(name)
        if (row.ends_at or 0) > now and not row.path.startswith(f"{TARIFF}/")
    ]
    if json_:
        typer.echo(json.dumps(rows, indent=2))
        return
    for shown in rows:
        typer.echo("  ".join(str(value) for value in shown.values()))


@app.command("cancel")
def cancel(
    path: Annotated[str, typer.Argument(help="Address of the event, as `events list` shows it.")],
    data: options.Data = None,
    config: options.Config = None,
) -> None:
    """Call an event off: devices that follow it stop.

    Example: gridtokenx events cancel /derp/campus/derc/1A2B3C4D
    """
    from gridtokenx_pipeline.publishing.events import cancelled
    from ieee2030_5.function_sets import class_of
    from ieee2030_5.xml import decode, document, parse
    from ingest_server.operational.resources import Publication

    settings = options.settings(data, config)
    store = _store(settings)
    row = store.get(path)
    if row is None or row.kind not in _KINDS.values():
        raise typer.BadParameter(f"{path} is no event", param_hint="PATH")
    event = decode(parse(document(row.fragment)), class_of(row.kind))
    store.publish([Publication(path, cancelled(event, dt.datetime.now(dt.UTC)), row.owner)])
    typer.echo(f"cancelled {path}")


def _store(settings: Settings) -> ResourceStore:
    from ingest_server.operational.registry import Registry
    from ingest_server.operational.resources import ResourceStore

    registry = Registry(settings.operational_url)
    registry.create_all()
    registry.close()
    return ResourceStore(settings.operational_url)


def _targets(settings: Settings, meters: list[str] | None) -> list[Target]:
    from gridtokenx_pipeline.publishing.programs import Target
    from ingest_server.operational.registry import Registry

    if not meters:
        return [Target()]
    registry = Registry(settings.operational_url)
    registry.create_all()
    targets = []
    for meter in meters:
        devices = [device for device in registry.by_meter(meter) if device.status == "active"]
        if not devices:
            raise typer.BadParameter(f"{meter} has no active device: see `gridtokenx certs list`", param_hint="--meter")
        targets += [Target(device.lfdi) for device in devices]
    return targets


def _occasion(start: str, minutes: int, randomize: int) -> Occasion:
    from gridtokenx_pipeline import clock
    from gridtokenx_pipeline.publishing.events import Occasion

    now = clock.now().replace(microsecond=0)
    units = {"m": "minutes", "h": "hours", "s": "seconds"}
    try:
        if start == "now":
            begin = now
        elif start.startswith("+"):
            begin = now + dt.timedelta(**{units[start[-1]]: int(start[1:-1])})
        else:
            begin = dt.datetime.fromisoformat(start)
    except (ValueError, KeyError):
        raise typer.BadParameter(f"{start!r} is no time", param_hint="--start") from None
    if begin.tzinfo is None:
        raise typer.BadParameter("give the time with its zone: 2026-11-23T18:00:00Z", param_hint="--start")
    return Occasion(begin.astimezone(dt.UTC), minutes * 60, now, randomize)


def _publish(settings: Settings, publications: Iterable[list[Publication]]) -> None:
    batches = list(publications)
    changed = set(_store(settings).publish(publication for batch in batches for publication in batch))
    for batch in batches:
        event = next(p for p in reversed(batch) if type(p.resource).__name__ in _KINDS.values())
        typer.echo(f"{'published' if event.path in changed else 'unchanged'} {event.path}")


def _answers(store: ResourceStore) -> dict[str, dict[str, int]]:
    """Responses counted by event mRID and status; the latest of a device counts."""
    from ieee2030_5.function_sets import class_of
    from ieee2030_5.xml import decode, document, parse

    kinds = ("Response", "DERControlResponse", "DrResponse", "PriceResponse", "TextResponse")
    latest: dict[tuple[str, str], Any] = {}
    for row in (row for kind in kinds for row in store.owned(kind)):
        answer: Any = decode(parse(document(row.fragment)), class_of(row.kind))
        key = (answer.subject or "", answer.end_device_lfdi or "")
        if key not in latest or (answer.created_date_time or 0, answer.status or 0) > (
            latest[key].created_date_time or 0, latest[key].status or 0,
        ):  # fmt: skip
            latest[key] = answer
    counts: dict[str, dict[str, int]] = {}
    for (subject, _), answer in latest.items():
        of = counts.setdefault(subject, {})
        of[str(answer.status)] = of.get(str(answer.status), 0) + 1
    return counts


def _mrid(fragment: str) -> str:
    return fragment.partition("<mRID>")[2].partition("</mRID>")[0]


def _time(epoch_s: int | None) -> str | None:
    return None if epoch_s is None else dt.datetime.fromtimestamp(epoch_s, dt.UTC).isoformat()
