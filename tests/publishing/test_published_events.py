from __future__ import annotations

import datetime as dt

import pytest

from gridtokenx_pipeline.publishing import events
from gridtokenx_pipeline.publishing.events import Occasion
from gridtokenx_pipeline.publishing.programs import Target
from ieee2030_5.function_sets import find
from ieee2030_5.requirements import missing
from ieee2030_5.resources import DERControlBase, DERProgram
from ingest_server.operational.resources import ResourceStore

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
OCCASION = Occasion(NOON, 900, NOON - dt.timedelta(minutes=5), randomize_s=60)
METER = Target("A1B2C3D4" * 5)
KINDS = {
    "der": lambda target: events.der_control(target, OCCASION, DERControlBase(op_mod_max_lim_w=5000)),
    "load": lambda target: events.load_control(target, OCCASION, 20),
    "price": lambda target: events.price(target, OCCASION, 95_000, 840),
    "message": lambda target: events.message(target, OCCASION, "Maintenance at ten"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", [Target(), METER], ids=["campus", "meter"])
def test_an_event_comes_with_its_program_and_lacks_nothing(store: ResourceStore, kind: str, target: Target) -> None:
    published = KINDS[kind](target)
    for publication in published:
        assert missing(publication.resource) is None
        assert publication.owner == target.lfdi
        node = find(publication.path)
        assert node is not None
        assert len(publication.path) < 45, "clients keep an address and its query in 64 bytes"
    assert store.publish(published) == [publication.path for publication in published]
    assert store.publish(KINDS[kind](target)) == []


def test_a_meters_own_program_is_the_stronger() -> None:
    campus, own = (next(p.resource for p in KINDS["der"](t) if isinstance(p.resource, DERProgram)) for t in (Target(), METER))
    assert own.primacy < campus.primacy


def test_an_event_called_off_keeps_its_place(store: ResourceStore) -> None:
    published = KINDS["der"](METER)
    store.publish(published)
    event = published[-1]
    off = events.cancelled(event.resource, NOON)
    assert (off.event_status.current_status, off.mrid, off.interval) == (2, event.resource.mrid, event.resource.interval)
    list_path, at = event.path.rpartition("/")[0], int(NOON.timestamp()) + 60
    assert store.counts([list_path.replace("derc", "actderc")], [METER.lfdi], now=at) == {list_path.replace("derc", "actderc"): 1}
    store.publish([type(event)(event.path, off, event.owner)])
    assert store.counts([list_path], [METER.lfdi], now=at) == {list_path: 1}
    assert store.counts([list_path.replace("derc", "actderc")], [METER.lfdi], now=at) == {list_path.replace("derc", "actderc"): 0}


def test_impossible_wishes_are_refused() -> None:
    with pytest.raises(ValueError, match="0 to 100 percent"):
        events.load_control(Target(), OCCASION, 120)
