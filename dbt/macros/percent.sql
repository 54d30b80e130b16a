{# A share in percent, rounded down so that 100 says all; null of nothing. #}
{% macro percent_of(part, whole) -%}
    cast(floor(100000 * cast({{ part }} as decimal(38, 3)) / nullif({{ whole }}, 0)) / 1000 as decimal(6, 3))
{%- endmacro %}

{# Share of expected readings that a meter owes [%], from `vee.completeness_sla_pct` of the configuration. #}
{% macro completeness_sla_pct() -%}
    cast({{ env_var('GRIDTOKENX_COMPLETENESS_SLA_PCT', '99.5') }} as decimal(6, 3))
{%- endmacro %}
