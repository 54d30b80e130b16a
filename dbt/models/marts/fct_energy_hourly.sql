{{ by_day('interval_start') }}

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
    energy.readings_estimated,
    energy.quality_flags,
    {{ local_time('energy.interval_start') }} as local_start,
    {{ utc_offset_s('energy.interval_start') }} as utc_offset_s
from {{ source('core', 'energy_1h') }} as energy
left join {{ ref('dim_meter') }} as meter on meter.meter_id = energy.meter_id
