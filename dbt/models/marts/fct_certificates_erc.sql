{#
  Units of 100 kWh by device and 15-minute window, the least that the GridTokenX programs issue (`issue_erc`). A view, because every
  window carries into the next.
#}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with units as (
    {{ residual_carry("time_bucket(interval '15 minutes', interval_start)", 'window_start', 100000) | indent(4) }}
)

select *, 100 * certificates as certificate_kwh
from units
