{{ config(meta={'dagster': {'ref': {'name': 'fct_energy_daily'}}}) }}

-- A day of the site has no more 5-minute intervals than its hours hold, which are 23, 24 or 25; its energy is that of its intervals.
with intervals as (
    select
        meter_id,
        cast(local_start as date) as local_date,
        coalesce(sum(net_wh), 0) as net_wh,
        max(interval_start) - min(interval_start) as span
    from {{ ref('fct_energy_5min') }}
    group by all
)

select day.meter_id, day.local_date
from {{ ref('fct_energy_daily') }} as day
left join intervals on intervals.meter_id = day.meter_id and intervals.local_date = day.local_date
where {{ in_built_days('day.day_start') }}
    and (
        day.hours not between 23 and 25
        or day.intervals_5min > 12 * day.hours
        or epoch(intervals.span) >= 3600 * day.hours
        or intervals.net_wh is distinct from coalesce(day.net_wh, 0)
    )
