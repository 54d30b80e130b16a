{# DuckLake takes comments on a view, not on its columns. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    agreement.agreement_id,
    agreement.zone,
    agreement.seller_meter_id,
    seller.building_type as seller_building_type,
    agreement.buyer_meter_id,
    buyer.building_type as buyer_building_type,
    least(agreement.seller_meter_id, agreement.buyer_meter_id)
        || ' ' || greatest(agreement.seller_meter_id, agreement.buyer_meter_id) as pair_id,
    agreement.priority,
    agreement.max_wh,
    agreement.price_micro_per_kwh,
    agreement.valid_from,
    agreement.valid_until,
    agreement.source,
    agreement.state,
    agreement.reason,
    agreement.seller_message_id,
    agreement.buyer_message_id
from {{ source('market', 'agreements') }} as agreement
left join {{ ref('dim_meter') }} as seller on seller.meter_id = agreement.seller_meter_id
left join {{ ref('dim_meter') }} as buyer on buyer.meter_id = agreement.buyer_meter_id
