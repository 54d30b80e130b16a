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
    bundle.bundle_id,
    bundle.zone,
    bundle.meter_id,
    meter.building,
    bundle.interval_start,
    bundle.interval_end,
    bundle.energy_wh,
    bundle.first_wh,
    bundle.last_wh,
    bundle.source,
    bundle.state,
    bundle.owner
from {{ source('certificates', 'bundles') }} as bundle
left join {{ ref('dim_meter') }} as meter on meter.meter_id = bundle.meter_id
