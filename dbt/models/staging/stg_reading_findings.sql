{# One row for each finding of a reading. #}
select
    zone,
    meter_id,
    channel,
    interval_start,
    duration_s,
    version,
    received_at,
    date_trunc('hour', received_at) as hour_start,
    unnest(string_split(findings, ',')) as code
from {{ source('core', 'readings') }}
where findings is not null and findings <> ''
