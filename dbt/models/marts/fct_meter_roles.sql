{#
  "Dynamic Role Switching": what a meter was in each interval, by its trades, which no correction changes. It is on one side only,
  because its trades follow the sign of its net; "both" would be a fault of the market, and is tested for.
#}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with roles as (
    select
        zone,
        meter_id,
        interval_start,
        duration_s,
        local_start,
        utc_offset_s,
        net_wh,
        sold_wh,
        bought_wh,
        case when net_wh > 0 then 'surplus' when net_wh < 0 then 'deficit' else 'balanced' end as position,
        case
            when sold_wh > 0 and bought_wh > 0 then 'both'
            when sold_wh > 0 then 'seller'
            when bought_wh > 0 then 'buyer'
            else 'neutral'
        end as role
    from {{ ref('stg_meter_intervals') }}
),

followed as (
    select
        *,
        -- Only of the interval that ends where this one begins.
        case
            when epoch(interval_start) - epoch(lag(interval_start) over meter) = lag(duration_s) over meter
            then lag(role) over meter
        end as previous_role,
        last_value(nullif(role, 'neutral') ignore nulls) over (
            partition by zone, meter_id order by interval_start rows between unbounded preceding and 1 preceding
        ) as last_traded_as
    from roles
    window meter as (partition by zone, meter_id order by interval_start)
)

select
    followed.zone,
    followed.meter_id,
    meter.building_type,
    followed.interval_start,
    followed.local_start,
    followed.utc_offset_s,
    followed.net_wh,
    followed.sold_wh,
    followed.bought_wh,
    followed.position,
    followed.role,
    followed.previous_role,
    coalesce(followed.role <> followed.previous_role, false) as changed,
    followed.role <> 'neutral' and coalesce(followed.role <> followed.last_traded_as, false) as switched
from followed
left join {{ ref('dim_meter') }} as meter on meter.meter_id = followed.meter_id
