{{ config(meta={'dagster': {'ref': {'name': 'kpi_certificates'}}}) }}

-- Of an owner and day: its own bundles, what it received less what it gave are what it holds, whatever their states.
select zone, local_date, owner
from {{ ref('kpi_certificates') }}
where bundle_wh + received_wh - transferred_wh
    <> pending_wh + active_wh + locked_wh + cancelled_wh + claimed_wh + retired_wh + withdrawn_wh + expired_wh
