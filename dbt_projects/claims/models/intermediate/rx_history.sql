{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

-- A delivered week is never delivered again, so only weeks after the last one are read.
select *
from {{ ref('stg_claims') }}
{% if is_incremental() %}
where week_ending > (select coalesce(max(week_ending), date '1900-01-01') from {{ this }})
{% endif %}
