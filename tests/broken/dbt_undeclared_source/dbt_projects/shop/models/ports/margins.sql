select *
from {{ source('crm', 'clients') }}
