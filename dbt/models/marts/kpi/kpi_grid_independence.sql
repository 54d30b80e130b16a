{#
  "Grid Independence Level: 92% (renewable + bidirectional P2P)", in numbers that can be computed: of meters and intervals that
  were both measured and settled, today's truth. Imports that fill batteries count too, so that a share may fall below 0; it is
  shown as 0 then.
#}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with intervals as (
    select
        settled.zone,
        settled.interval_start,
        any_value(settled.local_start) as local_start,
        count(*) as meters,
        sum(energy.generation_wh) as generation_wh,
        sum(energy.load_wh) as consumption_wh,
        sum(settled.net_wh) as net_wh,
        sum(greatest(settled.net_wh, 0)) as surplus_wh,
        sum(greatest(-settled.net_wh, 0)) as deficit_wh,
        sum(settled.received_wh) as received_wh,
        sum(settled.export_wh) as export_wh,
        sum(settled.import_wh) as import_wh
    from {{ ref('stg_meter_intervals') }} as settled
    inner join {{ ref('fct_energy_5min') }} as energy using (meter_id, interval_start)
    where settled.is_known and energy.load_wh is not null and energy.generation_wh is not null
    group by settled.zone, settled.interval_start
),

days as (
    select
        zone,
        cast(local_start as date) as local_date,
        max(meters)::integer as meters,
        count(*)::integer as intervals,
        sum(generation_wh) as generation_wh,
        sum(consumption_wh) as consumption_wh,
        sum(surplus_wh)::bigint as surplus_wh,
        sum(deficit_wh)::bigint as deficit_wh,
        sum(received_wh)::bigint as received_wh,
        sum(export_wh)::bigint as grid_export_wh,
        sum(import_wh)::bigint as grid_import_wh,
        sum(greatest(net_wh, 0))::bigint as campus_export_wh,
        sum(greatest(-net_wh, 0))::bigint as campus_import_wh
    from intervals
    group by all
)

select
    *,
    {{ percent_of('greatest(consumption_wh - deficit_wh, 0)', 'consumption_wh') }} as independence_alone_pct,
    {{ percent_of('greatest(consumption_wh - grid_import_wh, 0)', 'consumption_wh') }} as grid_independence_pct,
    {{ percent_of('greatest(consumption_wh - campus_import_wh, 0)', 'consumption_wh') }} as self_sufficiency_pct,
    {{ percent_of('greatest(generation_wh - campus_export_wh, 0)', 'generation_wh') }} as self_consumption_pct
from days
