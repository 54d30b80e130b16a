{{
    config(
        materialized='incremental',
        incremental_strategy='microbatch',
        event_time='interval_start',
        batch_size='day',
        begin='2026-01-01',
        lookback=0,
    )
}}

select
    trade.trade_id,
    trade.zone,
    trade.interval_start,
    trade.seller_meter_id,
    seller.building_type as seller_building_type,
    trade.buyer_meter_id,
    buyer.building_type as buyer_building_type,
    trade.energy_wh,
    trade.price_micro_per_kwh,
    trade.amount_micro,
    trade.kind,
    trade.mechanism,
    trade.version
from {{ ref('stg_trades') }} as trade
left join {{ ref('dim_meter') }} as seller on seller.meter_id = trade.seller_meter_id
left join {{ ref('dim_meter') }} as buyer on buyer.meter_id = trade.buyer_meter_id
