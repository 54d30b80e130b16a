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
    device_status
from {{ source('core', 'meters') }}
