{{ config(meta={'dagster': {'ref': {'name': 'fct_certificate_holdings'}}}) }}

-- The ranges of a bundle hold each of its certificates once: none is missing, none in two ranges, none outside.
with bundles as (
    select bundle_id, first_wh, last_wh, energy_wh
    from {{ source('certificates', 'bundles') }}
    where {{ in_built_days('interval_start') }}
),

ranges as (
    select
        bundle_id,
        first_wh,
        last_wh,
        energy_wh,
        lag(last_wh) over (partition by bundle_id order by first_wh) as last_before_wh
    from {{ ref('fct_certificate_holdings') }}
    where {{ in_built_days('interval_start') }}
)

select bundle_id
from bundles
full join ranges using (bundle_id)
group by bundle_id
having count(bundles.energy_wh) = 0
    or count(ranges.energy_wh) = 0
    or min(ranges.first_wh) <> any_value(bundles.first_wh)
    or max(ranges.last_wh) <> any_value(bundles.last_wh)
    or sum(ranges.energy_wh) <> any_value(bundles.energy_wh)
    or bool_or(ranges.last_wh - ranges.first_wh + 1 <> ranges.energy_wh)
    or bool_or(ranges.first_wh <> ranges.last_before_wh + 1)
