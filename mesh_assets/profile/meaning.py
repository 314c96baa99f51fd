"""What a column means, judged by its name and its values."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum

from mesh_assets.audit.values import NUMBERS, Family
from mesh_assets.profile.measure import FEW, Figures


class Meaning(StrEnum):
    """What a column is for."""

    ID = "id"
    CODE = "code"
    CATEGORY = "category"
    FLAG = "flag"
    MEASURE = "measure"
    COUNT = "count"
    DATE = "date"
    EMAIL = "e-mail"
    PHONE = "phone"
    STATE = "state"
    ZIP = "zip"
    NAME = "name"
    TEXT = "text"
    NOTHING = "nothing"
    OTHER = "other"


PERSONAL = frozenset({Meaning.EMAIL, Meaning.PHONE, Meaning.NAME})
_WORDS = {
    Meaning.EMAIL: r"e?_?mail", Meaning.PHONE: r"phone|mobile|fax", Meaning.STATE: r"state", Meaning.ZIP: r"zip|postal",
    Meaning.NAME: r"(first|last|given|family|full|middle)_?name|surname",
}  # fmt: skip
_ID = re.compile(r"(^|_)(id|key|uuid|npi|sku|ean|iban|no|number)$")
MOST = 0.95
_SCALE = re.compile(
    r"(^|_)(level|priority|grade|tier|class|band|type|kind|status|rank|rating|score|segment|decile|quartile|quarter|month|weekday|day|hour)($|_)"
)
"""Numbers that stand for something, from the first to the last: there is none above."""
_KEY = re.compile(r"_(id|key|no|number)$")
THINS = 0.7
"""Where counts end, the last is seen so much less often than the one before it; a scale ends all at once."""


def meaning(one: Figures) -> Meaning:
    """What the column most probably is for."""
    name, family = one.name.lower(), one.type.family
    if not one.given:
        return Meaning.NOTHING
    if family in (Family.DATE, Family.TIMESTAMP, Family.TIMESTAMPTZ):
        return Meaning.DATE
    if family is Family.BOOLEAN:
        return Meaning.FLAG
    if family in NUMBERS:
        return _of_number(one, name)
    if family is Family.UUID:
        return Meaning.ID
    return _of_text(one, name) if family is Family.TEXT else Meaning.OTHER


def _of_number(one: Figures, name: str) -> Meaning:
    if _ID.search(name) and one.type.family is Family.INTEGER:
        return Meaning.ID if one.distinct >= MOST * one.given else Meaning.CODE
    if one.type.family is Family.INTEGER:
        return Meaning.CATEGORY if one.distinct <= FEW / 4 and not _thins_out(one, name) else Meaning.COUNT
    return Meaning.MEASURE


def _thins_out(one: Figures, name: str) -> bool:
    """Whether it counts something: 0, 1, 2 and so on, ever less often towards the end, so that one more will come some day."""
    times = {int(str(value)): count for value, count in one.values}
    if len(times) < 3 or _SCALE.search(name):  # noqa: PLR2004 - 0 and 1 are yes and no
        return False
    least, most = min(times), max(times)
    return least in (0, 1) and most - least == len(times) - 1 and times[most] <= THINS * times[most - 1]


def _of_text(one: Figures, name: str) -> Meaning:
    for meant, words in _WORDS.items():
        if re.search(rf"(^|_)({words})($|_)", name):
            return meant
    if one.sample and sum("@" in text and "." in text for text in one.sample) >= MOST * len(one.sample):
        return Meaning.EMAIL
    if _ID.search(name) or shape(one.sample):
        return Meaning.ID if one.distinct >= MOST * one.given else Meaning.CODE
    few = one.distinct <= FEW and one.given >= 5 * one.distinct
    return Meaning.CATEGORY if few else Meaning.TEXT


def known_by(one: str, columns: Iterable[str]) -> str:
    """The column beside it that is the key of what it names, such as `campaign_id` of `campaign`; empty: there is none."""
    stem = re.sub(r"_(name|title|label|text|description)$", "", one.lower())
    return next(
        (each for each in columns if each != one and _KEY.sub("", each.lower()) in {one.lower(), stem} - {""}), ""
    )


def shape(texts: Sequence[str], *, least: float = 1) -> str:
    """A pattern of letters, digits and marks that every text has, or that share of them; empty when they have none, or it says nothing.

    Runs of one length become `{3}`, others `+`.
    """
    if not texts:
        return ""
    digits, upper, lower = (re.compile(f"[{run}]+").sub for run in ("0-9", "A-Z", "a-z"))
    forms = [lower("a", upper("A", digits("9", text))) for text in texts]
    form, times = Counter(forms).most_common(1)[0]
    if times < least * len(texts) or len(form) > 12 or "9" not in form or not form.isascii():  # noqa: PLR2004 - longer is prose
        return ""
    alike = [text for text, its in zip(texts, forms, strict=True) if its == form]
    groups = [re.findall(r"[0-9]+|[A-Z]+|[a-z]+|[^0-9A-Za-z]", text) for text in alike]
    parts = []
    for place, one in enumerate(form):
        runs = [group[place] for group in groups]
        if one not in "9Aa":
            parts.append(re.escape(one) if one in r"\.^$*+?{}[]()|" else one)
        elif len(set(runs)) == 1 and one != "9":
            parts.append(runs[0])
        else:
            length, times = Counter(map(len, runs)).most_common(1)[0]
            letters = {"9": "0-9", "A": "A-Z", "a": "a-z"}[one]
            # What has been longer may be longer still, unless all are of one length.
            parts.append(f"[{letters}]{{{length}}}" if times >= least * len(runs) else f"[{letters}]+")
    return f"^{''.join(parts)}$"
