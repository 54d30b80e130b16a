{{ config(materialized='table') }}

select
    meter_id,
    zone,
    building,
    building_type,
    rated_kw,
    battery_kwh,
    baseline_kw,
    device_lfdi,
    device_status,
    owner_ref,
    building_type = 'feeder' as is_feeder
from {{ source('core', 'meters') }}
