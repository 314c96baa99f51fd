-- A price holds from its day to the day before the next one. Entries that cannot be prices, or are of no pack of ours, do
-- not count; of entries for the same day the last one does.
with entered as (
    select p.ndc, p.valid_from, p.price_usd
    from products.raw_prices as p
    join products.packs as k on k.ndc = p.ndc
    where p.price_usd > 0
    qualify row_number() over (partition by p.ndc, p.valid_from order by p.change_id desc) = 1
)

select
    ndc,
    valid_from,
    cast(lead(valid_from) over (partition by ndc order by valid_from) - interval 1 day as date) as valid_to,
    cast(price_usd as decimal(10, 2)) as price_usd
from entered
