select
    trade_id,
    zone,
    interval_start,
    seller_meter_id,
    buyer_meter_id,
    energy_wh,
    price_micro_per_kwh,
    amount_micro,
    kind,
    mechanism,
    version
from {{ source('market', 'trades') }}
