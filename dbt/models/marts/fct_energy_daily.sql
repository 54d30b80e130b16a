{#
  A view, because a local day lies in two UTC days: whichever of them is built again, the day is right.
  It sums 5-minute intervals, at which the days of every time zone begin; hours (UTC) do not fit zones such as +05:30.
#}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with days as (
    select
        zone,
        meter_id,
        building,
        building_type,
        cast(local_start as date) as local_date,
        sum(generation_wh) as generation_wh,
        sum(load_wh) as load_wh,
        sum(charge_wh) as charge_wh,
        sum(discharge_wh) as discharge_wh,
        sum(import_wh) as import_wh,
        sum(export_wh) as export_wh,
        sum(net_wh) as net_wh,
        arg_max(state_of_charge_pct, interval_start) as state_of_charge_pct,
        count(*)::integer as intervals_5min,
        sum(readings_expected)::bigint as readings_expected,
        sum(readings_present)::bigint as readings_present,
        sum(readings_estimated)::bigint as readings_estimated,
        {{ quality_of('quality_flags') }} as quality_flags,
        arg_min(utc_offset_s, interval_start) as utc_offset_s
    from {{ ref('fct_energy_5min') }}
    group by all
)

select
    zone,
    meter_id,
    building,
    building_type,
    local_date,
    {{ start_of_local_date('local_date') }} as day_start,
    cast(
        (epoch({{ start_of_local_date('local_date + 1') }}) - epoch({{ start_of_local_date('local_date') }})) / 3600 as decimal(4, 2)
    ) as hours,
    utc_offset_s,
    generation_wh,
    load_wh,
    charge_wh,
    discharge_wh,
    import_wh,
    export_wh,
    net_wh,
    state_of_charge_pct,
    intervals_5min,
    readings_expected,
    readings_present,
    readings_estimated,
    quality_flags
from days
