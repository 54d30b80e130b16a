{# DuckLake takes comments on a view, not on its columns. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    revision.zone,
    revision.meter_id,
    meter.building,
    meter.building_type,
    revision.interval_start,
    revision.duration_s,
    revision.revision,
    revision.known_from,
    cast(epoch(revision.known_from) - epoch(revision.interval_start) as bigint) as known_after_s,
    revision.generation_wh,
    revision.load_wh,
    revision.charge_wh,
    revision.discharge_wh,
    revision.import_wh,
    revision.export_wh,
    revision.generation_delta_wh,
    revision.load_delta_wh,
    revision.charge_delta_wh,
    revision.discharge_delta_wh,
    revision.import_delta_wh,
    revision.export_delta_wh,
    revision.readings_expected,
    revision.readings_present,
    revision.readings_estimated,
    revision.quality_flags
from {{ source('core', 'energy_revisions') }} as revision
left join {{ ref('dim_meter') }} as meter on meter.meter_id = revision.meter_id
