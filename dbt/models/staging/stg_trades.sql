select
    trade_id,
    zone,
    interval_start,
    seller_meter_id,
    buyer_meter_id,
    energy_wh,
    energy_wh - loss_wh as delivered_wh,
    loss_wh,
    price_micro_per_kwh,
    amount_micro,
    wheeling_micro,
    kind,
    agreement_id,
    mechanism,
    version,
    quality_flags
from {{ source('market', 'trades') }}
