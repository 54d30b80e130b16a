{{ by_day('hour_start') }}

select
    hours.zone,
    hours.meter_id,
    meter.building,
    meter.building_type,
    hours.interval_start as hour_start,
    {{ local_time('hours.interval_start') }} as local_start,
    {{ utc_offset_s('hours.interval_start') }} as utc_offset_s,
    hours.readings_expected,
    hours.readings_present,
    hours.readings_estimated,
    hours.readings_edited,
    hours.readings_late,
    hours.readings_rejected,
    hours.exceptions,
    {{ percent_of('hours.readings_present', 'hours.readings_expected') }} as completeness_pct,
    100 * hours.readings_present >= {{ completeness_sla_pct() }} * hours.readings_expected as meets_sla,
    hours.clock_offset_ms,
    hours.clock_offset_least_ms
from {{ source('core', 'meter_hours') }} as hours
left join {{ ref('dim_meter') }} as meter on meter.meter_id = hours.meter_id
