-- The latest entry of each contact.
select contact_id as physician_id, full_name, lower(specialty) as specialty, updated
from customers.crm
qualify row_number() over (partition by contact_id order by updated desc) = 1
