{#
  Views stay as they are while their definition and comment do. Making one again takes four commits of the lake, seven times what
  it costs to see that there is nothing to do, and leaves two snapshots. DuckDB itself tells whether two definitions are one: it
  is given the new one as a temporary view, and shows both as it understood them.
#}
{% materialization view, adapter='duckdb' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- if existing is not none and existing.is_view and not should_full_refresh() and is_kept(this, sql) -%}
        {%- call noop_statement('main', 'OK', 'OK') -%}{{ sql }}{%- endcall -%}
        {%- do adapter.commit() -%}
        {{ return({'relations': [this.incorporate(type='view')]}) }}
    {%- endif -%}
    {{ return(dbt.materialization_view_default()) }}
{% endmaterialization %}

{% macro is_kept(relation, sql) -%}
    {%- do run_query('create or replace temporary view kept_view as (' ~ sql ~ '\n)') -%}
    {%- set found = run_query(
        "select stored.comment from duckdb_views() as stored, duckdb_views() as new "
        ~ "where stored.database_name = '" ~ relation.database ~ "' and stored.schema_name = '" ~ relation.schema
        ~ "' and stored.view_name = '" ~ relation.identifier
        ~ "' and new.database_name = 'temp' and new.view_name = 'kept_view' "
        ~ "and substr(stored.sql, strpos(stored.sql, ' AS ')) = substr(new.sql, strpos(new.sql, ' AS '))"
    ) -%}
    {{ return(found | length == 1 and (found.columns[0].values()[0] or '') == model.description) }}
{%- endmacro %}
