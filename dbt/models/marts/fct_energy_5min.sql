{{
    config(
        materialized='incremental',
        incremental_strategy='microbatch',
        event_time='interval_start',
        batch_size='day',
        begin='2026-01-01',
        lookback=0,
    )
}}

select
    energy.zone,
    energy.meter_id,
    meter.building,
    meter.building_type,
    energy.interval_start,
    energy.duration_s,
    energy.generation_wh,
    energy.load_wh,
    energy.charge_wh,
    energy.discharge_wh,
    energy.import_wh,
    energy.export_wh,
    energy.generation_wh + energy.discharge_wh - energy.load_wh - energy.charge_wh as net_wh,
    energy.state_of_charge_pct,
    energy.readings_expected,
    energy.readings_present,
    energy.quality_flags
from {{ ref('stg_energy_5min') }} as energy
left join {{ ref('dim_meter') }} as meter on meter.meter_id = energy.meter_id
