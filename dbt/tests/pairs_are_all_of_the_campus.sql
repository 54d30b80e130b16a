{{ config(meta={'dagster': {'ref': {'name': 'dim_pair'}}}) }}

-- n meters have n(n-1)/2 pairs, each of two meters that are no feeder, the first in the alphabet first.
with meters as (
    select zone, count(*) as meters from {{ ref('dim_meter') }} where not is_feeder group by zone
),

pairs as (
    select
        pair.zone,
        count(*) as pairs,
        count(*) filter (where pair.meter_a_id >= pair.meter_b_id or a.is_feeder or b.is_feeder) as wrong
    from {{ ref('dim_pair') }} as pair
    left join {{ ref('dim_meter') }} as a on a.meter_id = pair.meter_a_id
    left join {{ ref('dim_meter') }} as b on b.meter_id = pair.meter_b_id
    group by pair.zone
)

select zone
from meters
full join pairs using (zone)
where coalesce(pairs.pairs, 0) is distinct from meters.meters * (meters.meters - 1) // 2 or pairs.wrong > 0
