{# A view, because a local day lies in two UTC days: whichever of them is built again, the day is right. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with days as (
    select
        zone,
        meter_id,
        building,
        building_type,
        cast(local_start as date) as local_date,
        count(*)::integer as hours_present,
        sum(readings_expected)::bigint as readings_expected,
        sum(readings_present)::bigint as readings_present,
        sum(readings_estimated)::bigint as readings_estimated,
        sum(readings_edited)::bigint as readings_edited,
        sum(readings_late)::bigint as readings_late,
        sum(readings_rejected)::bigint as readings_rejected
    from {{ ref('fct_completeness') }}
    group by all
)

select
    *,
    {{ percent_of('readings_present', 'readings_expected') }} as completeness_pct,
    {{ percent_of('readings_present + readings_estimated', 'readings_expected') }} as with_estimates_pct,
    100 * readings_present >= {{ completeness_sla_pct() }} * readings_expected as meets_sla
from days
