{#
  "Meter communication success rate: > 99.5 %": the readings that came of those that were due.
  "IEEE 2030.5 protocol compliance: > 99.9 %": the messages that were documents of a known kind.
#}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    zone,
    meter_id,
    hour_start,
    coalesce(message.messages_landed, 0) as messages_landed,
    coalesce(message.messages_understood, 0) as messages_understood,
    coalesce(message.messages_accepted, 0) as messages_accepted,
    {{ percent_of('message.messages_understood', 'message.messages_landed') }} as compliance_pct,
    {{ percent_of('message.messages_accepted', 'message.messages_landed') }} as acceptance_pct,
    completeness.readings_expected,
    completeness.readings_present,
    completeness.completeness_pct as success_pct,
    1000 * completeness.readings_present > 995 * completeness.readings_expected as meets_success_target,
    1000 * message.messages_understood > 999 * message.messages_landed as meets_compliance_target
from {{ ref('fct_messages') }} as message
full join {{ ref('fct_completeness') }} as completeness using (zone, meter_id, hour_start)
