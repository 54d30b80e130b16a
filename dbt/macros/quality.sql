{# Quality of a sum: every bit that a part has, but 1 (valid) only where all parts have it. #}
{% macro quality_of(flags) -%}
    ((bit_or({{ flags }}) & ~1) | (bit_and({{ flags }}) & 1))
{%- endmacro %}
