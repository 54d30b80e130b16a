{{ config(materialized='table') }}

{# Of the two meters of a pair the first in alphabetical order is a. The feeder's meter trades with nobody. #}
select
    a.meter_id || ' ' || b.meter_id as pair_id,
    a.zone,
    a.meter_id as meter_a_id,
    b.meter_id as meter_b_id,
    a.building as building_a,
    b.building as building_b,
    a.building_type as building_type_a,
    b.building_type as building_type_b,
    least(a.building_type, b.building_type) || '-' || greatest(a.building_type, b.building_type) as building_types,
    case when a.building_type = b.building_type then 'intra' else 'inter' end as pair_type
from {{ ref('dim_meter') }} as a
inner join {{ ref('dim_meter') }} as b on b.zone = a.zone and b.meter_id > a.meter_id
where not a.is_feeder and not b.is_feeder
