{{ config(meta={'dagster': {'ref': {'name': 'fct_granular_certificates'}}}) }}

-- Each certificate's device is registered, with source and technology, and was commissioned before the interval.
select device_id, min(bundle_id) as bundle_id
from {{ ref('fct_granular_certificates') }}
where commissioned_at is null
    or coalesce(fuel_code, source) = ''
    or technology = ''
    or commissioned_at > coalesce(production_start, discharge_start)
group by device_id
