{{ config(meta={'dagster': {'ref': {'name': 'fct_data_quality'}}}) }}

-- What core.rejected_readings refused is in fct_data_quality, hour by hour and reason by reason, and no more.
with refused as (
    select date_trunc('hour', received_at) as hour_start, reason as code, sum(greatest(parts, 1)) as occurrences
    from {{ source('core', 'rejected_readings') }}
    where {{ in_built_days('received_at') }}
    group by all
),

counted as (
    select hour_start, code, sum(occurrences) as occurrences
    from {{ ref('fct_data_quality') }}
    where origin = 'rejected' and {{ in_built_days('hour_start') }}
    group by all
)

select hour_start, code
from refused
full join counted using (hour_start, code)
where refused.occurrences is distinct from counted.occurrences
