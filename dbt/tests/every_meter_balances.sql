{{ config(meta={'dagster': {'ref': {'name': 'fct_trades'}}}) }}

-- Per meter and interval: sold - bought + grid = net, in Wh, for the latest version.
with sides as (
    select zone, interval_start, seller_meter_id as meter_id, version, energy_wh from {{ ref('fct_trades') }}
    union all
    select zone, interval_start, buyer_meter_id, version, -energy_wh from {{ ref('fct_trades') }}
),

traded as (
    select zone, interval_start, meter_id, version, sum(energy_wh) as traded_wh from sides group by all
)

select grid.meter_id, grid.interval_start
from {{ source('market', 'grid_settlements') }} as grid
left join traded using (zone, interval_start, meter_id, version)
where {{ in_built_days('grid.interval_start') }} and coalesce(traded.traded_wh, 0) + grid.energy_wh <> grid.net_wh
