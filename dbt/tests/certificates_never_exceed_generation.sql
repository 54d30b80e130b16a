{{ config(meta={'dagster': {'ref': {'name': 'fct_certificates'}}}) }}

-- Of a meter and day, certificates of production stay within its generation, less than 1 Wh apart per gap. What was withdrawn of a
-- bundle is off, and so is a shortfall, which other bundles' withdrawals make up for.
with bundles as (
    select bundle_id, meter_id, interval_start, energy_wh
    from {{ ref('fct_certificates') }}
    where origin = 'production' and {{ in_built_days('interval_start') }}
),

off as (
    select bundle_id, sum(energy_wh) as energy_wh
    from {{ source('certificates', 'events') }}
    where kind = 'shortfall' or (kind = 'withdrawn' and counter_bundle_id is null)
    group by bundle_id
),

certified as (
    select bundles.meter_id, bundles.interval_start, sum(bundles.energy_wh - coalesce(off.energy_wh, 0)) as energy_wh
    from bundles
    left join off using (bundle_id)
    group by all
)

select certified.meter_id, cast(certified.interval_start as date) as day
from certified
left join {{ source('core', 'energy_5min') }} as energy
    on energy.meter_id = certified.meter_id and energy.interval_start = certified.interval_start
group by all
having sum(certified.energy_wh) - sum(coalesce(energy.generation_wh, 0)) >= 1
