-- Five decimals, twelve products: rounding may cost half a decimal each.
select week_ending, sum(share) as total
from {{ ref('market_share') }}
group by week_ending
having abs(sum(share) - 1) > 0.0001
