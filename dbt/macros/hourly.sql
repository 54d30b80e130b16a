{# A table of which whole days (UTC) of `event_time` are built again; each day by itself. #}
{% macro by_day(event_time) -%}
    {{
        config(
            materialized='incremental',
            incremental_strategy='microbatch',
            event_time=event_time,
            batch_size='day',
            begin='2026-01-01',
            lookback=0,
            on_schema_change='append_new_columns',
        )
    }}
{%- endmacro %}
