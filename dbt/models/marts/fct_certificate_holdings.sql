{# A view, because an event of today changes what became of any day's certificates. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    holding.bundle_id,
    holding.zone,
    holding.meter_id,
    meter.building,
    holding.owner,
    owner.building as owner_building,
    bundle.origin,
    holding.interval_start,
    {{ local_time('holding.interval_start') }} as local_start,
    bundle.interval_end,
    holding.first_wh,
    holding.last_wh,
    holding.energy_wh,
    holding.state,
    holding.state not in ('pending', 'active', 'locked') as is_final,
    holding.events
from {{ source('certificates', 'holdings') }} as holding
left join {{ source('certificates', 'bundles') }} as bundle on bundle.bundle_id = holding.bundle_id
left join {{ ref('dim_meter') }} as meter on meter.meter_id = holding.meter_id
left join {{ ref('dim_meter') }} as owner on owner.meter_id = holding.owner
