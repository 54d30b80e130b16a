{{ config(meta={'dagster': {'ref': {'name': 'fct_type_flow_daily'}}}) }}

-- The matrix of a day has its 36 cells, and they sum to the day's trades, as do the pairs.
with built as (
    select * from {{ ref('fct_type_flow_daily') }} where {{ in_built_days(start_of_local_date('local_date')) }}
),

flows as (
    select
        zone,
        local_date,
        count(*) filter (where seller_building_type <> 'unknown' and buyer_building_type <> 'unknown') as cells,
        sum(trades) as trades,
        sum(energy_wh) as energy_wh,
        sum(delivered_wh) as delivered_wh,
        sum(amount_micro) as amount_micro
    from built
    group by all
),

pairs as (
    select zone, local_date, sum(trades) as trades, sum(a_to_b_wh + b_to_a_wh) as energy_wh, sum(amount_micro) as amount_micro
    from {{ ref('fct_pair_daily') }}
    where {{ in_built_days(start_of_local_date('local_date')) }}
    group by all
),

trades as (
    select
        zone,
        cast(local_start as date) as local_date,
        count(*) as trades,
        sum(energy_wh) as energy_wh,
        sum(delivered_wh) as delivered_wh,
        sum(amount_micro) as amount_micro
    from {{ ref('fct_trades') }}
    where {{ in_built_days(start_of_local_date('cast(local_start as date)')) }}
    group by all
)

select zone, local_date
from flows
full join trades using (zone, local_date)
full join pairs using (zone, local_date)
where flows.cells is distinct from 36
    or flows.trades <> coalesce(trades.trades, 0)
    or flows.energy_wh <> coalesce(trades.energy_wh, 0)
    or flows.delivered_wh <> coalesce(trades.delivered_wh, 0)
    or flows.amount_micro <> coalesce(trades.amount_micro, 0)
    or pairs.trades is distinct from trades.trades
    or pairs.energy_wh is distinct from trades.energy_wh
    or pairs.amount_micro is distinct from trades.amount_micro
