select
    territory_id,
    any_value(territory) as territory,
    count(*) as physicians,
    count(*) filter (decile >= 8) as high_value,
    count(*) filter (decile >= 8 and calls > 0) as high_value_called,
    count(*) filter (velmora_trx > 0) as prescribers,
    cast(sum(velmora_trx) as bigint) as velmora_trx,
    cast(sum(market_trx) as bigint) as market_trx,
    cast(sum(velmora_trx) / sum(market_trx) as decimal(7, 5)) as velmora_share
from launch_analytics.physician_targets
where territory_id is not null
group by territory_id
