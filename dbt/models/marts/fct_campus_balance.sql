{# DuckLake takes comments on a view, not on its columns. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    zone,
    interval_start,
    {{ local_time('interval_start') }} as local_start,
    {{ utc_offset_s('interval_start') }} as utc_offset_s,
    arg_min(duration_s, version) as duration_s,
    count(*) filter (where version > 1)::integer as corrections,
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
from {{ source('market', 'campus_balances') }}
group by zone, interval_start
