select
    product_id,
    brand,
    molecule,
    company,
    mechanism,
    mechanism in ('CGRP receptor antagonist', 'CGRP antibody') as is_anti_cgrp,
    company = 'Arden Pharma' as is_own,
    cast(first_sold_on as date) as first_sold_on
from products.raw_catalogue
