with unnested as (
    select product_id, unnest(packs) as pack
    from products.raw_catalogue
)

select
    pack.ndc as ndc,
    product_id,
    cast(pack.strength_mg as integer) as strength_mg,
    cast(pack.units as integer) as units
from unnested
