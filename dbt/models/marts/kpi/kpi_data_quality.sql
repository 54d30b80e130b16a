{# "Error rates by component and meter type": readings that were refused, and what was found in those that were not. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with readings as (
    select
        zone,
        coalesce(building_type, 'unknown') as building_type,
        cast(local_start as date) as local_date,
        sum(messages_landed)::bigint as messages_landed,
        sum(messages_landed - messages_understood)::bigint as messages_not_understood,
        sum(readings_total)::bigint as readings_total,
        sum(readings_rejected)::bigint as readings_rejected
    from {{ ref('fct_messages') }}
    group by all
),

findings as (
    select
        zone,
        coalesce(building_type, 'unknown') as building_type,
        cast(local_start as date) as local_date,
        coalesce(sum(occurrences) filter (where severity = 'error'), 0)::bigint as findings_error,
        coalesce(sum(occurrences) filter (where severity = 'warning'), 0)::bigint as findings_warning,
        coalesce(sum(occurrences) filter (where severity = 'information'), 0)::bigint as findings_information
    from {{ ref('fct_data_quality') }}
    where origin <> 'rejected'
    group by all
)

select
    zone,
    building_type,
    local_date,
    coalesce(messages_landed, 0) as messages_landed,
    coalesce(messages_not_understood, 0) as messages_not_understood,
    coalesce(readings_total, 0) as readings_total,
    coalesce(readings_rejected, 0) as readings_rejected,
    {{ percent_of('readings_rejected', 'readings_total') }} as error_rate_pct,
    coalesce(findings_error, 0) as findings_error,
    coalesce(findings_warning, 0) as findings_warning,
    coalesce(findings_information, 0) as findings_information
from readings
full join findings using (zone, building_type, local_date)
