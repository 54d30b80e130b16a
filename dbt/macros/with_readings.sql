{# The days whose readings and 15-second energy retention has left: GRIDTOKENX_READINGS_DAYS is `retention.readings_days`, 0 for all. #}
{% macro with_readings(moment) -%}
    {%- set days = env_var('GRIDTOKENX_READINGS_DAYS', '0') | int -%}
    {%- if days -%}
        cast({{ moment }} as date) > current_date - {{ days }}
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
