"""ODCS files to contracts."""

from pathlib import Path

import pytest

from mesh_assets.contract import Contract, Kind, Severity
from mesh_assets.reading import source
from mesh_assets.reading.odcs import read_contract

HEAD = (
    "apiVersion: {version}\nkind: DataContract\nid: shop-sales\nversion: 1.0.0\n"
    "schema:\n  - name: sales\n    properties:\n"
)

ROOT = Path(__file__).parents[2]
CONTRACTS = [
    path
    for folder in ("domains", "mesh_assets/templates", "tests/meshes")
    for path in sorted((ROOT / folder).rglob("*.odcs.yaml"))
]


def read(body: str, version: str = "v3.1.0", table: str = "sales"):
    reading = read_contract(source.parse(HEAD.format(version=version) + body, "sales.odcs.yaml"), "shop", table)
    return reading.contract, [str(problem) for problem in reading.problems]


def contract_of(body: str, version: str = "v3.1.0") -> Contract:
    contract, problems = read(body, version)
    assert problems == []
    return contract


def column(extra: str = "", logical: str = "string") -> str:
    return f"      - name: price\n        logicalType: {logical}\n" + "".join(
        f"        {line}\n" for line in extra.splitlines()
    )


def test_of_named(contract: Contract, name: str):
    return next(test for test in contract.tests if test.name == name)


test_of_named.__test__ = False


def test_every_contract_tests_its_columns_and_their_types():
    assert [(test.name, test.kind) for test in contract_of(column()).tests] == [
        ("columns", Kind.COLUMNS),
        ("types", Kind.TYPES),
    ]


@pytest.mark.parametrize(
    ("extra", "logical", "name", "kind", "arguments"),
    [
        ("required: true", "string", "price__required", Kind.REQUIRED, {}),
        ("unique: true", "string", "price__unique", Kind.UNIQUE, {}),
        ("primaryKey: true", "string", "primary_key", Kind.PRIMARY_KEY, {}),
        ("logicalTypeOptions: {minimum: 1}", "integer", "price__minimum", Kind.MINIMUM, {"value": 1}),
        ("logicalTypeOptions: {maximum: 1.5}", "number", "price__maximum", Kind.MAXIMUM, {"value": 1.5}),
        ("logicalTypeOptions: {exclusiveMinimum: 0}", "number", "price__exclusive_minimum", Kind.EXCLUSIVE_MINIMUM,
         {"value": 0}),
        ("logicalTypeOptions: {exclusiveMaximum: 9}", "number", "price__exclusive_maximum", Kind.EXCLUSIVE_MAXIMUM,
         {"value": 9}),
        ("logicalTypeOptions: {multipleOf: 5}", "integer", "price__multiple_of", Kind.MULTIPLE_OF, {"value": 5}),
        ("logicalTypeOptions: {pattern: '^a$'}", "string", "price__pattern", Kind.PATTERN, {"pattern": "^a$"}),
        ("logicalTypeOptions: {minLength: 2}", "string", "price__min_length", Kind.MIN_LENGTH, {"value": 2}),
        ("logicalTypeOptions: {maxLength: 2}", "string", "price__max_length", Kind.MAX_LENGTH, {"value": 2}),
        ("logicalTypeOptions: {format: uuid}", "string", "price__format", Kind.FORMAT, {"format": "uuid"}),
        ("logicalTypeOptions: {minimum: '2026-01-01'}", "date", "price__minimum", Kind.MINIMUM,
         {"value": "2026-01-01"}),
    ],
)  # fmt: skip
def test_what_a_column_says_of_itself_is_a_test(extra, logical, name, kind, arguments):
    test = test_of_named(contract_of(column(extra, logical)), name)
    assert (test.kind, test.columns, dict(test.arguments), test.severity) == (
        kind,
        ("price",),
        arguments,
        Severity.ERROR,
    )


@pytest.mark.parametrize(("format_", "logical"), [("yyyy-MM-dd", "date"), ("i32", "integer"), ("password", "string")])
def test_a_format_that_the_type_holds_already_is_no_test(format_, logical):
    assert len(contract_of(column(f"logicalTypeOptions: {{format: {format_}}}", logical)).tests) == 2


@pytest.mark.parametrize(
    ("said", "operator", "threshold"),
    [
        ("mustBe: 0", "mustBe", 0),
        ("mustNotBe: 3", "mustNotBe", 3),
        ("mustBeGreaterThan: 1.5", "mustBeGreaterThan", 1.5),
        ("mustBeGreaterOrEqualTo: 1", "mustBeGreaterOrEqualTo", 1),
        ("mustBeLessThan: 1", "mustBeLessThan", 1),
        ("mustBeLessOrEqualTo: 1", "mustBeLessOrEqualTo", 1),
        ("mustBeBetween: [1, 2]", "mustBeBetween", (1, 2)),
        ("mustNotBeBetween: [1, 2]", "mustNotBeBetween", (1, 2)),
    ],
)
@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        ("nullValues", Kind.NULL_VALUES),
        ("missingValues", Kind.MISSING_VALUES),
        ("invalidValues", Kind.INVALID_VALUES),
        ("duplicateValues", Kind.DUPLICATE_VALUES),
    ],
)
@pytest.mark.parametrize("unit", ["rows", "percent"])
def test_every_metric_with_every_operator_and_unit(metric, kind, said, operator, threshold, unit):
    arguments = ", arguments: {validValues: [a]}" if metric == "invalidValues" else ""
    test = contract_of(column(f"quality: [{{metric: {metric}, unit: {unit}, {said}{arguments}}}]")).tests[-1]
    assert (test.name, test.kind, test.columns) == (f"price__{kind}", kind, ("price",))
    assert (test.arguments["operator"], test.arguments["threshold"], test.arguments["unit"]) == (
        operator,
        threshold,
        unit,
    )


def test_missing_values_are_null_and_empty_text_unless_told():
    told = "quality: [{metric: missingValues, mustBe: 0, arguments: {missingValues: [null, '', N/A]}}]"
    assert contract_of(column("quality: [{metric: missingValues, mustBe: 0}]")).tests[-1].arguments[
        "missing_values"
    ] == (None, "")
    assert contract_of(column(told)).tests[-1].arguments["missing_values"] == (None, "", "N/A")


def test_rules_of_the_table():
    contract = contract_of(
        column()
        + "      - {name: day, logicalType: date}\n"
        + "    quality:\n"
        + "      - {metric: rowCount, mustBeBetween: [1, 10]}\n"
        + "      - {metric: duplicateValues, arguments: {properties: [price, day]}, mustBe: 0}\n"
        + "      - {name: No future days!, type: sql, mustBe: 0,\n"
        + "         query: 'select count(*) from ${object} where day > current_date'}\n"
        + "      - {type: text, description: Prices include taxes.}\n"
    )
    rows, duplicates, query = contract.tests[2:]
    assert (rows.name, rows.kind, rows.columns) == ("row_count", Kind.ROW_COUNT, ())
    assert (duplicates.name, duplicates.columns) == ("price__day__duplicate_values", ("price", "day"))
    assert (query.name, query.kind) == ("no_future_days", Kind.SQL)
    assert query.arguments["query"] == "select count(*) from {table} where day > current_date"


def test_a_rule_is_named_by_its_id_then_its_name():
    rules = (
        "quality:\n  - {id: price-known, name: X, metric: nullValues, mustBe: 0}\n"
        "  - {name: Fewer than 5%, metric: nullValues, mustBe: 0}\n  - {metric: nullValues, mustBe: 0}"
    )
    assert [test.name for test in contract_of(column(rules)).tests[2:]] == [
        "price_known",
        "fewer_than_5",
        "price__null_values",
    ]


def test_the_column_of_a_query_is_filled_in():
    contract = contract_of(column("quality: [{type: sql, query: 'select sum({property}) from {model}', mustBe: 0}]"))
    assert contract.tests[-1].arguments["query"] == 'select sum("price") from {table}'
    assert contract.tests[-1].columns == ("price",)


def test_a_primary_key_is_one_test_in_the_order_of_its_positions():
    contract = contract_of(
        "      - {name: b, logicalType: string, primaryKey: true, primaryKeyPosition: 2}\n"
        "      - {name: a, logicalType: string, primaryKey: true, primaryKeyPosition: 1}\n"
    )
    assert test_of_named(contract, "primary_key").columns == ("a", "b")


@pytest.mark.parametrize(
    ("to", "table", "column_"),
    [
        ("orders.order_id", "shop.orders", "order_id"),
        ("crm.clients.client_id", "crm.clients", "client_id"),
        ("schema/orders/properties/order_id", "shop.orders", "order_id"),
    ],
)
def test_a_relationship_of_a_column_is_a_reference(to, table, column_):
    test = contract_of(column(f"relationships: [{{to: {to}}}]")).tests[-1]
    assert (test.name, test.kind) == ("price__reference", Kind.REFERENCE)
    assert dict(test.arguments) == {"to_table": table, "to_columns": (column_,)}


def test_a_relationship_of_the_table_joins_several_columns():
    contract = contract_of(
        column() + "      - {name: day, logicalType: date}\n    relationships:\n"
        "      - {from: [sales.price, sales.day], to: [crm.prices.price, crm.prices.day]}\n"
    )
    test = contract.tests[-1]
    assert (test.name, test.columns) == ("price_day__reference", ("price", "day"))
    assert dict(test.arguments) == {"to_table": "crm.prices", "to_columns": ("price", "day")}


def test_allowed_values_of_3_2_are_a_test():
    test = contract_of(column("enum: [{value: a}, {value: b}]"), "v3.2.0").tests[-1]
    assert (test.name, test.kind, test.arguments["valid_values"]) == ("price__enum", Kind.INVALID_VALUES, ("a", "b"))


@pytest.mark.parametrize(
    ("said", "override"),
    [
        ("required: true", "severity.required"),
        ("primaryKey: true", "severity.primaryKey"),
        ("primaryKey: true", "severity.primary_key"),
        ("logicalTypeOptions: {minLength: 1}", "severity.minLength"),
        ("logicalTypeOptions: {minLength: 1}", "severity.min_length"),
        ("logicalTypeOptions: {pattern: a}", "severity.pattern"),
        ("relationships: [{to: orders.order_id}]", "severity.reference"),
    ],
)
def test_what_a_column_says_of_itself_can_be_a_warning(said, override):
    extra = f"{said}\ncustomProperties: [{{property: {override}, value: warning}}]"
    assert contract_of(column(extra)).tests[-1].severity is Severity.WARNING


@pytest.mark.parametrize(
    ("extra", "masked"),
    [
        ("classification: restricted", True),
        ("classification: Confidential", True),
        ("classification: Strictly confidential (HR)", True),
        ("classification: confidential-hr", True),
        ("classification: top_secret", True),
        ("classification: C3/PII", True),
        ("classification: non-confidential", False),
        ("classification: not restricted", False),
        ("classification: unrestricted", False),
        ("classification: internal", False),
        ("tags: [pii]", True),
        ("tags: [PII, x]", True),
        ("description: x", False),
    ],
)
def test_columns_that_nobody_may_see(extra, masked):
    assert (contract_of(column(extra)).masked == {"price"}) is masked


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        ("logicalType: string", "VARCHAR"),
        ("logicalType: integer", "BIGINT"),
        ("logicalType: number", "DOUBLE"),
        ("logicalType: boolean", "BOOLEAN"),
        ("logicalType: date", "DATE"),
        ("logicalType: timestamp", "TIMESTAMP"),
        ("logicalType: time", "TIME"),
        ("{logicalType: timestamp, logicalTypeOptions: {timezone: true}}", "TIMESTAMP WITH TIME ZONE"),
        ("{logicalType: integer, logicalTypeOptions: {format: i32}}", "INTEGER"),
        ("{logicalType: number, logicalTypeOptions: {format: f32}}", "FLOAT"),
        ("{logicalType: number, physicalType: 'numeric(10, 2)'}", "DECIMAL(10,2)"),
        ("physicalType: timestamptz", "TIMESTAMP WITH TIME ZONE"),
        ("{logicalType: number, physicalType: NUMBER(10)}", "DOUBLE"),
        ("{logicalType: array, items: {logicalType: string}}", "VARCHAR[]"),
        ("{logicalType: object, properties: [{name: a, logicalType: date}, {name: order, logicalType: string}]}",
         'STRUCT(a DATE, "order" VARCHAR)'),
        ("{logicalType: array, items: {logicalType: array, items: {logicalType: integer}}}", "BIGINT[][]"),
    ],
)  # fmt: skip
def test_the_type_of_a_column_is_duckdbs(body, type_):
    inner = body[1:-1] if body.startswith("{") else body
    contract = contract_of(f"      - {{name: x, {inner}}}\n")
    assert contract.columns[0].type == type_


def test_the_lakes_column_is_the_physical_name():
    contract = contract_of(
        "      - {name: Order id, physicalName: order_id, logicalType: string}\n"
        "    quality: [{metric: duplicateValues, arguments: {properties: [Order id]}, mustBe: 0}]\n"
    )
    assert contract.columns[0].name == "order_id"
    assert contract.tests[-1].columns == ("order_id",)


def test_the_hash_is_of_the_meaning():
    one = contract_of(column("required: true\ndescription: a"))
    other = contract_of(
        "      # a comment\n      - {required: true, logicalType: string, name: price, description: b}\n"
    )
    changed = contract_of(column("required: false"))
    assert one.hash == other.hash != changed.hash


OLD = """\
      - name: price
        logicalType: string
        quality:
          - rule: nullCheck
            description: never empty
            severity: error
          - {rule: duplicateCount, mustBeLessThan: 10, name: few duplicates, unit: rows}
          - {rule: validValues, validValues: [a, b]}
    quality:
      - {rule: rowCount, mustBeGreaterThan: 5}
team:
  - {username: ada, role: owner, dateIn: "2024-01-01"}
slaProperties:
  - {property: latency, value: 4, unit: d, element: sales.price}
"""


def test_files_of_3_0_load_with_their_older_words():
    contract = contract_of(OLD, "v3.0.2")
    assert [
        (test.name, test.kind, test.arguments["operator"], test.arguments["threshold"]) for test in contract.tests[2:]
    ] == [
        ("price__null_values", Kind.NULL_VALUES, "mustBe", 0),
        ("few_duplicates", Kind.DUPLICATE_VALUES, "mustBeLessThan", 10),
        ("price__invalid_values", Kind.INVALID_VALUES, "mustBe", 0),
        ("row_count", Kind.ROW_COUNT, "mustBeGreaterThan", 5),
    ]
    assert contract.tests[4].arguments["valid_values"] == ("a", "b")
    assert (contract.service_levels[0].property, contract.service_levels[0].value) == ("latency", 4)


@pytest.mark.parametrize("version", ["v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0", "v3.2.0"])
@pytest.mark.parametrize("team", ["team: [{username: ada}]", "team: {name: a, members: [{username: ada}]}"])
def test_the_team_may_be_a_list_or_a_mapping(version, team):
    contract_of(f"{column()}{team}\n", version)


def test_all_problems_of_a_file_are_told_at_once():
    contract, problems = read(
        column(
            "requird: true\nlogicalTypeOptions: {pattern: '('}\n"
            "quality: [{metric: nullValue, mustBe: 0}, {type: custom, engine: x, implementation: y}]"
        )
        + "      - {name: size, logicalType: numbr}\n      - {name: Price, logicalType: string}\n"
    )
    assert contract is not None
    codes = sorted(problem.splitlines()[0][-5:-1] for problem in problems)
    assert codes == ["M002", "M012", "M012", "M206", "M208", "M213"]


def test_a_contract_of_another_table_is_refused():
    assert "is the contract of `orders` [M203]" in read(column(), table="orders")[1][0]


def test_what_we_accept_the_standards_own_model_accepts():
    from open_data_contract_standard.model import OpenDataContractStandard

    text = HEAD.format(version="v3.1.0") + column("required: true\nquality: [{metric: nullValues, mustBe: 0}]")
    assert OpenDataContractStandard.from_string(text).schema_[0].properties[0].required is True


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.name)
def test_every_contract_that_we_ship_is_one_by_the_standards_own_model(path):
    """Not its JSON Schema alone: the model refuses a key that it does not know, and reads every column and rule."""
    from open_data_contract_standard.model import OpenDataContractStandard

    written = source.parse(path.read_text(), path.name).root
    contract = OpenDataContractStandard.from_string(path.read_text())
    (table,), (said,) = contract.schema_, written["schema"]
    assert [column.name for column in table.properties] == [column["name"] for column in said["properties"]]
    assert len(table.quality or ()) == len(said.get("quality", ()))


@pytest.mark.parametrize(
    "written",
    ["VARCHAR2(20)", "NUMBER", "datetime2(7)", "TIMESTAMP_NTZ", "timestampntz", "JSONB", "nchar(5)", "BigNumeric", "MONEY",
     "DateTimeOffset", "LongType", "FLOAT64", "DateTime64(3)", "CHARACTER VARYING(9)", "INT UNSIGNED", "ARRAY<STRING>",
     "timestamp(6)", "CLOB", "MEDIUMINT", "UNIQUEIDENTIFIER"],
)  # fmt: skip
def test_a_type_of_another_database_is_fine_beside_a_logical_type(written):
    assert contract_of(column(f"physicalType: {written}")).columns[0].name == "price"


@pytest.mark.parametrize("written", ["DECIML(10,2)", "varcahr", "BOOLEN", "TIMESTMAP", "INTERGER[]", "BIGNIT"])
def test_a_type_that_is_almost_one_is_a_slip(written):
    (said,) = read(column(f"physicalType: {written}"))[1]
    assert "is no type of DuckDB [M204]" in said


@pytest.mark.parametrize(
    "extra",
    [
        "classification: public",
        "classification: unrestricted",
        "classification: Highly Confidential",
        "classification: internal-use",
        "logicalTypeOptions: {minLength: 2, maxLength: 2}",
        "required: false\ncustomProperties: [{property: severity.required, value: warning}]",
    ],
)
def test_words_of_a_teams_own_are_nothing_to_tell(extra):
    assert read(column(extra))[1] == []


@pytest.mark.parametrize(
    "level",
    [
        "{property: dataRetention, value: 3, unit: fortnights}",
        "{property: responseTime, value: 3, unit: dd}",
        "{property: latency, value: 1, unit: Hours}",
        "{property: latency, value: 1, unit: yr}",
        "{property: frequency, value: 1, unit: business quarter}",
        "{property: freshness, value: 2}",
    ],
)
def test_service_levels_of_a_teams_own_are_nothing_to_tell(level):
    assert read(column() + f"slaProperties:\n  - {level}\n")[1] == []
