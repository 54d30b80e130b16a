{# A view: a trade is final once it is settled, and what is joined to it is one row for each of two meters. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    trade.trade_id,
    trade.zone,
    trade.interval_start,
    trade.seller_meter_id,
    seller.building_type as seller_building_type,
    trade.buyer_meter_id,
    buyer.building_type as buyer_building_type,
    least(trade.seller_meter_id, trade.buyer_meter_id) || ' ' || greatest(trade.seller_meter_id, trade.buyer_meter_id) as pair_id,
    trade.energy_wh,
    trade.delivered_wh,
    trade.loss_wh,
    trade.price_micro_per_kwh,
    trade.amount_micro,
    trade.wheeling_micro,
    trade.kind,
    trade.agreement_id,
    trade.mechanism,
    trade.version,
    trade.quality_flags,
    {{ local_time('trade.interval_start') }} as local_start,
    {{ utc_offset_s('trade.interval_start') }} as utc_offset_s
from {{ ref('stg_trades') }} as trade
left join {{ ref('dim_meter') }} as seller on seller.meter_id = trade.seller_meter_id
left join {{ ref('dim_meter') }} as buyer on buyer.meter_id = trade.buyer_meter_id
