{# A view, because a local day lies in two UTC days. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    zone,
    cast(local_start as date) as local_date,
    count(*)::integer as intervals,
    count(feeder_net_wh)::integer as intervals_with_feeder,
    sum(corrections)::integer as corrections,
    max(meters) as meters,
    sum(net_wh)::bigint as net_wh,
    sum(export_wh)::bigint as export_wh,
    sum(import_wh)::bigint as import_wh,
    sum(loss_wh)::bigint as loss_wh,
    sum(feeder_net_wh)::bigint as feeder_net_wh,
    sum(unaccounted_wh)::bigint as unaccounted_wh,
    sum(trade_amount_micro)::bigint as trade_amount_micro,
    sum(wheeling_micro)::bigint as wheeling_micro,
    sum(grid_amount_micro)::bigint as grid_amount_micro
from {{ ref('fct_campus_balance') }}
group by zone, cast(local_start as date)
