{# Certificates of 1 MWh by device and month, as M-RETS and WREGIS count them. A view, because every month carries into the next. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

{{ residual_carry("cast(date_trunc('month', " ~ local_time('interval_start') ~ ") as date)", 'month', 1000000) }}
