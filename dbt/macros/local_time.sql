{#
  Time on the wall of the site. GRIDTOKENX_TIMEZONE is set from `site.timezone` of the configuration by whatever runs dbt.
  An hour that the clocks repeat has one local time twice: utc_offset_s tells which.
#}
{% macro site_timezone() -%}
    '{{ env_var('GRIDTOKENX_TIMEZONE', 'America/Los_Angeles') }}'
{%- endmacro %}

{% macro local_time(moment) -%}
    timezone({{ site_timezone() }}, {{ moment }})
{%- endmacro %}

{% macro utc_offset_s(moment) -%}
    cast(epoch({{ local_time(moment) }}) - epoch({{ moment }}) as integer)
{%- endmacro %}

{# The moment at which a local date begins. #}
{% macro start_of_local_date(date) -%}
    timezone({{ site_timezone() }}, cast({{ date }} as timestamp))
{%- endmacro %}
