-- One row for each prescriber, pack, channel and payer of a week. Resubmitted lines count once. Reversals cannot be
-- matched to what they reverse, so they are left out, and so is the placeholder pack.
select
    week_ending,
    npi,
    case
        when length(ndc) = 11 then ndc[1:5] || '-' || ndc[6:9] || '-' || ndc[10:11]
        else ndc
    end as ndc,
    channel,
    payer,
    trx,
    least(nrx, trx) as nrx
from {{ source('claims', 'raw_claims') }}
where trx > 0 and ndc <> '99999-9999-99'
qualify row_number() over (partition by week_ending, npi, ndc, channel, payer order by claim_line) = 1
