{{ config(meta={'dagster': {'ref': {'name': 'stg_meter_intervals'}}}) }}

-- In every interval, what meters pay each other sums to zero, and what bills are made of sums to the campus's balance, in every Wh
-- and every micro-unit of money; net = sold - received + export - import of every meter, net = export - import + losses of the campus.
with meters as (
    select
        zone,
        interval_start,
        sum(net_wh) as net_wh,
        sum(sold_wh - received_wh) as loss_wh,
        sum(export_wh) as export_wh,
        sum(import_wh) as import_wh,
        sum(sold_micro) as sold_micro,
        sum(bought_micro) as bought_micro,
        sum(wheeling_micro) as wheeling_micro,
        sum(export_micro - import_micro) as grid_amount_micro,
        count(*) filter (where net_wh <> sold_wh - received_wh + export_wh - import_wh) as unbalanced
    from {{ ref('stg_meter_intervals') }}
    where {{ in_built_days('interval_start') }}
    group by all
),

campus as (
    select
        zone,
        interval_start,
        sum(net_wh) as net_wh,
        sum(export_wh) as export_wh,
        sum(import_wh) as import_wh,
        sum(loss_wh) as loss_wh,
        sum(trade_amount_micro) as trade_amount_micro,
        sum(wheeling_micro) as wheeling_micro,
        sum(grid_amount_micro) as grid_amount_micro
    from {{ source('market', 'campus_balances') }}
    where {{ in_built_days('interval_start') }}
    group by all
)

select zone, interval_start
from meters
full join campus using (zone, interval_start)
where meters.unbalanced is distinct from 0
    or meters.sold_micro <> meters.bought_micro
    or meters.sold_micro is distinct from campus.trade_amount_micro
    or meters.net_wh is distinct from campus.net_wh
    or meters.loss_wh is distinct from campus.loss_wh
    or meters.export_wh is distinct from campus.export_wh
    or meters.import_wh is distinct from campus.import_wh
    or meters.wheeling_micro is distinct from campus.wheeling_micro
    or meters.grid_amount_micro is distinct from campus.grid_amount_micro
    or campus.net_wh <> campus.export_wh - campus.import_wh + campus.loss_wh
