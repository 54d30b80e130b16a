{#
  Rows add up: those of a later version are differences. So that exports and imports add up too, each row has what it changed of
  either: the rest of a meter that turns from -5 to +3 has 3 more of export and 5 less of import.
#}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

{% set grid = source('market', 'grid_settlements') %}
with before as (
    select
        later.grid_settlement_id,
        coalesce(sum(earlier.energy_wh), 0)::bigint as energy_wh,
        coalesce(sum(earlier.net_wh), 0)::bigint as net_wh,
        coalesce(sum(earlier.amount_micro), 0)::bigint as amount_micro
    from {{ grid }} as later
    left join {{ grid }} as earlier
        on earlier.zone = later.zone
        and earlier.interval_start = later.interval_start
        and earlier.meter_id = later.meter_id
        and earlier.version < later.version
    where later.version > 1
    group by later.grid_settlement_id
)

select
    grid.grid_settlement_id,
    grid.zone,
    grid.interval_start,
    grid.meter_id,
    meter.building,
    meter.building_type,
    grid.version,
    grid.version > 1 as is_correction,
    grid.reason,
    grid.net_wh,
    grid.traded_wh,
    grid.energy_wh,
    (
        greatest(coalesce(before.energy_wh, 0) + grid.energy_wh, 0) - greatest(coalesce(before.energy_wh, 0), 0)
    )::bigint as export_wh,
    (
        greatest(-coalesce(before.energy_wh, 0) - grid.energy_wh, 0) - greatest(-coalesce(before.energy_wh, 0), 0)
    )::bigint as import_wh,
    grid.amount_micro,
    before.net_wh as net_before_wh,
    before.energy_wh as energy_before_wh,
    before.amount_micro as amount_before_micro,
    grid.quality_flags,
    {{ local_time('grid.interval_start') }} as local_start,
    {{ utc_offset_s('grid.interval_start') }} as utc_offset_s
from {{ grid }} as grid
left join before using (grid_settlement_id)
left join {{ ref('dim_meter') }} as meter on meter.meter_id = grid.meter_id
