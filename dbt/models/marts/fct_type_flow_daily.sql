{# "Inter-Building Bidirectional Energy Flows": each direction by itself, and the flows within a type, which the plan leaves out. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with types as (
    select unnest(['academic', 'residential', 'administrative', 'athletic', 'research', 'support']) as building_type
),

cells as (
    select days.zone, days.local_date, seller.building_type as seller_building_type, buyer.building_type as buyer_building_type
    from (select distinct zone, cast(local_start as date) as local_date from {{ ref('fct_market_intervals') }}) as days
    cross join types as seller
    cross join types as buyer
),

flows as (
    select
        zone,
        cast(local_start as date) as local_date,
        -- A meter that is configured no more has left no type behind.
        coalesce(seller_building_type, 'unknown') as seller_building_type,
        coalesce(buyer_building_type, 'unknown') as buyer_building_type,
        count(*)::bigint as trades,
        count(distinct pair_id)::integer as pairs,
        sum(energy_wh)::bigint as energy_wh,
        sum(delivered_wh)::bigint as delivered_wh,
        sum(amount_micro)::bigint as amount_micro,
        sum(wheeling_micro)::bigint as wheeling_micro
    from {{ ref('fct_trades') }}
    group by all
)

select
    zone,
    local_date,
    seller_building_type,
    buyer_building_type,
    case when seller_building_type = buyer_building_type then 'intra' else 'inter' end as pair_type,
    coalesce(flows.trades, 0) as trades,
    coalesce(flows.pairs, 0) as pairs,
    coalesce(flows.energy_wh, 0) as energy_wh,
    coalesce(flows.delivered_wh, 0) as delivered_wh,
    coalesce(flows.amount_micro, 0) as amount_micro,
    coalesce(flows.wheeling_micro, 0) as wheeling_micro
from cells
full join flows using (zone, local_date, seller_building_type, buyer_building_type)
