-- The master keeps packs inside their product.
with unnested as (
    select product_id, unnest(packs) as pack
    from products.raw_catalogue
)

select
    u.pack.ndc as ndc,
    p.product_id,
    cast(u.pack.strength_mg as integer) as strength_mg,
    cast(u.pack.units as integer) as units
from unnested as u
join products.products as p on p.product_id = u.product_id
