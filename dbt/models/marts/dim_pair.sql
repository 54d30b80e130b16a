{{ config(materialized='table') }}

select
    pair.pair_id,
    pair.zone,
    pair.meter_a_id,
    pair.meter_b_id,
    a.building as building_a,
    b.building as building_b,
    pair.building_type_a,
    pair.building_type_b,
    least(pair.building_type_a, pair.building_type_b) || '-' || greatest(pair.building_type_a, pair.building_type_b) as building_types,
    pair.pair_type
from {{ source('market', 'pairs') }} as pair
left join {{ ref('dim_meter') }} as a on a.meter_id = pair.meter_a_id
left join {{ ref('dim_meter') }} as b on b.meter_id = pair.meter_b_id
