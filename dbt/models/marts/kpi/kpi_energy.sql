{#
  "Renewable energy utilization": what of the campus's generation stayed on the campus, and what of its load it covered, in
  each 5-minute interval. The feeder's meter measures the same energy again.
#}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with intervals as (
    select
        zone,
        interval_start,
        cast(any_value(local_start) as date) as local_date,
        count(*) as meters,
        sum(generation_wh) as generation_wh,
        sum(load_wh) as load_wh,
        sum(charge_wh) as charge_wh,
        sum(discharge_wh) as discharge_wh,
        sum(net_wh) as net_wh
    from {{ ref('fct_energy_5min') }}
    where building_type is distinct from 'feeder'
    group by zone, interval_start
),

days as (
    select
        zone,
        local_date,
        max(meters)::integer as meters,
        count(*)::integer as intervals_5min,
        sum(generation_wh) as generation_wh,
        sum(load_wh) as load_wh,
        sum(charge_wh) as charge_wh,
        sum(discharge_wh) as discharge_wh,
        sum(greatest(net_wh, 0)) as campus_export_wh,
        sum(greatest(-net_wh, 0)) as campus_import_wh,
        12 * max(load_wh) as peak_load_w
    from intervals
    group by zone, local_date
)

select
    zone,
    local_date,
    meters,
    intervals_5min,
    generation_wh,
    load_wh,
    charge_wh,
    discharge_wh,
    campus_export_wh,
    campus_import_wh,
    peak_load_w,
    greatest(generation_wh - campus_export_wh, 0) as self_consumed_wh,
    {{ percent_of('greatest(generation_wh - campus_export_wh, 0)', 'generation_wh') }} as self_consumption_pct,
    {{ percent_of('greatest(load_wh - campus_import_wh, 0)', 'load_wh') }} as self_sufficiency_pct
from days
