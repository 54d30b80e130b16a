{# The attributes that the EnergyTag Granular Certificate Scheme Standard asks of every certificate; those of a bundle are alike. #}
{{ config(materialized='view', persist_docs={'relation': true, 'columns': false}) }}

with issues as (
    select
        bundle_id,
        min(interval_start) as issue_interval_start,
        sum(energy_wh)::bigint as issued_wh
    from {{ ref('fct_certificate_events') }}
    where kind = 'issued'
    group by bundle_id
),

present as (
    select
        bundle_id,
        coalesce(sum(energy_wh) filter (where state = 'active'), 0)::bigint as active_wh,
        coalesce(sum(energy_wh) filter (where state = 'locked'), 0)::bigint as locked_wh,
        coalesce(sum(energy_wh) filter (where state in ('claimed', 'retired')), 0)::bigint as used_wh,
        coalesce(sum(energy_wh) filter (where state in ('cancelled', 'withdrawn', 'expired')), 0)::bigint as void_wh
    from {{ source('certificates', 'holdings') }}
    group by bundle_id
)

select
    bundle.bundle_id,
    bundle.zone,
    bundle.first_wh,
    bundle.last_wh,
    bundle.energy_wh,
    coalesce(issues.issued_wh, 0)::bigint as issued_wh,
    bundle.carrier,
    bundle.source,
    device.fuel_code,
    device.technology,
    device.technology_code,
    bundle.meter_id as device_id,
    device.device_name,
    device.capacity_kw,
    device.storage_kwh,
    device.commissioned_at,
    bundle.origin,
    bundle.origin = 'storage_discharge' as is_after_storage,
    case when bundle.origin = 'production' then bundle.interval_start end as production_start,
    case when bundle.origin = 'production' then bundle.interval_end end as production_end,
    case when bundle.origin = 'storage_discharge' then bundle.interval_start end as discharge_start,
    case when bundle.origin = 'storage_discharge' then bundle.interval_end end as discharge_end,
    issues.issue_interval_start,
    cast({{ local_time('issues.issue_interval_start') }} as date) as issue_date,
    device.country,
    device.region,
    device.location,
    device.issuer,
    device.registry,
    device.configuration,
    bundle.quality_flags,
    coalesce(present.active_wh, 0)::bigint as active_wh,
    coalesce(present.locked_wh, 0)::bigint as locked_wh,
    coalesce(present.used_wh, 0)::bigint as used_wh,
    coalesce(present.void_wh, 0)::bigint as void_wh,
    coalesce(present.active_wh, 0) > 0 as is_usable_for_disclosure
from {{ source('certificates', 'bundles') }} as bundle
left join {{ source('certificates', 'devices') }} as device on device.meter_id = bundle.meter_id
left join issues on issues.bundle_id = bundle.bundle_id
left join present on present.bundle_id = bundle.bundle_id
