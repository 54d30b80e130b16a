{#
  What must hold of every row of a model, in one query, because each test of dbt costs a tenth of a second whatever it asks:
  `key` is unique, no column of `key` and `required` is null, each of `meters` is in dim_meter, and each column of `values` has
  one of its values (or null, where it is not required). With `moment`, of the days that this run built: a day that was not
  built again was tested when it was.
#}
{% test sound_rows(model, key, required=[], meters=[], values={}, moment=none) %}
{%- set start = invocation_args_dict.get('event_time_start') -%}
{%- set end = invocation_args_dict.get('event_time_end') -%}
with checked as (
    select *
    from {{ model }}
    {% if moment and start and end -%}
    where {{ moment }} >= timestamptz '{{ start }}' and {{ moment }} < timestamptz '{{ end }}'
    {%- endif %}
),

problems as (
    select 'repeated key: {{ key | join(", ") }}' as problem from checked group by {{ key | join(', ') }} having count(*) > 1
    {% for column in key + required %}
    union all select '{{ column }} is null' from checked where {{ column }} is null
    {% endfor %}
    {% for column, allowed in values.items() %}
    union all select '{{ column }} is ' || {{ column }} from checked where {{ column }} not in ('{{ allowed | join("', '") }}')
    {% endfor %}
    {% for column in meters %}
    union all select '{{ column }} is no meter: ' || {{ column }}
    from checked where {{ column }} not in (select meter_id from {{ ref('dim_meter') }})
    {% endfor %}
)

select problem, count(*) as number from problems group by problem
{% endtest %}
