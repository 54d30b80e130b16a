{#
  Whole units of `size` Wh from the Wh that each device was issued in periods: what does not fill a unit is carried to the device's
  next period, so residual_in + wh = units x size + residual_out in every row and nothing is lost between them. Withdrawn Wh count
  in the period of their withdrawal and can take units back; units that were reported are never changed.
#}
{% macro residual_carry(period, name, size) -%}
with changes as (
    select
        zone,
        meter_id,
        {{ period }} as {{ name }},
        sum(issued_wh)::bigint as issued_wh,
        sum(withdrawn_wh)::bigint as withdrawn_wh,
        sum(issued_wh - withdrawn_wh)::bigint as wh
    from {{ ref('stg_certificate_volume') }}
    group by all
),

running as (
    select *, (sum(wh) over (partition by zone, meter_id order by {{ name }}))::bigint as total_wh
    from changes
)

select
    running.zone,
    running.meter_id,
    meter.building,
    running.{{ name }},
    ((running.total_wh - running.wh) % {{ size }})::bigint as residual_in_wh,
    running.issued_wh,
    running.withdrawn_wh,
    running.wh,
    (running.total_wh // {{ size }} - (running.total_wh - running.wh) // {{ size }})::bigint as certificates,
    (running.total_wh % {{ size }})::bigint as residual_out_wh,
    (running.total_wh // {{ size }})::bigint as certificates_total
from running
left join {{ ref('dim_meter') }} as meter on meter.meter_id = running.meter_id
{%- endmacro %}
