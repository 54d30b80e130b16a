{# A view, because people append to it (`gridtokenx certificates`), whatever days a run builds. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    event.event_id,
    event.bundle_id,
    event.zone,
    bundle.meter_id,
    meter.building,
    bundle.origin,
    event.interval_start,
    {{ local_time('event.interval_start') }} as local_start,
    bundle.interval_start as bundle_interval_start,
    {{ local_time('bundle.interval_start') }} as bundle_local_start,
    event.number,
    event.kind,
    event.energy_wh,
    coalesce(event.first_wh, bundle.first_wh) as first_wh,
    coalesce(event.last_wh, bundle.last_wh) as last_wh,
    event.owner,
    event.from_owner,
    event.reason,
    event.trade_id,
    event.counter_bundle_id,
    event.beneficiary,
    event.purpose,
    event.period_start,
    event.period_end,
    event.actor,
    event.actor <> 'pipeline' as is_decision,
    event.version
from {{ source('certificates', 'events') }} as event
left join {{ source('certificates', 'bundles') }} as bundle on bundle.bundle_id = event.bundle_id
left join {{ ref('dim_meter') }} as meter on meter.meter_id = bundle.meter_id
