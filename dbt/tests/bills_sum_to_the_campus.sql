{{ config(meta={'dagster': {'ref': {'name': 'fct_meter_bill_daily'}}}) }}

-- What meters pay each other sums to zero; their bills sum to the campus's balance, in every Wh and every micro-unit of money;
-- and net = sold - received + export - import of every meter, net = export - import + losses of the campus.
with bills as (
    select
        zone,
        local_date,
        sum(net_wh) as net_wh,
        sum(sold_wh - received_wh) as loss_wh,
        sum(export_wh) as export_wh,
        sum(import_wh) as import_wh,
        sum(sold_micro) as sold_micro,
        sum(bought_micro) as bought_micro,
        sum(wheeling_micro) as wheeling_micro,
        sum(export_micro - import_micro) as grid_amount_micro,
        sum(balance_micro) as balance_micro,
        count(*) filter (where net_wh <> sold_wh - received_wh + export_wh - import_wh) as unbalanced
    from {{ ref('fct_meter_bill_daily') }}
    where {{ in_built_days(start_of_local_date('local_date')) }}
    group by all
),

campus as (
    select * from {{ ref('fct_campus_balance_daily') }} where {{ in_built_days(start_of_local_date('local_date')) }}
)

select zone, local_date
from bills
full join campus using (zone, local_date)
where bills.unbalanced is distinct from 0
    or bills.sold_micro <> bills.bought_micro
    or bills.balance_micro <> bills.grid_amount_micro - bills.wheeling_micro
    or bills.sold_micro is distinct from campus.trade_amount_micro
    or bills.net_wh is distinct from campus.net_wh
    or bills.loss_wh is distinct from campus.loss_wh
    or bills.export_wh is distinct from campus.export_wh
    or bills.import_wh is distinct from campus.import_wh
    or bills.wheeling_micro is distinct from campus.wheeling_micro
    or bills.grid_amount_micro is distinct from campus.grid_amount_micro
    or campus.net_wh <> campus.export_wh - campus.import_wh + campus.loss_wh
