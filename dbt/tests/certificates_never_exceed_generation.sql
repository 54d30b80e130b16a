{{ config(meta={'dagster': {'ref': {'name': 'fct_certificates'}}}) }}

-- Issued and pending certificates of a meter and day stay within its generation register, less than 1 Wh apart per gap.
select bundle.meter_id, cast(bundle.interval_start as date) as day
from {{ ref('fct_certificates') }} as bundle
inner join {{ source('core', 'energy_5min') }} as energy
    on energy.meter_id = bundle.meter_id and energy.interval_start = bundle.interval_start
where {{ in_built_days('bundle.interval_start') }}
group by all
having sum(bundle.energy_wh) - sum(energy.generation_wh) >= 1
