{#
  The days this run built. Marts of other days may be older than the tables behind them, until their own next run.
  Without GRIDTOKENX_MARTS_START and _END (dbt run by hand) all days count.
#}
{% macro in_built_days(moment) -%}
    {%- set start = env_var('GRIDTOKENX_MARTS_START', '') -%}
    {%- set end = env_var('GRIDTOKENX_MARTS_END', '') -%}
    {%- if start and end -%}
        {{ moment }} >= timestamptz '{{ start }} 00:00:00+00' and {{ moment }} < timestamptz '{{ end }} 00:00:00+00'
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}
