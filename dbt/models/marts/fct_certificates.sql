{{ by_day('interval_start') }}

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
    bundle.owner,
    bundle.carrier,
    bundle.origin,
    bundle.version,
    bundle.quality_flags
from {{ source('certificates', 'bundles') }} as bundle
left join {{ ref('dim_meter') }} as meter on meter.meter_id = bundle.meter_id
