{{ config(meta={'dagster': {'ref': {'name': 'fct_certificates_mwh'}}}) }}

-- Of a device, in 1-MWh certificates as in units of 100 kWh: each residual is the one before, and units and the last residual are all that was issued.
{% set views = [(ref('fct_certificates_mwh'), 'month', 1000000), (ref('fct_certificates_erc'), 'window_start', 100000)] %}
with steps as (
    {% for relation, period, size in views %}
    select
        {{ size }} as size,
        zone,
        meter_id,
        wh,
        certificates,
        residual_in_wh + wh - residual_out_wh <> {{ size }} * certificates as is_wrong,
        residual_in_wh <> lag(residual_out_wh, 1, 0::bigint) over (partition by zone, meter_id order by {{ period }}) as is_torn,
        residual_out_wh not between 0 and {{ size }} - 1 as is_outside
    from {{ relation }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

devices as (
    select size, zone, meter_id, sum(wh) as wh, bool_or(is_wrong or is_torn or is_outside) as is_broken
    from steps
    group by all
),

volume as (
    select zone, meter_id, sum(issued_wh - withdrawn_wh) as wh
    from {{ ref('stg_certificate_volume') }}
    group by all
)

select zone, meter_id
from volume
left join devices using (zone, meter_id)
where devices.wh is distinct from volume.wh or devices.is_broken
