"""What is odd in a profile: screens, each a function from a column's figures to what it found.

They are questions to the owner, not tests: a screen holds nothing up. Where one is right, a test keeps it so.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from mesh_assets.audit.library.lists import COUNTRIES, PLACEHOLDERS, US_STATES
from mesh_assets.audit.library.rows import EMAIL
from mesh_assets.audit.values import Family
from mesh_assets.numerals import does, many
from mesh_assets.profile.meaning import PERSONAL, Meaning, meaning
from mesh_assets.profile.measure import FEW, Figures, Profile

DAYS = (Family.DATE, Family.TIMESTAMP, Family.TIMESTAMPTZ)
NUMBER = r"[-+]?[0-9]+(?:[.,][0-9]+)*"
DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}"
Finds = Callable[[Figures, date], str]


@dataclass(frozen=True, slots=True)
class Screen:
    """One question to a column.

    Attributes:
        likelihood: `definite`, `likely`, `possible`, or `personal` for data of persons.
        theirs: What DataKitchen TestGen calls it.
    """

    name: str
    label: str
    likelihood: str
    theirs: str
    finds: Finds


@dataclass(frozen=True, slots=True)
class Finding:
    """A screen that found something."""

    screen: Screen
    column: str
    what: str


def findings(profile: Profile, today: date) -> Iterator[Finding]:
    """What is odd in the table, column by column. `today` judges dates."""
    for one in profile.columns.values():
        for screen in SCREENS:
            if profile.rows and (what := screen.finds(one, today)):
                yield Finding(screen, one.name, what)


def _part(one: Figures, pattern: str, *, least: float = 0.0, most: float = 1.0) -> str:
    """How many texts of the sample match as a whole, as words, when their share is above `least` and at most `most`."""
    if not one.sample:
        return ""
    whole = re.compile(pattern, re.DOTALL).fullmatch
    found = [text for text in one.sample if whole(text)]
    share = len(found) / len(one.sample)
    return f"{100 * share:.3g} % of its texts" if found and least < share <= most else ""


def _text(pattern: str, *, least: float = 0.0, most: float = 1.0) -> Finds:
    return lambda one, _: _part(one, pattern, least=least, most=most)


def _casing(one: Figures, _: date) -> str:
    folded: dict[str, set[str]] = defaultdict(set)
    for text in one.sample if one.distinct <= FEW * 25 else ():
        folded[text.casefold()].add(text)
    twins = [words for words in folded.values() if len(words) > 1]
    return f"{many(len(twins), 'value')} {does(len(twins), 'are')} spelt in more than one casing" if twins else ""


def _standardized(one: Figures, _: date) -> str:
    folded: dict[str, set[str]] = defaultdict(set)
    for text in one.sample if one.distinct <= FEW * 25 else ():
        folded[re.sub(r"[\W_]+", "", text).casefold()].add(text.casefold())
    twins = [words for key, words in folded.items() if key and len(words) > 1]
    return f"{many(len(twins), 'value')} {does(len(twins), 'differ')} in spaces and marks only" if twins else ""


def _patterns(low: float, high: float) -> Finds:
    def finds(one: Figures, _: date) -> str:
        if meaning(one) not in (Meaning.ID, Meaning.CODE, Meaning.TEXT) or not one.sample:
            return ""
        forms = defaultdict(int)
        for text in one.sample:
            forms[re.sub(r"[A-Za-z]+", "A", re.sub(r"[0-9]+", "9", text))] += 1
        share = max(forms.values()) / len(one.sample)
        return f"{100 * (1 - share):.3g} % are not of its usual form" if low < share < high else ""

    return finds


def _kinds(low: float, high: float) -> Finds:
    def finds(one: Figures, _: date) -> str:
        if not one.sample:
            return ""
        share = sum(bool(re.fullmatch(NUMBER, text)) for text in one.sample) / len(one.sample)
        return f"{100 * share:.3g} % are numbers, the others are not" if low < share < high else ""

    return finds


def _booleans(one: Figures, _: date) -> str:
    words = {str(value).lower() for value, _ in one.values}
    pairs = ({"y", "yes"}, {"n", "no"}, {"t", "true"}, {"f", "false"}, {"1"}, {"0"})
    used = [pair for pair in pairs if pair & words]
    return (
        f"it says yes and no in {len(words)} ways" if len(words) > 2 and words <= set().union(*pairs) and used else ""  # noqa: PLR2004 - a yes and a no
    )


def _ages(days: int, upto: int) -> Finds:
    def finds(one: Figures, today: date) -> str:
        if one.type.family not in DAYS or not (last := _day(one.most)):
            return ""
        age = (today - last).days
        return f"the last is {age} days ago" if days <= age < upto else ""

    return finds


def _day(said: str | None) -> date | None:
    try:
        return date.fromisoformat((said or "")[:10])
    except ValueError:
        return None


def _unlikely(one: Figures, today: date) -> str:
    if one.type.family not in DAYS:
        return ""
    first, last = _day(one.least), _day(one.most)
    odd = [str(day) for day in (first, last) if day and (day.year <= 1900 or day.year > today.year + 10)]  # noqa: PLR2004 - before anybody
    return (
        f"it holds {', '.join(odd)}" if odd else "it holds days beyond the year 9999" if one.most and not last else ""
    )


def _rare(one: Figures, _: date) -> str:
    rare = [value for value, times in one.values if times <= max(1, one.given // 1000)] if one.given >= FEW else []
    return (
        f"{len(rare)} of its {one.distinct} values {does(len(rare), 'are')} very rare"
        if rare and len(rare) < one.distinct / 2
        else ""
    )


def _numeric_few(one: Figures, _: date) -> str:
    if one.type.family is not Family.TEXT or not one.sample:
        return ""
    numbers = sum(bool(re.fullmatch(NUMBER, text)) for text in one.sample)
    return f"{numbers} numbers among words" if 0 < numbers <= 0.03 * len(one.sample) else ""


def _personal(one: Figures, _: date) -> str:
    return f"it looks like a person's {meaning(one)}" if meaning(one) in PERSONAL else ""


def _wanted(meant: Meaning, pattern: str) -> Finds:
    return lambda one, _: _part(one, f"(?!(?:{pattern})$).*") if meaning(one) is meant else ""


def _unexpected(meant: Meaning, pattern: str, *, least: float = 0.0) -> Finds:
    return lambda one, _: "" if meaning(one) is meant else _part(one, pattern, least=least)


def _states(one: Figures, _: date) -> str:
    if meaning(one) is Meaning.STATE or not one.sample or one.distinct < 8:  # noqa: PLR2004 - a few codes may be anything
        return ""
    return (
        "its values are US states"
        if all(text in US_STATES for text in one.sample) and not all(t in COUNTRIES for t in one.sample)
        else ""
    )


def _suggested(one: Figures, _: date) -> str:
    if not one.sample:
        return ""
    if all(re.fullmatch(r"[-+]?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?", text) for text in one.sample):
        return "all are numbers: a number would hold them"
    return (
        "all are days: a date would hold them"
        if all(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) for text in one.sample)
        else ""
    )


def _duplicates(one: Figures, _: date) -> str:
    few = one.given - one.distinct
    return (
        f"{few} of {one.given} values {does(few, 'are')} there again"
        if meaning(one) is Meaning.ID and 0 < few <= 0.05 * one.given
        else ""
    )


def _variants(one: Figures, _: date) -> str:
    words = {str(value).casefold() for value, _ in one.values} if one.type.family is Family.TEXT else set()
    pairs = [(a, b) for a in sorted(words) for b in sorted(words) if len(a) == 1 and len(b) > 1 and b.startswith(a)]
    single = {a for a, _ in pairs}
    return f"{len(single)} of its codes are the first letters of others" if single else ""


SCREENS = (
    Screen("boolean_mismatch", "Several words for yes and no", "likely", "Boolean_Value_Mismatch", _booleans),
    Screen("dates_as_text", "Dates in a text", "likely", "Char_Column_Date_Values", _text(DAY, least=0.5)),
    Screen("numbers_with_units", "Numbers with units in a text", "possible", "Char_Column_Number_Units", _text(NUMBER + r" ?[A-Za-z%$]{1,4}", least=0.5)),
    Screen("numbers_as_text", "Numbers in a text", "likely", "Char_Column_Number_Values", lambda one, _: _part(one, NUMBER, least=0.95) if meaning(one) in (Meaning.TEXT, Meaning.CATEGORY) else ""),
    Screen("column_pattern_mismatch", "A few of another form", "possible", "Column_Pattern_Mismatch", _patterns(0.9, 1.0)),
    Screen("embedded_lists", "Lists in a text", "likely", "Delimited_Data_Embedded", _text(r"[^|;\t]+(?:[|;\t][^|;\t]+)+", least=0.05)),
    Screen("inconsistent_casing", "One value in several casings", "likely", "Inconsistent_Casing", _casing),
    Screen("invalid_zip3", "Not three digits", "likely", "Invalid_Zip3_USA", lambda one, _: _part(one, "(?![0-9]{3}$).*") if re.search("zip_?3", one.name.lower()) else ""),
    Screen("invalid_zip", "Not a ZIP code", "likely", "Invalid_Zip_USA", _wanted(Meaning.ZIP, r"[0-9]{5}(?:-?[0-9]{4})?")),
    Screen("leading_spaces", "Spaces in front", "definite", "Leading_Spaces", _text(r"\s.*")),
    Screen("multiple_types_major", "Numbers and words, both often", "likely", "Multiple_Types_Major", _kinds(0.1, 0.9)),
    Screen("multiple_types_minor", "Numbers and words, one seldom", "possible", "Multiple_Types_Minor", _kinds(0.9, 1.0)),
    Screen("no_values", "No values at all", "possible", "No_Values", lambda one, _: "" if one.given - one.blanks else "every row is without a value"),
    Screen("digits_in_names", "Digits in names", "definite", "Non_Alpha_Name_Address", lambda one, _: _part(one, r".*[0-9].*") if meaning(one) is Meaning.NAME else ""),
    Screen("marks_before_names", "Marks before names", "definite", "Non_Alpha_Prefixed_Name", lambda one, _: _part(one, r"[\W\d_].*") if meaning(one) is Meaning.NAME else ""),
    Screen("control_characters", "Characters that are not printed", "definite", "Non_Printing_Chars", _text(r".*[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2060\ufeff].*")),
    Screen("placeholders", "Words for nothing", "definite", "Non_Standard_Blanks", lambda one, _: _part(one, "|".join(map(re.escape, sorted(PLACEHOLDERS))) + "|(?i:n/a|null|none|unknown)")),
    Screen("potential_duplicates", "Numbers of rows that are there again", "possible", "Potential_Duplicates", _duplicates),
    Screen("personal", "Data of persons", "personal", "Potential_PII", _personal),
    Screen("quotes_around", "Quotes around values", "definite", "Quoted_Values", _text(r"""".*"|'.*'""")),
    Screen("recency_one_year", "Nothing for a year", "possible", "Recency_One_Year", _ages(365, 10**7)),
    Screen("recency_six_months", "Nothing for six months", "possible", "Recency_Six_Months", _ages(182, 365)),
    Screen("rare_values", "A few values that are very rare", "possible", "Small Divergent Value Ct", _rare),
    Screen("few_missing", "Only a few are missing", "possible", "Small Missing Value Ct", lambda one, _: f"{one.nulls + one.blanks} of {one.rows} are missing" if 0 < one.nulls + one.blanks <= 0.03 * one.rows else ""),
    Screen("few_numbers", "A few numbers among words", "likely", "Small_Numeric_Value_Ct", _numeric_few),
    Screen("same_but_for_marks", "One value in several spellings", "likely", "Standardized_Value_Matches", _standardized),
    Screen("better_type", "A better type", "possible", "Suggested_Type", _suggested),
    Screen("table_pattern_mismatch", "Of several forms", "possible", "Table_Pattern_Mismatch", _patterns(0.5, 0.9)),
    Screen("unexpected_emails", "E-mail addresses where none are expected", "likely", "Unexpected Emails", _unexpected(Meaning.EMAIL, f".*{EMAIL}.*")),
    Screen("unexpected_states", "US states where none are expected", "possible", "Unexpected US States", _states),
    Screen("unlikely_dates", "Days that cannot be right", "likely", "Unlikely_Date_Values", _unlikely),
    Screen("variant_codes", "Codes and words mixed", "likely", "Variant_Coded_Values", _variants),
)  # fmt: skip
