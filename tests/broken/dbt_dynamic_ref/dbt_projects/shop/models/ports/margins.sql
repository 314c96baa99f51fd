select *
from {{ ref(var('x')) }}
