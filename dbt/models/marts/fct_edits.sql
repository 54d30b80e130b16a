{# DuckLake takes comments on a view, not on its columns. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    edit.edit_id,
    edit.zone,
    edit.meter_id,
    meter.building,
    edit.channel,
    edit.interval_start,
    edit.duration_s,
    edit.action,
    edit.before_energy_wh,
    edit.energy_wh,
    edit.energy_wh - edit.before_energy_wh as delta_wh,
    edit.edited_by,
    edit.reason,
    edit.edited_at,
    row_number() over (
        partition by edit.meter_id, edit.channel, edit.interval_start, edit.duration_s
        order by edit.edited_at desc, edit.edit_id desc
    ) = 1 as is_last
from {{ source('core', 'edits') }} as edit
left join {{ ref('dim_meter') }} as meter on meter.meter_id = edit.meter_id
