"""From what devices put and the operator's file to what the market is told."""

from __future__ import annotations

import datetime as dt
import importlib.util
from pathlib import Path

import polars as pl
import pytest

from gridtokenx_pipeline.config import PROJECT_ROOT, Settings, load
from gridtokenx_pipeline.contracts import core, market
from gridtokenx_pipeline.defs.market.inputs import file_agreements, market_inputs, tariff_bands
from gridtokenx_pipeline.defs.resources import Stores
from gridtokenx_pipeline.domain.market.model import Link, MarketInputError, Network
from gridtokenx_pipeline.warehouse import Replace, Warehouse
from ingest_server.operational.registry import Device

_SPEC = importlib.util.spec_from_file_location("p2p_history", PROJECT_ROOT / "tests" / "domain" / "market" / "p2p_history.py")
told = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(told)

CONFIG = """
zone = "stanford"
[site]
name = "Campus"
latitude = 37.4
longitude = -122.2
timezone = "America/Los_Angeles"
[market]
feed_in_micro_per_kwh = 80000
retail_micro_per_kwh = 280000
{market}
[[market.links]]
source = "north"
target = ""
loss_ppm = 20000
wheeling_micro_per_kwh = 1000
[[meters]]
id = "M1"
building = "One"
building_type = "academic"
rated_kw = 50
battery_kwh = 30
baseline_kw = 40
grid_zone = "north"
[[meters]]
id = "M2"
building = "Two"
building_type = "academic"
rated_kw = 50
battery_kwh = 30
baseline_kw = 40
[[meters]]
id = "M3"
building = "Three"
building_type = "academic"
rated_kw = 50
battery_kwh = 30
baseline_kw = 40
"""
TOU = """
[[market.tariffs]]
name = "tou"
valid_from = 2026-06-01
[[market.tariffs.periods]]
name = "peak"
feed_in_micro_per_kwh = 160000
retail_micro_per_kwh = 400000
days = ["mon", "tue", "wed", "thu", "fri"]
start = "16:00"
end = "21:00"
[[market.tariffs.periods]]
name = "day"
feed_in_micro_per_kwh = 80000
retail_micro_per_kwh = 280000
end = "16:00"
[[market.tariffs.periods]]
name = "day"
feed_in_micro_per_kwh = 80000
retail_micro_per_kwh = 280000
start = "21:00"
[[market.tariffs.periods]]
name = "day"
feed_in_micro_per_kwh = 80000
retail_micro_per_kwh = 280000
days = ["sat", "sun"]
start = "16:00"
end = "21:00"
"""
FILE = "priority,seller_meter_id,buyer_meter_id,max_wh,price_micro_per_kwh\n1,M3,M2,700,100000\n"


def settings_of(folder: Path, extra: str = "", file: str | None = None) -> Settings:
    folder.mkdir(exist_ok=True)
    if file is not None:
        (folder / "agreements.csv").write_text(file, encoding="utf-8")
        extra = f'agreements = "agreements.csv"\n{extra}'
    (folder / "campus.toml").write_text(CONFIG.format(market=extra), encoding="utf-8")
    return load(config=folder / "campus.toml", data=folder / "data")


def run(folder: Path, success: bool = True) -> Stores:
    import dagster as dg

    from gridtokenx_pipeline.defs.market.standing_orders import standing_orders

    stores = Stores(data=str(folder / "data"), config=str(folder / "campus.toml"))
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [standing_orders],
            partition_key="2026-06-01-00:00",
            resources={"stores": stores},
            instance=instance,
            raise_on_error=False,
        )
        assert done.success == success
    return stores


def starts(first: dt.datetime, hours: int) -> pl.Series:
    return pl.Series([first + dt.timedelta(minutes=5 * n) for n in range(hours * 12)], dtype=pl.Datetime("us", "UTC"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("standing")


@pytest.fixture(scope="module")
def scans_of_nothing(folder) -> list[str]:
    """The queries of the stage and of what the market is told, in a lake where nothing stands."""
    settings = settings_of(folder)
    scans = []
    query = Warehouse.query
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Warehouse, "query", lambda self, sql, parameters=(): scans.append(sql) or query(self, sql, parameters))
        stores = run(folder)
        found = market_inputs(stores.warehouse, settings, told.T0, told.at(60), starts(told.T0, 1))
    assert (found.agreements, found.offers) == ([], [])
    return scans


@pytest.fixture(scope="module")
def campus(folder, scans_of_nothing) -> tuple[Stores, Settings]:
    """Three meters whose devices put offers and agreements, a file, and prices by time of use."""
    settings = settings_of(folder, TOU, FILE)
    stores = Stores(data=str(settings.data), config=str(settings.config))
    zone = {"zone": "stanford", "sfdi": 1, "pin": 1}
    stores.registry.register([Device(lfdi, meter_id=meter, **zone) for lfdi, meter in told.DEVICES.items()])
    documents = told.history(
        told.document(1, "M1", "/p2p/agr/S"),
        told.document(2, "M2", "/p2p/agr/B", side="buyer"),
        told.document(3, "M3", "/p2p/agr/X", counterparty_lfdi=told.LFDI["M3"]),
        told.document(3, "M3", "/p2p/offer/O"),
        told.deletion(60, "M3", "/p2p/offer/O"),
    )
    with Warehouse(settings.warehouse_dir) as warehouse:
        warehouse.commit(Replace(core.P2P_DOCUMENTS, documents, told.T0, told.at(120)))
    return run(folder), settings


def test_nothing_that_stands_costs_no_scan(scans_of_nothing):
    assert scans_of_nothing
    assert not [sql for sql in scans_of_nothing if "FROM market." in sql or "FROM core." in sql]


def test_what_stands_is_told_to_the_market(campus):
    stores, settings = campus
    found = market_inputs(stores.warehouse, settings, told.T0, told.at(36 * 60), starts(told.T0, 36))
    assert [(one.seller_meter_id, one.buyer_meter_id, one.max_wh) for one in found.agreements] == [
        ("M1", "M2", 500), ("M1", "M2", 500), ("M3", "M2", 700), ("M3", "M2", 700),
    ]  # fmt: skip
    # Monday's peak begins at 16:00 in California, 23:00 UTC, and rules both prices out.
    bounds = {(one.seller_meter_id, one.valid_from, one.valid_until) for one in found.agreements}
    assert {("M1", told.at(5), told.at(23 * 60)), ("M1", told.at(28 * 60), told.at(36 * 60))} < bounds
    assert {one.meter_id for one in found.offers} == {"M3"}
    assert found.offers[0].valid_until == told.at(60)
    assert found.meters == {"M1", "M2", "M3"}
    assert found.network == Network({"M1": "north", "M2": "", "M3": ""}, {("north", ""): Link(20_000, 1000)})
    assert dict(found.tariffs["tariff"].value_counts().rows()) == {"flat": 84, "tou/day": 24 * 12, "tou/peak": 60}
    refused = found.agreements_frame.filter(pl.col("state") == "refused")
    assert refused["reason"].to_list() == ["a meter cannot trade with itself"]


def test_what_is_over_is_not_asked_for(campus):
    stores, settings = campus
    found = market_inputs(stores.warehouse, settings, told.at(60), told.at(120), starts(told.at(60), 1))
    assert found.offers == []
    assert found.offers_frame.is_empty()
    assert market_inputs(stores.warehouse, settings, told.T0, told.at(5), starts(told.T0, 1)[:1]).offers == []


def test_a_wrong_file_writes_nothing(campus):
    stores, settings = campus
    before = stores.warehouse.read(market.AGREEMENTS)
    path = settings.agreements_file
    path.write_text(FILE + "1,M3,M1,700,100000\n", encoding="utf-8")
    try:
        with pytest.raises(
            MarketInputError, match=r"agreements.csv, line 3, column priority: overlapping priorities of the seller"
        ):
            file_agreements(settings, tariff_bands(settings))
        run(settings.config.parent, success=False)
    finally:
        path.write_text(FILE, encoding="utf-8")
    assert before.height
    assert stores.warehouse.read(market.AGREEMENTS).equals(before)


def test_a_file_that_is_not_there_or_no_text_is_named(tmp_path):
    settings = settings_of(tmp_path, 'agreements = "nowhere.csv"')
    with pytest.raises(MarketInputError, match=r"market.agreements: .*nowhere.csv cannot be read"):
        file_agreements(settings, tariff_bands(settings))
    (tmp_path / "nowhere.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(MarketInputError, match="cannot be read"):
        file_agreements(settings, tariff_bands(settings))
    (tmp_path / "nowhere.csv").write_bytes(b"\xef\xbb\xbf" + FILE.encode())
    assert len(file_agreements(settings, tariff_bands(settings))) == 1


def test_tariffs_with_a_gap_are_named(tmp_path):
    settings = settings_of(tmp_path, TOU.replace('days = ["sat", "sun"]', 'days = ["sat"]'))
    with pytest.raises(MarketInputError, match='tariff plan "tou": no period on sun in month 1 at 16:00, before period "day"'):
        tariff_bands(settings)


def test_the_shipped_examples_are_right(tmp_path):
    """The examples in the configuration, with their comment marks taken away, and the operator's guide's file of agreements."""
    text = (PROJECT_ROOT / "config" / "stanford.toml").read_text(encoding="utf-8")
    head, example, tail = text.partition("# [[market.tariffs]]")
    block, _, rest = (example + tail).partition("\n\n")
    path = tmp_path / "campus.toml"
    path.write_text(head + "\n".join(line.removeprefix("# ") for line in block.splitlines()) + "\n\n" + rest, encoding="utf-8")
    settings = load(config=path, data=tmp_path)
    assert settings.market.tariffs
    guide = (PROJECT_ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
    (tmp_path / "agreements.csv").write_text(guide.split("```csv\n")[1].split("```")[0], encoding="utf-8")
    told_of = settings.model_copy(update={"market": settings.market.model_copy(update={"agreements": Path("agreements.csv")})})
    assert file_agreements(told_of, tariff_bands(told_of))
