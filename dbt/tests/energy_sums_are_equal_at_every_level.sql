{{ config(meta={'dagster': {'ref': {'name': 'fct_energy_5min'}}}) }}

-- 15 s, 5 min, 15 min, the hour, the day and the marts must agree to the milli-watt-hour, meter by meter and day by day.
{% set channels = ['generation_wh', 'load_wh', 'charge_wh', 'discharge_wh', 'import_wh', 'export_wh'] %}
{% set relations = [
    source('core', 'energy_15s'),
    source('core', 'energy_5min'),
    source('core', 'energy_15min'),
    source('core', 'energy_1h'),
    source('core', 'energy_1d'),
    ref('fct_energy_5min'),
    ref('fct_energy_hourly'),
] %}
with levels as (
    {% for relation in relations %}
    select
        meter_id,
        cast(interval_start as date) as day
        {% for channel in channels %}, coalesce(sum({{ channel }}), 0) as {{ channel }}{% endfor %}
    from {{ relation }}
    where {{ in_built_days('interval_start') }} and {{ with_readings('interval_start') }}
    group by all
    {{ 'union all' if not loop.last }}
    {% endfor %}
)

select meter_id, day
from levels
group by meter_id, day
having count(*) <> {{ relations | length }}
    {% for channel in channels %} or min({{ channel }}) <> max({{ channel }}){% endfor %}
