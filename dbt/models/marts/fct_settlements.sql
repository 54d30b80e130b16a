{# DuckLake takes comments on a view, not on its columns. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

select
    batch.batch_id,
    batch.zone,
    batch.window_start,
    batch.version,
    batch.items,
    batch.merkle_root,
    batch.traded_wh,
    batch.amount_micro,
    batch.certificate_wh,
    batch.state as batch_state,
    tx.signature,
    tx.slot,
    tx.fee_lamports,
    tx.state as transaction_state
from {{ source('settlement', 'batches') }} as batch
left join {{ source('settlement', 'transactions') }} as tx
    on tx.batch_id = batch.batch_id and tx.state = 'confirmed'
