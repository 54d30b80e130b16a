{# DuckLake takes comments on a view, not on its columns. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

{# One row a meter, channel, gap and method: the intervals of a gap are in core.estimates. #}
select
    estimate.zone,
    estimate.meter_id,
    meter.building,
    meter.building_type,
    estimate.channel,
    estimate.gap_start,
    estimate.gap_end,
    estimate.method,
    estimate.usable,
    cast(epoch(estimate.gap_end) - epoch(estimate.gap_start) as bigint) as gap_s,
    count(*)::bigint as intervals,
    sum(estimate.energy_wh) as energy_wh,
    {{ quality_of('estimate.quality_flags') }} as quality_flags
from {{ source('core', 'estimates') }} as estimate
left join {{ ref('dim_meter') }} as meter on meter.meter_id = estimate.meter_id
group by all
