{# A view, because a local day lies in two UTC days, and a correction may change any of them. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with days as (
    select
        zone,
        meter_id,
        cast(local_start as date) as local_date,
        any_value(currency) as currency,
        count(*)::integer as intervals,
        count(*) filter (where state = 'settled')::integer as intervals_settled,
        count(*) filter (where not is_known)::integer as intervals_unknown,
        sum(corrections)::integer as corrections,
        sum(net_wh)::bigint as net_wh,
        sum(sold_wh)::bigint as sold_wh,
        sum(bought_wh)::bigint as bought_wh,
        sum(received_wh)::bigint as received_wh,
        sum(export_wh)::bigint as export_wh,
        sum(import_wh)::bigint as import_wh,
        sum(sold_micro)::bigint as sold_micro,
        sum(bought_micro)::bigint as bought_micro,
        sum(wheeling_micro)::bigint as wheeling_micro,
        sum(export_micro)::bigint as export_micro,
        sum(import_micro)::bigint as import_micro,
        sum(grid_only_micro)::bigint as grid_only_micro
    from {{ ref('stg_meter_intervals') }}
    group by all
)

select
    days.zone,
    days.meter_id,
    meter.building,
    meter.building_type,
    days.local_date,
    days.currency,
    days.intervals,
    days.intervals_settled,
    days.intervals_unknown,
    days.corrections,
    days.net_wh,
    days.sold_wh,
    days.bought_wh,
    days.received_wh,
    days.export_wh,
    days.import_wh,
    days.sold_micro,
    days.bought_micro,
    days.wheeling_micro,
    days.export_micro,
    days.import_micro,
    days.sold_micro - days.bought_micro - days.wheeling_micro + days.export_micro - days.import_micro as balance_micro,
    days.grid_only_micro,
    days.sold_micro - days.bought_micro - days.wheeling_micro + days.export_micro - days.import_micro
        - days.grid_only_micro as saving_micro
from days
left join {{ ref('dim_meter') }} as meter on meter.meter_id = days.meter_id
