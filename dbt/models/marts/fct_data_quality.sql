{{ by_day('hour_start') }}

-- A finding is about its event hour; what is found or refused at receipt counts in the hour of the receipt.
with occurrences as (
    select zone, meter_id, date_trunc('hour', interval_start) as hour_start, 'interval' as origin, code, channel, duration_s, 1 as parts
    from {{ source('core', 'vee_exceptions') }}
    -- What was found at receipt is counted below, reading by reading.
    where code not in ('conflict', 'clock_snapped', 'register_rollover', 'meter_swap', 'tare')
    union all
    select zone, meter_id, hour_start, 'reading', code, channel, duration_s, 1
    from {{ ref('stg_reading_findings') }}
    union all
    select zone, meter_id, date_trunc('hour', received_at), 'rejected', reason, channel, null, greatest(parts, 1)
    from {{ source('core', 'rejected_readings') }}
)

select
    occurrence.zone,
    occurrence.meter_id,
    meter.building,
    meter.building_type,
    occurrence.hour_start,
    {{ local_time('occurrence.hour_start') }} as local_start,
    occurrence.origin,
    occurrence.code,
    known.check_number,
    coalesce(known.severity, 'warning') as severity,
    count(distinct occurrence.channel)::integer as channels,
    sum(occurrence.parts)::bigint as occurrences,
    cast(sum(occurrence.duration_s) / 60.0 as decimal(18, 2)) as channel_minutes
from occurrences as occurrence
left join {{ ref('dim_finding') }} as known
    on known.code = occurrence.code and known.is_rejection = (occurrence.origin = 'rejected')
left join {{ ref('dim_meter') }} as meter on meter.meter_id = occurrence.meter_id
group by all
