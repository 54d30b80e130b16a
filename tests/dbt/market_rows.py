"""A market computed by hand: five meters of one zone, five intervals around the midnights of days when the clocks change.

The intervals are worked cases with feed-in 0.08 and retail 0.28 per kWh. Case A: M1 +1500, M2 +701, M5 +200 against M3 -1951 and
M4 -1046, price 93,245. Case C is A after an agreement M1 -> M4 of 500 Wh at 150,000, price 96,442. Case A is corrected later:
M1 had 10 Wh more, M2 51 Wh less and M3 49 Wh less, which the grid takes. In the last interval M3 and M1 have changed sides, over
a line that loses 5 % and costs 2,000 per kWh.
"""

from __future__ import annotations

import datetime as dt

FEED_IN, RETAIL = 80_000, 280_000
ZONE = "oracle"
METERS = {"M1": "academic", "M2": "academic", "M3": "residential", "M4": "research", "M5": "support"}
FIVE_MINUTES = dt.timedelta(minutes=5)

# 23:55 of 7 March and 0:00 of 8 March in California, whose clocks go forward two hours later; 1:55 on 1 November, twice; 2:00.
LAST_OF_SATURDAY = dt.datetime(2026, 3, 8, 7, 55, tzinfo=dt.UTC)
FIRST_OF_SUNDAY = LAST_OF_SATURDAY + FIVE_MINUTES
SUMMER_TIME = dt.datetime(2026, 11, 1, 8, 55, tzinfo=dt.UTC)
WINTER_TIME = SUMMER_TIME + dt.timedelta(hours=1)
SWITCHED = WINTER_TIME + FIVE_MINUTES

# When M3's energy of the first interval was known: as settled, and as corrected.
KNOWN_FROM = (LAST_OF_SATURDAY + 2 * FIVE_MINUTES, LAST_OF_SATURDAY + dt.timedelta(hours=6))

CHANNELS = ("generation", "load", "charge", "discharge")
# Of case A, in Wh.
ENERGY = {
    "M1": (3200, 1200, 500, 0),
    "M2": (1000, 299, 0, 0),
    "M3": (0, 1951, 0, 0),
    "M4": (250, 1296, 0, 0),
    "M5": (0, 600, 0, 800),
}
NETS = {"M1": 1500, "M2": 701, "M3": -1951, "M4": -1046, "M5": 200}
CASE_A = [("M1", "M3", 1500, 139_868), ("M2", "M3", 63, 5_874), ("M2", "M4", 638, 59_490), ("M5", "M4", 200, 18_649)]
CASE_C = [("M1", "M3", 1000, 96_442), ("M2", "M3", 485, 46_774), ("M2", "M4", 216, 20_831), ("M5", "M4", 200, 19_288)]
AGREED = ("M1", "M4", 500, 75_000)
GRID_A = {"M3": (-388, -108_640), "M4": (-208, -58_240)}
GRID_C = {"M3": (-466, -130_480), "M4": (-130, -36_400)}
# Net now less net settled, and what it is worth: 10 Wh at feed-in, 51 and 49 Wh at retail.
CORRECTED = {"M1": (10, 800), "M2": (-51, -14_280), "M3": (-49, -13_720)}


def _interval(start: dt.datetime, **values: object) -> dict:
    return {
        "zone": ZONE,
        "interval_start": start,
        "duration_s": 300,
        "supply_wh": 2401,
        "demand_wh": 2997,
        "traded_wh": 2401,
        "capped_wh": 0,
        "price_micro_per_kwh": 93_245,
        "feed_in_micro_per_kwh": FEED_IN,
        "retail_micro_per_kwh": RETAIL,
        "meters": 5,
        "meters_grid_only": 0,
        "mechanism": "sdr_bilateral/1",
        "version": 1,
        "state": "settled",
        "currency": "USD",
        "tariff": "flat",
        "loss_wh": 0,
        "wheeling_micro": 0,
    } | values


def _trades(start: dt.datetime, cleared: list[tuple], kind: str = "pool", **values: object) -> list[dict]:
    return [
        {
            "trade_id": f"{start:%m%d%H%M} {seller} {buyer} {kind}",
            "zone": ZONE,
            "interval_start": start,
            "seller_meter_id": seller,
            "buyer_meter_id": buyer,
            "energy_wh": energy,
            "amount_micro": amount,
            "kind": kind,
            "mechanism": "sdr_bilateral/1",
            "loss_wh": 0,
            "wheeling_micro": 0,
        }
        | values
        for seller, buyer, energy, amount in cleared
    ]


def _grid(start: dt.datetime, nets: dict[str, int], rest: dict[str, tuple[int, int]], **values: object) -> list[dict]:
    """Rows of the first version: what is not in `rest` was traded."""
    rows = []
    for meter, net in nets.items():
        energy, amount = rest.get(meter, (0, 0))
        rows.append(
            {
                "grid_settlement_id": f"{start:%m%d%H%M} {meter} 1",
                "zone": ZONE,
                "interval_start": start,
                "meter_id": meter,
                "net_wh": net,
                "traded_wh": net - energy,
                "energy_wh": energy,
                "amount_micro": amount,
                "reason": "residual",
            }
            | values
        )
    return rows


def _correction(start: dt.datetime) -> list[dict]:
    return [
        {
            "grid_settlement_id": f"{start:%m%d%H%M} {meter} 2",
            "zone": ZONE,
            "interval_start": start,
            "meter_id": meter,
            "net_wh": energy,
            "traded_wh": 0,
            "energy_wh": energy,
            "amount_micro": amount,
            "reason": "correction",
            "version": 2,
            "quality_flags": 2,
        }
        for meter, (energy, amount) in CORRECTED.items()
    ]


def _balance(start: dt.datetime, net: int, exported: int, imported: int, **values: object) -> dict:
    return {
        "zone": ZONE,
        "interval_start": start,
        "duration_s": 300,
        "version": 1,
        "meters": 5,
        "net_wh": net,
        "export_wh": exported,
        "import_wh": imported,
        "loss_wh": 0,
        "trade_amount_micro": 223_881,
        "wheeling_micro": 0,
    } | values


A_STARTS = (LAST_OF_SATURDAY, SUMMER_TIME, WINTER_TIME)

INTERVALS = [
    *(_interval(start) for start in A_STARTS),
    _interval(FIRST_OF_SUNDAY, price_micro_per_kwh=96_442),
    # 1500 + 701 + 200 and 1951 + 1046 then; 41 less supply and 49 more demand than was known.
    _interval(LAST_OF_SATURDAY, version=2, supply_wh=-41, demand_wh=49, traded_wh=0, state="closed"),
    _interval(SWITCHED, supply_wh=100, demand_wh=100, traded_wh=100, loss_wh=5, wheeling_micro=200, price_micro_per_kwh=80_000),
]
TRADES = [
    *(row for start in A_STARTS for row in _trades(start, CASE_A, price_micro_per_kwh=93_245)),
    *_trades(FIRST_OF_SUNDAY, CASE_C, price_micro_per_kwh=96_442),
    *_trades(FIRST_OF_SUNDAY, [AGREED], "agreement", price_micro_per_kwh=150_000, agreement_id="agreed"),
    *_trades(SWITCHED, [("M3", "M1", 100, 8_000)], price_micro_per_kwh=80_000, loss_wh=5, wheeling_micro=200),
]
# M1 wants 100 and receives 95; what is lost it takes from the grid.
LAST_NETS = {"M1": -100, "M2": 0, "M3": 100, "M4": 0, "M5": 0}
GRID_SETTLEMENTS = [
    *(row for start in A_STARTS for row in _grid(start, NETS, GRID_A)),
    *_grid(FIRST_OF_SUNDAY, NETS, GRID_C),
    *_correction(LAST_OF_SATURDAY),
    *_grid(SWITCHED, LAST_NETS, {"M1": (-5, -1_400)}),
]
CAMPUS_BALANCES = [
    *(_balance(start, -596, 0, 596, feeder_net_wh=-600, unaccounted_wh=4, grid_amount_micro=-166_880) for start in A_STARTS),
    _balance(FIRST_OF_SUNDAY, -596, 0, 596, trade_amount_micro=258_335, grid_amount_micro=-166_880),
    # 10 Wh more out, 51 and 49 more in, of which the feeder's meter knows nothing.
    _balance(
        LAST_OF_SATURDAY,
        -90,
        10,
        100,
        version=2,
        feeder_net_wh=0,
        unaccounted_wh=-90,
        trade_amount_micro=0,
        grid_amount_micro=-27_200,
    ),
    _balance(SWITCHED, 0, 0, 5, loss_wh=5, trade_amount_micro=8_000, wheeling_micro=200, grid_amount_micro=-1_400),
]
AGREEMENTS = [
    {
        "agreement_id": "agreed",
        "zone": ZONE,
        "seller_meter_id": "M1",
        "buyer_meter_id": "M4",
        "priority": 0,
        "max_wh": 500,
        "price_micro_per_kwh": 150_000,
        "valid_from": FIRST_OF_SUNDAY,
        "source": "file",
        "state": "in_force",
    }
]
OFFERS = [
    {
        "offer_id": "offered",
        "zone": ZONE,
        "meter_id": "M3",
        "side": "buy",
        "energy_limit_wh": 1951,
        "price_limit_micro_per_kwh": 240_000,
        "valid_from": FIRST_OF_SUNDAY,
        "state": "in_force",
    }
]


def energies() -> list[dict]:
    """What the meters measured in cases A and C, as known today, in milli-Wh: generation, load, charge and discharge."""
    corrected = ENERGY | {"M1": (3210, 1200, 500, 0), "M2": (949, 299, 0, 0), "M3": (0, 2000, 0, 0)}
    return [
        {"zone": ZONE, "meter_id": meter, "interval_start": start, "duration_s": 300}
        | {f"{channel}_milli_wh": 1000 * wh for channel, wh in zip(CHANNELS, values, strict=True)}
        for start, measured in ((LAST_OF_SATURDAY, corrected), (FIRST_OF_SUNDAY, ENERGY))
        for meter, values in measured.items()
    ]
