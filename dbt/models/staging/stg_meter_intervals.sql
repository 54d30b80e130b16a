{#
  What the market knows today of each meter and interval: sums over all versions, because those after the first are differences.
  Trades have one version only; the grid takes what a correction changes.
#}
with grid as (
    select
        zone,
        interval_start,
        meter_id,
        sum(net_wh)::bigint as net_wh,
        sum(energy_wh)::bigint as grid_wh,
        sum(amount_micro)::bigint as grid_micro,
        count(*) filter (where version > 1)::integer as corrections,
        -- Where no register told the energy, a net of 0 is no measurement.
        bool_or(reason <> 'no_register') as is_known,
        arg_max(quality_flags, version) as quality_flags
    from {{ source('market', 'grid_settlements') }}
    group by all
),

sides as (
    select
        zone,
        interval_start,
        seller_meter_id as meter_id,
        energy_wh as sold_wh,
        amount_micro as sold_micro,
        0 as bought_wh,
        0 as received_wh,
        0 as bought_micro,
        0 as wheeling_micro
    from {{ ref('stg_trades') }}
    union all
    select zone, interval_start, buyer_meter_id, 0, 0, energy_wh, delivered_wh, amount_micro, wheeling_micro
    from {{ ref('stg_trades') }}
),

traded as (
    select
        zone,
        interval_start,
        meter_id,
        sum(sold_wh)::bigint as sold_wh,
        sum(sold_micro)::bigint as sold_micro,
        sum(bought_wh)::bigint as bought_wh,
        sum(received_wh)::bigint as received_wh,
        sum(bought_micro)::bigint as bought_micro,
        sum(wheeling_micro)::bigint as wheeling_micro
    from sides
    group by all
),

-- Local time is told once for each interval, not for each of its meters: it is the dearest of all that is computed here.
terms as (
    select
        zone,
        interval_start,
        duration_s,
        feed_in_micro_per_kwh,
        retail_micro_per_kwh,
        currency,
        state,
        {{ local_time('interval_start') }} as local_start,
        {{ utc_offset_s('interval_start') }} as utc_offset_s
    from {{ source('market', 'intervals') }}
    where version = 1
)

select
    grid.zone,
    grid.meter_id,
    grid.interval_start,
    terms.duration_s,
    terms.local_start,
    terms.utc_offset_s,
    grid.net_wh,
    coalesce(traded.sold_wh, 0) as sold_wh,
    coalesce(traded.bought_wh, 0) as bought_wh,
    coalesce(traded.received_wh, 0) as received_wh,
    greatest(grid.grid_wh, 0) as export_wh,
    greatest(-grid.grid_wh, 0) as import_wh,
    coalesce(traded.sold_micro, 0) as sold_micro,
    coalesce(traded.bought_micro, 0) as bought_micro,
    coalesce(traded.wheeling_micro, 0) as wheeling_micro,
    greatest(grid.grid_micro, 0) as export_micro,
    greatest(-grid.grid_micro, 0) as import_micro,
    -- What the meter's net would have been worth at the interval's tariffs alone; rounded as every amount is.
    case
        when grid.net_wh >= 0 then (grid.net_wh * terms.feed_in_micro_per_kwh + 500) // 1000
        else -((-grid.net_wh * terms.retail_micro_per_kwh + 500) // 1000)
    end as grid_only_micro,
    grid.corrections,
    grid.is_known,
    grid.quality_flags,
    terms.currency,
    terms.state
from grid
inner join terms using (zone, interval_start)
left join traded using (zone, interval_start, meter_id)
