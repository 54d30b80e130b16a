{{ by_day('hour_start') }}

{# What has no outcome was landed and not examined: the receipt stage has not run yet, or lost it. #}
select
    message.zone,
    message.meter_id,
    meter.building_type,
    date_trunc('hour', message.received_at) as hour_start,
    {{ local_time("date_trunc('hour', message.received_at)") }} as local_start,
    count(*)::bigint as messages_landed,
    count(outcome.message_id)::bigint as messages_examined,
    count(*) filter (where outcome.is_understood)::bigint as messages_understood,
    count(*) filter (where outcome.readings_total = 0)::bigint as messages_without_readings,
    count(*) filter (where outcome.is_understood and outcome.rejected = 0)::bigint as messages_accepted,
    coalesce(sum(outcome.readings_total), 0)::bigint as readings_total,
    coalesce(sum(outcome.accepted), 0)::bigint as readings_accepted,
    coalesce(sum(outcome.rejected), 0)::bigint as readings_rejected,
    coalesce(sum(outcome.telemetry), 0)::bigint as readings_telemetry
from {{ source('raw', 'messages') }} as message
left join {{ ref('stg_message_outcomes') }} as outcome on outcome.message_id = message.message_id
left join {{ ref('dim_meter') }} as meter on meter.meter_id = message.meter_id
group by all
