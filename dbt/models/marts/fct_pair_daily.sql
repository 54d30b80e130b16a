{# DuckLake takes comments on a view, not on its columns. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with days as (
    select
        zone,
        cast(local_start as date) as local_date,
        pair_id,
        count(*)::bigint as trades,
        sum(energy_wh)::bigint as energy_wh,
        coalesce(sum(energy_wh) filter (where seller_meter_id < buyer_meter_id), 0)::bigint as a_to_b_wh,
        coalesce(sum(energy_wh) filter (where seller_meter_id > buyer_meter_id), 0)::bigint as b_to_a_wh,
        coalesce(sum(energy_wh) filter (where kind = 'agreement'), 0)::bigint as agreement_wh,
        sum(loss_wh)::bigint as loss_wh,
        sum(amount_micro)::bigint as amount_micro,
        coalesce(sum(amount_micro) filter (where seller_meter_id < buyer_meter_id), 0)::bigint as a_to_b_amount_micro,
        coalesce(sum(amount_micro) filter (where seller_meter_id > buyer_meter_id), 0)::bigint as b_to_a_amount_micro,
        sum(wheeling_micro)::bigint as wheeling_micro
    from {{ ref('fct_trades') }}
    group by all
)

select
    days.zone,
    days.local_date,
    days.pair_id,
    pair.meter_a_id,
    pair.meter_b_id,
    pair.building_type_a,
    pair.building_type_b,
    pair.pair_type,
    days.trades,
    days.energy_wh,
    days.a_to_b_wh,
    days.b_to_a_wh,
    days.agreement_wh,
    days.loss_wh,
    days.amount_micro,
    days.a_to_b_amount_micro,
    days.b_to_a_amount_micro,
    days.wheeling_micro
from days
left join {{ ref('dim_pair') }} as pair using (pair_id)
