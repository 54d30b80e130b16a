{# "Dynamic Role Switching: Real-time prosumer/consumer optimization": how often a meter changed sides in a day. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    zone,
    meter_id,
    building_type,
    cast(local_start as date) as local_date,
    count(*)::integer as intervals,
    count(*) filter (where role = 'seller')::integer as intervals_seller,
    count(*) filter (where role = 'buyer')::integer as intervals_buyer,
    count(*) filter (where role = 'neutral')::integer as intervals_neutral,
    count(*) filter (where position = 'surplus')::integer as intervals_surplus,
    count(*) filter (where position = 'deficit')::integer as intervals_deficit,
    count(*) filter (where switched)::integer as switches,
    count(*) filter (where changed)::integer as role_changes
from {{ ref('fct_meter_roles') }}
group by all
