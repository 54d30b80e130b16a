{#
  The certificates of each of the site's days of generation: what an owner got of them, and what has become of them. A row for each
  owner and day; a state is that of now.
#}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with lines as (
    select zone, meter_id as owner, interval_start, 'bundle' as line, energy_wh from {{ source('certificates', 'bundles') }}
    union all
    select zone, meter_id, bundle_interval_start, 'issued', energy_wh from {{ ref('fct_certificate_events') }} where kind = 'issued'
    union all
    select zone, owner, bundle_interval_start, 'received', energy_wh
    from {{ ref('fct_certificate_events') }} where kind = 'transferred'
    union all
    select zone, from_owner, bundle_interval_start, 'transferred', energy_wh
    from {{ ref('fct_certificate_events') }} where kind = 'transferred'
    union all
    select zone, owner, interval_start, state, energy_wh from {{ source('certificates', 'holdings') }}
),

days as (
    select
        zone,
        cast({{ local_time('interval_start') }} as date) as local_date,
        owner
        {%- set lines = ['bundle', 'issued', 'received', 'transferred', 'pending', 'active', 'locked', 'cancelled', 'claimed', 'retired', 'withdrawn', 'expired'] %}
        {%- for line in lines %},
        coalesce(sum(energy_wh) filter (where line = '{{ line }}'), 0)::bigint as {{ line }}_wh
        {%- endfor %}
    from lines
    group by all
)

select days.*, meter.building, meter.building_type
from days
left join {{ ref('dim_meter') }} as meter on meter.meter_id = days.owner
