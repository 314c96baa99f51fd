"""What a schedule may be."""

from functools import cache

FIELDS = 5


@cache
def is_cron(written: str) -> bool:
    """Whether this is a cron expression of five fields."""
    if len(written.split()) != FIELDS:
        return False
    from croniter import croniter

    return bool(croniter.is_valid(written))
