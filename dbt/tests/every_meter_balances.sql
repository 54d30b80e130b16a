{{ config(meta={'dagster': {'ref': {'name': 'fct_trades'}}}) }}

-- Per meter, interval and version: sold - received + grid = net, in Wh, and no trade is of a meter that did not settle.
with sides as (
    select zone, interval_start, seller_meter_id as meter_id, version, energy_wh from {{ ref('fct_trades') }}
    where {{ in_built_days('interval_start') }}
    union all
    select zone, interval_start, buyer_meter_id, version, -delivered_wh from {{ ref('fct_trades') }}
    where {{ in_built_days('interval_start') }}
),

traded as (
    select zone, interval_start, meter_id, version, sum(energy_wh) as traded_wh from sides group by all
),

grid as (
    select * from {{ source('market', 'grid_settlements') }} where {{ in_built_days('interval_start') }}
)

select meter_id, interval_start
from grid
full join traded using (zone, interval_start, meter_id, version)
where coalesce(traded.traded_wh, 0) is distinct from grid.traded_wh or coalesce(traded.traded_wh, 0) + grid.energy_wh <> grid.net_wh
