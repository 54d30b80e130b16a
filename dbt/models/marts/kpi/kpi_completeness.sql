{# DuckLake takes comments on a view, not on its columns. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    zone,
    local_date,
    count(*)::integer as meters,
    count(*) filter (where meets_sla)::integer as meters_meeting_sla,
    {{ completeness_sla_pct() }} as sla_pct,
    sum(readings_expected)::bigint as readings_expected,
    sum(readings_present)::bigint as readings_present,
    sum(readings_estimated)::bigint as readings_estimated,
    sum(readings_late)::bigint as readings_late,
    {{ percent_of('sum(readings_present)', 'sum(readings_expected)') }} as completeness_pct,
    {{ percent_of('sum(readings_present + readings_estimated)', 'sum(readings_expected)') }} as with_estimates_pct,
    100 * sum(readings_present) >= {{ completeness_sla_pct() }} * sum(readings_expected) as meets_sla
from {{ ref('fct_completeness_daily') }}
group by zone, local_date
