{# DuckLake takes comments on a view, not on its columns. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with carried as (
    select
        batch_id,
        count(*) as transactions,
        cast(sum(actions) as bigint) as actions,
        cast(sum(fee_lamports) as bigint) as fee_lamports,
        max(slot) as slot,
        -- its root goes in one transaction, with other actions or not
        min(signature) filter (where contains(kind, 'record_batch') or contains(kind, 'memo')) as signature
    from {{ source('settlement', 'transactions') }}
    where state = 'confirmed'
    group by batch_id
)

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
    carried.signature,
    carried.slot,
    coalesce(carried.transactions, 0) as transactions,
    coalesce(carried.actions, 0) as actions,
    carried.fee_lamports
from {{ source('settlement', 'batches') }} as batch
left join carried using (batch_id)
