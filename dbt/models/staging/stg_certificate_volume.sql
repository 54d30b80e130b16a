{#
  What the registries count, Wh by Wh: what was issued on generation registers, less what the issuer withdrew of it. What comes out
  of storage is the same energy once more, and what never left `pending` was never issued.
#}
with events as (
    select
        event.event_id,
        event.zone,
        event.bundle_id,
        bundle.meter_id,
        event.interval_start,
        event.kind,
        coalesce(event.first_wh, bundle.first_wh) as first_wh,
        coalesce(event.last_wh, bundle.last_wh) as last_wh
    from {{ source('certificates', 'events') }} as event
    inner join {{ source('certificates', 'bundles') }} as bundle on bundle.bundle_id = event.bundle_id
    where bundle.origin = 'production' and event.kind in ('issued', 'withdrawn')
),

withdrawn as (
    select
        withdrawal.event_id,
        sum(least(withdrawal.last_wh, issue.last_wh) - greatest(withdrawal.first_wh, issue.first_wh) + 1) as energy_wh
    from events as withdrawal
    inner join events as issue
        on
            issue.bundle_id = withdrawal.bundle_id
            and issue.first_wh <= withdrawal.last_wh
            and issue.last_wh >= withdrawal.first_wh
    where withdrawal.kind = 'withdrawn' and issue.kind = 'issued'
    group by withdrawal.event_id
)

select
    events.event_id,
    events.zone,
    events.bundle_id,
    events.meter_id,
    events.interval_start,
    (case when events.kind = 'issued' then events.last_wh - events.first_wh + 1 else 0 end)::bigint as issued_wh,
    coalesce(withdrawn.energy_wh, 0)::bigint as withdrawn_wh
from events
left join withdrawn on withdrawn.event_id = events.event_id
where events.kind = 'issued' or withdrawn.event_id is not null
