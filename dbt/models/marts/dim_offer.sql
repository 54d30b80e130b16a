{# DuckLake takes comments on a view, not on its columns. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    offer.offer_id,
    offer.zone,
    offer.meter_id,
    meter.building_type,
    offer.side,
    offer.energy_limit_wh,
    offer.price_limit_micro_per_kwh,
    offer.valid_from,
    offer.valid_until,
    offer.state,
    offer.reason,
    offer.message_id
from {{ source('market', 'offers') }} as offer
left join {{ ref('dim_meter') }} as meter on meter.meter_id = offer.meter_id
