{# What settled intervals owe to energy that came or changed later; each row is the difference that one version made for one meter. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with known as (
    select zone, meter_id, interval_start, max(known_from) as known_from, max(revision) as revisions
    from {{ source('core', 'energy_revisions') }}
    group by all
)

select
    grid.grid_settlement_id,
    grid.zone,
    grid.interval_start,
    grid.local_start,
    grid.version,
    grid.meter_id,
    grid.building,
    grid.building_type,
    terms.state,
    known.known_from as energy_known_from,
    known.revisions as energy_revisions,
    grid.net_before_wh,
    grid.net_wh as net_delta_wh,
    grid.net_before_wh + grid.net_wh as net_after_wh,
    grid.export_wh as export_delta_wh,
    grid.import_wh as import_delta_wh,
    grid.amount_before_micro,
    grid.amount_micro as amount_delta_micro,
    grid.amount_before_micro + grid.amount_micro as amount_after_micro,
    terms.feed_in_micro_per_kwh,
    terms.retail_micro_per_kwh,
    terms.currency,
    grid.quality_flags
from {{ ref('fct_grid_settlements') }} as grid
left join {{ source('market', 'intervals') }} as terms using (zone, interval_start, version)
left join known using (zone, meter_id, interval_start)
where grid.is_correction
