{# A document that was malformed or of no known kind has one rejected row, without parts, that stands for it. #}
with refused as (
    select distinct message_id
    from {{ source('core', 'rejected_readings') }}
    where reason in ('malformed_document', 'unknown_document')
)

select
    outcome.message_id,
    outcome.received_at,
    date_trunc('hour', outcome.received_at) as hour_start,
    outcome.document,
    refused.message_id is null as is_understood,
    outcome.readings_total,
    outcome.accepted,
    outcome.rejected,
    outcome.telemetry
from {{ source('core', 'message_outcomes') }} as outcome
left join refused on refused.message_id = outcome.message_id
