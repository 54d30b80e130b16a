{# One row for each interval, whatever its corrections: energies are sums over versions, prices and terms those it was cleared with. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    zone,
    interval_start,
    {{ local_time('interval_start') }} as local_start,
    {{ utc_offset_s('interval_start') }} as utc_offset_s,
    arg_min(duration_s, version) as duration_s,
    arg_min(state, version) as state,
    count(*) filter (where version > 1)::integer as corrections,
    max(version) as version,
    arg_max(state, version) filter (where version > 1) as correction_state,
    arg_min(mechanism, version) as mechanism,
    arg_min(tariff, version) as tariff,
    arg_min(currency, version) as currency,
    sum(supply_wh)::bigint as supply_wh,
    sum(demand_wh)::bigint as demand_wh,
    least(arg_min(supply_wh, version), arg_min(demand_wh, version)) as tradable_wh,
    sum(traded_wh)::bigint as traded_wh,
    sum(capped_wh)::bigint as capped_wh,
    sum(loss_wh)::bigint as loss_wh,
    sum(wheeling_micro)::bigint as wheeling_micro,
    arg_min(price_micro_per_kwh, version) as price_micro_per_kwh,
    arg_min(feed_in_micro_per_kwh, version) as feed_in_micro_per_kwh,
    arg_min(retail_micro_per_kwh, version) as retail_micro_per_kwh,
    arg_min(meters, version) as meters,
    arg_min(meters_grid_only, version) as meters_grid_only
from {{ source('market', 'intervals') }}
group by zone, interval_start
