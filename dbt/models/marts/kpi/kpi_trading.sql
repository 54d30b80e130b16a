{# "P2P trading volume and success rate", "energy trading volume (kWh/day)", "revenue from P2P transactions". #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with intervals as (
    select
        zone,
        cast(local_start as date) as local_date,
        any_value(currency) as currency,
        count(*)::integer as market_intervals,
        count(*) filter (where traded_wh > 0)::integer as market_intervals_traded,
        count(*) filter (where corrections > 0)::integer as market_intervals_corrected,
        sum(supply_wh)::bigint as supply_wh,
        sum(demand_wh)::bigint as demand_wh,
        sum(tradable_wh)::bigint as tradable_wh,
        sum(traded_wh)::bigint as traded_wh,
        sum(capped_wh)::bigint as capped_wh,
        sum(loss_wh)::bigint as loss_wh
    from {{ ref('fct_market_intervals') }}
    group by all
),

trades as (
    select
        zone,
        cast(local_start as date) as local_date,
        count(*)::bigint as trades,
        count(distinct pair_id)::integer as pairs,
        sum(amount_micro)::bigint as amount_micro,
        sum(wheeling_micro)::bigint as wheeling_micro
    from {{ ref('fct_trades') }}
    group by all
)

select
    intervals.zone,
    intervals.local_date,
    intervals.currency,
    intervals.market_intervals,
    intervals.market_intervals_traded,
    intervals.market_intervals_corrected,
    intervals.supply_wh,
    intervals.demand_wh,
    intervals.tradable_wh,
    intervals.traded_wh,
    intervals.capped_wh,
    intervals.loss_wh,
    {{ percent_of('intervals.traded_wh', 'intervals.tradable_wh') }} as success_pct,
    coalesce(trades.trades, 0) as trades,
    coalesce(trades.pairs, 0) as pairs,
    coalesce(trades.amount_micro, 0) as amount_micro,
    coalesce(trades.wheeling_micro, 0) as wheeling_micro
from intervals
left join trades using (zone, local_date)
