select npi, physician_id
from {{ source('customers', 'physicians') }}
where npi is not null
