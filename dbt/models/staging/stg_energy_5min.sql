select
    zone,
    meter_id,
    interval_start,
    duration_s,
    generation_wh,
    load_wh,
    charge_wh,
    discharge_wh,
    import_wh,
    export_wh,
    state_of_charge_pct,
    readings_expected,
    readings_present,
    quality_flags,
    readings_estimated
from {{ source('core', 'energy_5min') }}
