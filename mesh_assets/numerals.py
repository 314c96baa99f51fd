"""Counts within a sentence: one row fails, two rows fail."""

import re

_THIRD = {"have": "has", "are": "is", "were": "was", "do": "does", "pass": "passes", "match": "matches"}

_VOWEL = re.compile(r"(?!eu|one(?![a-z])|once|ubi|uni(?!n|m)|ur[ail]|us[_adeu]|ut[cei]|uu)[aeiou]", re.IGNORECASE)
"""Begins with the sound of a vowel, as nearly as letters tell."""


def many(count: int, noun: str, plural: str = "") -> str:
    """`1 row`, `2,000 rows`."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def does(count: int, verb: str) -> str:
    """What so many do: `fails` of one, `fail` of others; `has` and `is`, too."""
    return verb if count != 1 else _THIRD.get(verb, f"{verb}s")


def agreed(count: int, said: str) -> str:
    """What so many rows do, in words that begin with a verb of many: `share their id` is `shares its id` of one."""
    verb, _, rest = said.partition(" ")
    if count != 1:
        return said
    return " ".join(filter(None, (does(1, verb), f" {rest}".replace(" their ", " its ", 1).strip())))


def article(name: str) -> str:
    """`a` or `an`, as the name is read: an `amount`, a `user_id`, a `one_time_code`."""
    return "an" if _VOWEL.match(name) else "a"


def of_rows(failing: int, total: int, said: str) -> str:
    """How many rows break a rule: `1 of 20 rows has no id.` and the like."""
    return f"{failing:,} of {many(total, 'row')} {agreed(failing, said)}."
