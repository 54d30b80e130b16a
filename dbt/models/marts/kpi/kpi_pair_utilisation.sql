{# "Trading Pair Utilization: 78% (234 of 300 pairs active)": pairs that traded, of all that could, in a day and in the days up to it. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with days as (
    select distinct zone, cast(local_start as date) as local_date from {{ ref('fct_market_intervals') }}
),

pairs as (
    select zone, count(*)::integer as pairs from {{ ref('dim_pair') }} group by zone
),

traded as (
    select
        days.zone,
        days.local_date,
        count(distinct pair.pair_id) filter (where pair.local_date = days.local_date)::integer as pairs_traded,
        count(distinct pair.pair_id) filter (where pair.local_date > days.local_date - 7)::integer as pairs_traded_7d,
        count(distinct pair.pair_id)::integer as pairs_traded_30d,
        coalesce(sum(pair.energy_wh) filter (where pair.local_date = days.local_date), 0)::bigint as energy_wh
    from days
    left join {{ ref('fct_pair_daily') }} as pair
        on pair.zone = days.zone and pair.local_date between days.local_date - 29 and days.local_date
    group by all
)

select
    traded.zone,
    traded.local_date,
    pairs.pairs,
    traded.pairs_traded,
    {{ percent_of('traded.pairs_traded', 'pairs.pairs') }} as utilisation_pct,
    traded.pairs_traded_7d,
    {{ percent_of('traded.pairs_traded_7d', 'pairs.pairs') }} as utilisation_7d_pct,
    traded.pairs_traded_30d,
    {{ percent_of('traded.pairs_traded_30d', 'pairs.pairs') }} as utilisation_30d_pct,
    traded.energy_wh,
    traded.energy_wh // nullif(traded.pairs_traded, 0) as energy_per_pair_wh
from traded
left join pairs using (zone)
