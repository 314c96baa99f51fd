"""Tests that look at one row at a time. Null and blank text pass: `required` asks for a value."""

from collections.abc import Callable

from mesh_assets.audit.library.kinds import (
    DAYS,
    NUMERIC,
    ORDERED,
    TEXTS,
    VALUES,
    Asked,
    Form,
    Parameter,
    Rows,
    Scope,
    TestType,
    day,
)
from mesh_assets.audit.library.lists import COUNTRIES, CURRENCIES, MONTHS, PLACEHOLDERS, US_STATES
from mesh_assets.audit.values import CannotAnswer, Family, exact, literal, quoted, text

EMAIL = r"[A-Za-z0-9._%+'-]+@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*\.[A-Za-z]{2,}"
ZIP = r"[0-9]{5}(?:-?[0-9]{4})?"
STREET = r"[0-9]{1,5}[A-Za-z]?(?:[ -][0-9/]+)? [A-Za-z0-9.'#&, -]*[A-Za-z][A-Za-z0-9.'#&, -]*"
BLANK = r"[ \t\r\n\f\v]*"
UNPRINTED = r"[\x{00}-\x{1F}\x{7F}-\x{9F}\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}\x{FEFF}]"
EDGES = r"^[ \t\r\n\f\v\x{00A0}]|[ \t\r\n\f\v\x{00A0}]$"
QUOTES = r"""^".*"$|^'.*'$"""
OPERATORS = ("<", "<=", "=", "!=", ">=", ">")
PHONE = r"[+]?[0-9(][0-9 ().\-/]{5,18}[0-9]"


def unlike(pattern: str) -> Callable[[Asked], Rows]:
    """Rows whose text as a whole does not match; blank text passes."""
    either = text(f"(?s)^(?:{pattern}|{BLANK})$")
    return lambda asked: Rows(f"NOT regexp_matches({asked.column}, {either})")


def like(pattern: str) -> Callable[[Asked], Rows]:
    """Rows whose text contains a match."""
    return lambda asked: Rows(f"regexp_matches({asked.column}, {text('(?s)' + pattern)})")


def outside(listed: frozenset[str], *, upper: bool = False) -> Callable[[Asked], Rows]:
    """Rows whose trimmed text is not blank and not of the list."""
    values = ", ".join(text(value) for value in sorted({"", *listed}))

    def answer(asked: Asked) -> Rows:
        column = f"trim({asked.column}, ' \t\r\n')"
        return Rows(f"{f'upper({column})' if upper else column} NOT IN ({values})")

    return answer


def _constant(asked: Asked) -> Rows:
    value = exact(asked.given("value"), asked.type)
    return Rows(f"{asked.column} IS NOT NULL" if value is None else f"{asked.column} <> {literal(value, asked.type)}")


def _range(asked: Asked) -> Rows:
    given = [(name, sign) for name, sign in (("least", "<"), ("most", ">")) if asked.given(name) is not None]
    if not given:
        msg = "`range` needs `least`, `most` or both"
        raise CannotAnswer(msg)
    beyond, ends = [], []
    for name, sign in given:
        value = exact(asked.given(name), asked.type)
        if value is None:
            msg = f"`{name}` is {asked.given(name)}, which {asked.type.name} cannot hold"
            raise CannotAnswer(msg)
        beyond.append(f"{asked.column} {sign} {literal(value, asked.type)}")
        ends.append(value)
    if len(ends) > 1 and ends[0] > ends[1]:
        msg = f"no value fits: `least` is {asked.given('least')}, and `most` is {asked.given('most')}"
        raise CannotAnswer(msg)
    if asked.type.family is Family.FLOAT:  # in no range; it is asked for by name, as of coordinates
        beyond.append(f"isnan({asked.column})")
    return Rows(" OR ".join(beyond))


def _placeholders(asked: Asked) -> Rows:
    listed = ", ".join(text(str(value).lower()) for value in (asked.values("values") or sorted(PLACEHOLDERS)))
    return Rows(f"lower(trim({asked.column}, ' \t\r\n')) IN ({listed})")


def _casing(asked: Asked) -> Rows:
    other = "Ll" if asked.given("casing") == "upper" else "Lu"
    return Rows(f"regexp_matches({asked.column}, {text(chr(92) + f'p{{{other}}}')})")


def _future(asked: Asked) -> Rows:
    days = int(asked.number("days"))
    return Rows(f"{day(asked)} > (now() AT TIME ZONE 'UTC')::DATE + {days}")


def _old(asked: Asked) -> Rows:
    days = int(asked.number("days"))
    return Rows(f"{day(asked)} < (now() AT TIME ZONE 'UTC')::DATE - {days}")


def _default_date(asked: Asked) -> Rows:
    listed = "DATE '1900-01-01', DATE '1899-12-30', DATE '1899-12-31', DATE '1970-01-01', DATE '9999-12-31', DATE '2099-12-31', DATE '1753-01-01', DATE '0001-01-01'"
    return Rows(f"{day(asked)} IN ({listed})")


def _weekday(asked: Asked) -> Rows:
    return Rows(f"isodow({day(asked)}) > 5")


def _finite(asked: Asked) -> Rows:
    return Rows(f"NOT isfinite({asked.column})")


def _whole(asked: Asked) -> Rows:
    return Rows(f"{asked.column} <> trunc({asked.column}) OR NOT isfinite({asked.column}::DOUBLE)")


def _coordinate(limit: int) -> Callable[[Asked], Rows]:
    # NaN is asked for by name: where a filter is pushed down into a file, comparisons with it are not DuckDB's.
    return lambda asked: Rows(
        f"NOT isfinite({asked.column}::DOUBLE) OR abs({asked.column}::DOUBLE) > {limit}e0 OR {asked.column} = 0"
    )


def _luhn_sum(digits: str, length: str) -> str:
    """The sum of Luhn's method over the digits of a text, the last one not doubled."""
    each = f"(substr({digits}, ({length} - i + 1)::BIGINT, 1)::INTEGER)"
    return f"list_sum([CASE WHEN i % 2 = 1 THEN {each} WHEN {each} > 4 THEN {each} * 2 - 9 ELSE {each} * 2 END for i in range(1, {length} + 1)])"


def _luhn(asked: Asked) -> Rows:
    column = f"regexp_replace({asked.column}, '[ -]', '', 'g')"
    wrong = f"CASE WHEN regexp_full_match({column}, '[0-9]{{2,40}}') THEN {_luhn_sum(column, f'length({column})')} % 10 <> 0 ELSE NOT regexp_full_match({asked.column}, {text(BLANK)}) END"
    return Rows(wrong)


def _npi(asked: Asked) -> Rows:
    column = asked.column if asked.type.family is Family.TEXT else f"{asked.column}::VARCHAR"
    # An NPI is checked as if 80840 stood before it: those five digits add 24.
    total = _luhn_sum(column, "10")
    blank = text(BLANK)
    return Rows(
        f"CASE WHEN regexp_full_match({column}, '[12][0-9]{{9}}') THEN ({total} + 24) % 10 <> 0 ELSE NOT regexp_full_match({column}, {blank}) END"
    )


def _compare(asked: Asked) -> Rows:
    left, right = (asked.named(name)[0] for name in ("left", "right"))
    one, other = asked.types[left], asked.types[right]
    alike = one.family is other.family or {one.family, other.family} <= NUMERIC or {one.family, other.family} <= DAYS
    if Family.OTHER in (one.family, other.family) or not alike:
        msg = f"`{left}` is {one.name} and `{right}` is {other.name}: they do not compare"
        raise CannotAnswer(msg)
    a, b = quoted(left), quoted(right)
    if one.family is not other.family and {one.family, other.family} <= DAYS:
        a, b = day(asked, left), day(asked, right)
    operator = str(asked.given("operator")).replace("!=", "<>")
    return Rows(f"NOT ({a} {operator} {b})")


def _some(asked: Asked) -> Rows:
    given = [f"({quoted(name)} IS NOT NULL)::INTEGER" for name in asked.named("columns")]
    count = f"({' + '.join(given)})"
    wrong = {
        "any": f"{count} = 0",
        "all or none": f"{count} NOT IN (0, {len(given)})",
        "exactly one": f"{count} <> 1",
        "at most one": f"{count} > 1",
    }
    return Rows(wrong[str(asked.given("given"))])


def _sum(asked: Asked) -> Rows:
    total, parts = asked.named("total")[0], asked.named("parts")
    for name in (total, *parts):
        if asked.types[name].family not in NUMERIC:
            msg = f"`{name}` is {asked.types[name].name}, and not a number"
            raise CannotAnswer(msg)
    floats = any(asked.types[name].family is Family.FLOAT for name in (total, *parts))
    cast = "DOUBLE" if floats else "DECIMAL(38,8)"
    added = " + ".join(f"coalesce({quoted(name)}, 0)::{cast}" for name in parts)
    off = f"abs({quoted(total)}::{cast} - ({added}))"
    return Rows(f"{off} > {float(asked.number('within'))!r}")


def _condition(asked: Asked) -> Rows:
    return Rows(f"NOT (\n{asked.given('condition')}\n)")


def _decimals(asked: Asked) -> Rows:
    places = int(asked.number("places"))
    if asked.type.family is Family.FLOAT:
        return Rows(f"isfinite({asked.column}) AND abs({asked.column} - round({asked.column}, {places})) > 1e-9")
    return Rows(f"{asked.column} <> round({asked.column}, {places})")


def _row(
    name: str,
    label: str,
    help_: str,
    answer: Callable[[Asked], Rows],
    *parameters: Parameter,
    dimension: str = "conformity",
    scope: Scope = Scope.COLUMN,
    families: frozenset[Family] = TEXTS,
    theirs: str = "",
    clock: bool = False,
    example: str = "",
) -> TestType:
    return TestType(
        name=name, label=label, help=help_, dimension=dimension, scope=scope, answer=answer, parameters=parameters,
        families=families, theirs=tuple(theirs.split()), clock=clock, rowwise=True, example=example,
    )  # fmt: skip


ROWS = (
    _row("constant", "Always the same value", "The value is another one.", _constant,
         Parameter(name="value", form=Form.VALUE, help="The only value.", needed=True), families=VALUES, theirs="Constant", example="value: EUR"),
    _row("range", "Between two values", "The value is below `least` or above `most`.", _range,
         Parameter(name="least", form=Form.VALUE, help="The smallest value that is fine; without it, any."),
         Parameter(name="most", form=Form.VALUE, help="The largest value that is fine; without it, any."),
         dimension="accuracy", families=NUMERIC | DAYS, example="least: 0\nmost: 100"),
    _row("email", "E-mail address", "The text is no e-mail address.", unlike(EMAIL), theirs="Email_Format"),
    _row("us_state", "US state", "The text is no US state or territory, in two letters.", outside(US_STATES, upper=True), theirs="US_State"),
    _row("us_zip", "US ZIP code", "The text is no ZIP code of 5 or 9 digits.", unlike(ZIP), theirs="Valid_US_Zip Invalid_Zip_USA"),
    _row("us_zip3", "US ZIP prefix", "The text is not the first three digits of a ZIP code.", unlike("[0-9]{3}"), theirs="Valid_US_Zip3 Invalid_Zip3_USA"),
    _row("street_address", "Street address", "The text is no street address: a house number, then a name.", unlike(STREET),
         theirs="Street_Addr_Pattern", example="at_most: 5\nunit: percent"),
    _row("month_name", "Month", "The text is no month: a number from 1 to 12, or an English name.", outside(MONTHS, upper=True), theirs="Valid_Month"),
    _row("country_code", "Country code", "The text is no country code of two letters (ISO 3166).", outside(COUNTRIES)),
    _row("currency_code", "Currency code", "The text is no currency code of three letters (ISO 4217).", outside(CURRENCIES)),
    _row("phone", "Telephone number", "The text is no telephone number of 7 to 20 characters.", unlike(PHONE)),
    _row("no_control_characters", "No unprinted characters", "The text holds a character that is not printed.", like(UNPRINTED),
         theirs="Valid_Characters Non_Printing_Chars"),
    _row("trimmed", "No spaces around", "The text starts or ends with a space.", like(EDGES), theirs="Leading_Spaces"),
    _row("no_quotes_around", "No quotes around", "The text is in quotes.", like(QUOTES), theirs="Quoted_Values"),
    _row("no_placeholders", "No words for nothing", "The text is a word for nothing, such as `n/a` or `unknown`.", _placeholders,
         Parameter(name="values", form=Form.VALUES, help="The words, in any case; default: a list of the usual ones."),
         dimension="completeness", theirs="Non_Standard_Blanks", example="values: [n/a, tbd]"),
    _row("no_embedded_lists", "No lists in text", "The text holds several values, between `|`, `;` or tabs.", like(r"[^|;\t]+[|;\t][^|;\t]+"),
         theirs="Delimited_Data_Embedded"),
    _row("casing", "One casing", "The text is not all in that case.", _casing,
         Parameter(name="casing", form=Form.CHOICE, help="Of all letters.", needed=True, choices=("upper", "lower")),
         theirs="Inconsistent_Casing", example="casing: upper"),
    _row("no_digits", "No digits", "The text holds a digit.", like("[0-9]"), theirs="Non_Alpha_Name_Address"),
    _row("starts_with_letter", "Starts with a letter", "The text starts with something else than a letter.", like(r"^[^\pL \t\r\n]"),
         theirs="Non_Alpha_Prefixed_Name"),
    _row("no_number_units", "No units beside numbers", "The text is a number with a unit, such as `5 mg`.",
         like(r"^[ ]*[-+]?[0-9]+(?:[.,][0-9]+)*[ ]*[A-Za-z%$]{1,4}[ ]*$"), theirs="Char_Column_Number_Units"),
    _row("no_emails", "No e-mail addresses inside", "The text holds an e-mail address.", like(EMAIL), theirs="Unexpected_Emails"),
    _row("luhn", "Check digit (Luhn)", "The number's check digit is wrong.", _luhn, dimension="accuracy"),
    _row("npi", "National Provider Identifier", "The text is no NPI: ten digits of which the last checks the others.", _npi,
         dimension="accuracy", families=frozenset({Family.TEXT, Family.INTEGER})),
    _row("json", "JSON", "The text is no JSON.", lambda asked: Rows(f"NOT json_valid({asked.column})")),
    _row("not_in_future", "Not in the future", "The day is after today.", _future,
         Parameter(name="days", form=Form.WHOLE, help="So many days after today are fine.", default=0, low=0, high=100_000),
         dimension="timeliness", families=DAYS, theirs="Future_Date Future_Date_1Y", clock=True, example="days: 365"),
    _row("not_older_than", "Not older than", "The day is longer ago than that.", _old,
         Parameter(name="days", form=Form.WHOLE, help="So many days before today are fine.", needed=True, low=0, high=1_000_000),
         dimension="timeliness", families=DAYS, clock=True, example="days: 400"),
    _row("no_default_dates", "No default dates", "The day is one that programs write for `none`, such as 1900-01-01.", _default_date,
         dimension="accuracy", families=DAYS, theirs="Unlikely_Date_Values"),
    _row("working_day", "A working day", "The day is a Saturday or a Sunday.", _weekday, dimension="accuracy", families=DAYS),
    _row("finite", "A finite number", "The number is NaN or infinite.", _finite, dimension="accuracy", families=frozenset({Family.FLOAT})),
    _row("whole", "A whole number", "The number has digits after the point, or is none.", _whole, families=NUMERIC),
    _row("decimals", "Digits after the point", "The number has more digits after the point.", _decimals,
         Parameter(name="places", form=Form.WHOLE, help="So many at most.", needed=True, low=0, high=30), families=NUMERIC, example="places: 2"),
    _row("latitude", "Latitude", "The number is no latitude: beyond 90 degrees, or 0.", _coordinate(90), dimension="accuracy", families=NUMERIC),
    _row("longitude", "Longitude", "The number is no longitude: beyond 180 degrees, or 0.", _coordinate(180), dimension="accuracy", families=NUMERIC),
    _row("condition", "A condition", "The condition is false. Where it is null, the row passes.", _condition,
         Parameter(name="condition", form=Form.CONDITION, help="What is true of every good row, in SQL.", needed=True),
         dimension="accuracy", scope=Scope.TABLE, theirs="Condition_Flag", example="condition: net <= gross"),
    _row("compare_columns", "Two columns compared", "The comparison is false; where one of them is null, the row passes.", _compare,
         Parameter(name="left", form=Form.COLUMN, help="One column.", needed=True, of=ORDERED),
         Parameter(name="operator", form=Form.CHOICE, help="How it compares with the other.", needed=True, choices=OPERATORS),
         Parameter(name="right", form=Form.COLUMN, help="The other column.", needed=True, of=ORDERED),
         dimension="consistency", scope=Scope.TABLE, example='left: started_on\noperator: "<="\nright: ended_on'),
    _row("given_together", "Which values are given", "Not as many of the columns have a value as must have.", _some,
         Parameter(name="columns", form=Form.COLUMNS, help="The columns.", needed=True),
         Parameter(name="given", form=Form.CHOICE, help="How many of them have a value.", needed=True,
                   choices=("any", "all or none", "exactly one", "at most one")),
         dimension="completeness", scope=Scope.TABLE, example="columns: [email, phone]\ngiven: any"),
    _row("sum_of_columns", "A sum of columns", "The total is not the sum of its parts; a part that is null counts as 0.", _sum,
         Parameter(name="total", form=Form.COLUMN, help="The total.", needed=True, of=NUMERIC),
         Parameter(name="parts", form=Form.COLUMNS, help="Its parts.", needed=True, of=NUMERIC),
         Parameter(name="within", form=Form.NUMBER, help="How far off it may be.", default=0, low=0),
         dimension="consistency", scope=Scope.TABLE, example="total: gross\nparts: [net, tax]\nwithin: 0.01"),
)  # fmt: skip
