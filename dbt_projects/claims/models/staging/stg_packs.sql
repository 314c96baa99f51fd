select ndc, product_id
from {{ source('products', 'packs') }}
