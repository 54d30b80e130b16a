{# DuckLake takes comments on a view, not on its columns. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with energy as (
    select
        zone,
        cast(interval_start as date) as day,
        sum(generation_wh) as generation_wh,
        sum(load_wh) as load_wh,
        sum(charge_wh) as charge_wh,
        sum(discharge_wh) as discharge_wh,
        sum(import_wh) as import_wh,
        sum(export_wh) as export_wh,
        sum(readings_present) as readings_present,
        sum(readings_expected) as readings_expected
    from {{ ref('fct_energy_5min') }}
    -- What passes the feeder is what the meters behind it took already.
    where building_type is distinct from 'feeder'
    group by all
),

trades as (
    select
        zone,
        cast(interval_start as date) as day,
        count(*) as trades,
        sum(energy_wh) as traded_wh,
        sum(loss_wh) as loss_wh,
        sum(wheeling_micro) as wheeling_micro,
        sum(amount_micro) as amount_micro,
        min(price_micro_per_kwh) as price_min_micro_per_kwh,
        max(price_micro_per_kwh) as price_max_micro_per_kwh
    from {{ ref('fct_trades') }}
    group by all
),

certificates as (
    -- What storage gave was generated, and certified, before.
    select
        zone,
        cast(interval_start as date) as day,
        sum(energy_wh) filter (where state = 'issued' and origin = 'production') as certificate_wh
    from {{ source('certificates', 'bundles') }}
    group by all
)

select
    energy.zone,
    energy.day,
    energy.generation_wh,
    energy.load_wh,
    energy.charge_wh,
    energy.discharge_wh,
    energy.import_wh,
    energy.export_wh,
    coalesce(trades.trades, 0) as trades,
    coalesce(trades.traded_wh, 0) as traded_wh,
    coalesce(trades.loss_wh, 0) as loss_wh,
    coalesce(trades.amount_micro, 0) as amount_micro,
    coalesce(trades.wheeling_micro, 0) as wheeling_micro,
    trades.price_min_micro_per_kwh,
    trades.price_max_micro_per_kwh,
    coalesce(certificates.certificate_wh, 0) as certificate_wh,
    energy.readings_present,
    energy.readings_expected
from energy
left join trades using (zone, day)
left join certificates using (zone, day)
